/** The authorization endpoint (RFC 6749 §3.1 and §4.1.1, RFC 7636 §4.3, RFC 8707 §2.1, RFC 9207). */
import type { RouteRequest } from "../../core/index.ts";
import { type Broker, issuerOf, resourceNamed } from "./broker.ts";
import { browserOf, consentsOf, newBrowser } from "./browser.ts";
import type { Client } from "./clients.ts";
import { consentPage } from "./consent-page.ts";
import { isRemembered } from "./consents.ts";
import { problem, redirect, unknownClient } from "../_page.ts";
import { OAuthError, Params } from "./params.ts";
import { beginLogin } from "./login.ts";
import { sha256 } from "./random.ts";
import { isRegistered, readRedirectUri, withParams } from "./redirect-uris.ts";
import type { Asked } from "./sealed.ts";

/** It comes back in an address. */
const MAX_STATE = 2048;
/** RFC 7636 §4.2: 32 bytes in base64url. */
const CHALLENGE = /^[\w-]{43}$/;

/** @param iss under which the client found this endpoint */
export async function authorize(broker: Broker, request: RouteRequest, iss: string): Promise<Response> {
  const params = new Params(request.url.searchParams);
  const client = await knownClient(broker, params);
  if (!client) return unknownClient();
  const redirectUri = registeredUri(broker, client, params);
  if (redirectUri === undefined)
    return problem(
      "Wrong return address",
      "The application wants you sent back to an address that it has not registered here, so you were not sent on. Go back to it and connect it again; if that does not help, tell its developer.",
    );
  let asked: Asked;
  try {
    asked = await read(broker, request, params, redirectUri, iss);
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error;
    const state = params.get("state");
    const echoed = state !== undefined && state.length <= MAX_STATE ? state : undefined;
    const answer = { error: error.code, error_description: error.message, state: echoed, iss };
    return redirect(withParams(redirectUri, answer));
  }
  const known = browserOf(request);
  const { id: browser, cookie } = known === undefined ? newBrowser(request) : { id: known, cookie: undefined };
  const wantsPage = /(?:^| )(?:consent|login|select_account)(?: |$)/.test(params.get("prompt") ?? "");
  const remembered = wantsPage ? undefined : consentsOf(request, broker.segment);
  if (known !== undefined && isRemembered(broker, remembered, known, asked)) {
    const next = await beginLogin(broker, request, asked, known);
    return redirect(next.url);
  }
  const { settings, seals, mount } = broker;
  const provider = settings.endpoints?.authorization ?? (settings.issuer as string);
  return consentPage({
    client,
    asked,
    scopes: [...new Set([...settings.providerScopes, ...asked.scopes])],
    server: mount.server,
    providerHost: new URL(provider).host,
    action: `${new URL(issuerOf(broker, request)).pathname}/consent`,
    ticket: seals.seal("ticket", asked, Date.now() + settings.loginLifetime, browser),
    cookies: cookie === undefined ? [] : [cookie],
  });
}

async function knownClient({ clients }: Broker, params: Params): Promise<Client | undefined> {
  const [id, ...more] = params.all("client_id");
  return id && more.length === 0 ? clients.find(id) : undefined;
}

/** Before it is known to be the client's, nothing is sent there (RFC 6749 §4.1.2.1). */
function registeredUri({ settings }: Broker, client: Client, params: Params): string | undefined {
  const [asked, ...more] = params.all("redirect_uri");
  if (!asked || more.length > 0) return undefined;
  const { uri } = readRedirectUri(asked, settings.redirectSchemes);
  return uri !== undefined && isRegistered(uri, client.redirectUris) ? uri : undefined;
}

/** @throws OAuthError RFC 6749 §4.1.2.1, RFC 8707 §2 */
async function read(
  broker: Broker,
  request: RouteRequest,
  params: Params,
  redirectUri: string,
  iss: string,
): Promise<Asked> {
  const refuse = (code: string, why: string) => new OAuthError(code, why);
  if (params.repeated !== undefined) throw refuse("invalid_request", "A parameter is there more than once.");
  if (params.get("response_type") !== "code") throw refuse("unsupported_response_type", "response_type must be code.");
  if ((params.get("response_mode") ?? "query") !== "query")
    throw refuse("invalid_request", "response_mode must be query.");
  if (params.get("request") !== undefined) throw refuse("request_not_supported", "request is not supported.");
  if (params.get("request_uri") !== undefined)
    throw refuse("request_uri_not_supported", "request_uri is not supported.");
  const challenge = params.get("code_challenge") ?? "";
  if (params.get("code_challenge_method") !== "S256" || !CHALLENGE.test(challenge))
    throw refuse("invalid_request", "PKCE is needed: code_challenge, and code_challenge_method=S256.");
  const state = params.get("state");
  if (state !== undefined && state.length > MAX_STATE)
    throw refuse("invalid_request", `state must have ${MAX_STATE} characters at most.`);
  return {
    client: await sha256(params.get("client_id") as string),
    redirectUri,
    ...(state !== undefined && { state }),
    challenge,
    scopes: scopesOf(broker, params.get("scope")),
    resource: resourceOf(broker, request, params.all("resource")),
    iss,
  };
}

/** Without a word of the client's: this mount, for clients of before RFC 8707. @throws OAuthError `invalid_target` */
function resourceOf(broker: Broker, request: RouteRequest, named: readonly string[]): string {
  const urls = named.map((resource) => resourceNamed(broker, request, resource));
  if (urls.includes(undefined) || new Set(urls).size > 1)
    throw new OAuthError("invalid_target", "resource must be the URL of this MCP server, as its metadata has it.");
  return urls[0] ?? request.publicUrl + broker.mount.path;
}

/** What is not known here is left out, and the answer tells what is left (RFC 6749 §3.3). @throws OAuthError `invalid_scope` */
function scopesOf({ settings: { scopes } }: Broker, asked: string | undefined): readonly string[] {
  const wanted = (asked ?? "").split(" ").filter(Boolean);
  if (wanted.length === 0 || scopes.length === 0) return scopes;
  const found = scopes.filter((scope) => wanted.includes(scope));
  if (found.length === 0) throw new OAuthError("invalid_scope", "None of these scopes is known here.");
  return found;
}
