/** From the user's consent to the provider, and back with its answer. */
import type { RouteRequest } from "../../core/index.ts";
import { type Broker, issuerOf } from "./broker.ts";
import { browserOf } from "./browser.ts";
import { remember } from "./consents.ts";
import { leave, problem, redirect } from "../_page.ts";
import { OAuthError, readForm } from "./params.ts";
import { ProviderError } from "./provider.ts";
import { isEqual, randomText } from "./random.ts";
import { withParams } from "./redirect-uris.ts";
import type { Asked, Flow } from "./sealed.ts";

/** What a provider may say went wrong (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6); the rest is `server_error` to clients. */
const RELAYED = new Set([
  "access_denied",
  "invalid_scope",
  "temporarily_unavailable",
  "interaction_required",
  "login_required",
  "account_selection_required",
  "consent_required",
]);

/** `POST …/consent`: the form of the consent page. */
export async function decide(broker: Broker, request: RouteRequest): Promise<Response> {
  const browser = browserOf(request);
  const asked = browser === undefined ? undefined : await readTicket(broker, request, browser);
  if (browser === undefined || !asked)
    return problem(
      "This page is too old",
      "What you decided could not be read: too much time has passed, or your browser takes no cookies from here. Go back to the application and begin again.",
    );
  if (!asked.approved)
    return leave("You are sent back", withParams(asked.redirectUri, errorOf(asked, "access_denied")));
  const cookie = remember(broker, request, browser, asked);
  const { url } = await beginLogin(broker, request, asked, browser);
  return leave("You are sent to the login", url, cookie === undefined ? [] : [cookie]);
}

/** Bound to the browser's cookie, so that no page elsewhere can make up the form (CSRF). */
async function readTicket({ seals }: Broker, request: RouteRequest, browser: string) {
  const site = request.headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin") return undefined;
  try {
    const form = await readForm(request);
    const asked = seals.open("ticket", form.get("ticket") ?? "", browser);
    const decision = form.get("decision");
    if (!asked || (decision !== "approve" && decision !== "deny")) return undefined;
    return { ...asked, approved: decision === "approve" };
  } catch (error) {
    if (error instanceof OAuthError) return undefined;
    throw error;
  }
}

/** Only after consent. @returns where the browser goes: to the provider, or back to the client where it cannot be asked */
export async function beginLogin(
  broker: Broker,
  request: RouteRequest,
  { client, redirectUri, state, challenge, scopes, resource, iss }: Asked,
  browser: string,
): Promise<{ url: string }> {
  const { settings, seals, provider } = broker;
  const asked: Asked = { client, redirectUri, ...(state !== undefined && { state }), challenge, scopes, resource, iss };
  const callback =
    settings.redirectUri === "{publicUrl}/callback"
      ? `${request.publicUrl}/callback`
      : `${issuerOf(broker, request)}/callback`;
  const flow: Flow = {
    ...asked,
    id: randomText(),
    browser,
    verifier: randomText(),
    nonce: randomText(),
    callback,
  };
  try {
    const sealed = seals.seal("flow", flow, Date.now() + settings.loginLifetime);
    return { url: await provider.loginUrl(flow, sealed) };
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    return { url: withParams(redirectUri, errorOf(asked, "temporarily_unavailable")) };
  }
}

/**
 * The provider's redirect URI.
 *
 * @param place under which it was called: a login ends where it was meant to, so that two providers cannot be mixed up
 * @returns nothing where its `state` is not of this mount
 */
export async function callback(broker: Broker, request: RouteRequest, place: string): Promise<Response | undefined> {
  const { seals, grants, settings, provider, app, mount } = broker;
  const { searchParams } = request.url;
  const [state, ...more] = searchParams.getAll("state");
  const flow = state && more.length === 0 ? seals.open("flow", state) : undefined;
  if (!flow || flow.callback !== place) return undefined;
  const browser = browserOf(request);
  if (browser === undefined || !isEqual(browser, flow.browser))
    return problem(
      "This login began in another browser",
      "You come from a login that was begun in another browser, or your browser has lost its cookies. Go back to the application and begin again.",
    );
  if (!(await grants.use(`state ${flow.id}`, settings.loginLifetime)))
    return problem("This login is over already", "Go back to the application, and begin again if you need to.");
  const answer = await provider.readAnswer(searchParams).catch((error: unknown) => {
    if (!(error instanceof ProviderError)) throw error;
    app.log.warn(
      () => `${mount.server}: an answer that claims to be from the provider of its logins: ${error.message}`,
    );
    return { error: "server_error" };
  });
  if ("error" in answer)
    return redirect(
      withParams(flow.redirectUri, errorOf(flow, RELAYED.has(answer.error) ? answer.error : "server_error")),
    );
  const { browser: _browser, state: clientState, iss, ...rest } = flow;
  const code = seals.seal("code", { ...rest, code: answer.code }, Date.now() + settings.codeLifetime);
  return redirect(withParams(flow.redirectUri, { code, state: clientState, iss }));
}

/** An answer to the client that something did not work out (RFC 6749 §4.1.2.1). */
function errorOf({ state, iss }: Asked, error: string): Record<string, string | undefined> {
  return { error, error_description: DESCRIPTIONS[error] ?? DESCRIPTIONS.server_error, state, iss };
}

const DESCRIPTIONS: Record<string, string> = {
  access_denied: "The login was not allowed.",
  invalid_scope: "The provider of this server's logins does not know a scope.",
  temporarily_unavailable: "The provider of this server's logins cannot be asked now. Try again.",
  interaction_required: "The provider wants to ask the user.",
  login_required: "The provider wants the user to log in.",
  account_selection_required: "The provider wants the user to choose an account.",
  consent_required: "The provider wants the user's consent.",
  server_error: "The provider of this server's logins refused. The log of the proxy has the cause.",
};
