/** One login: registration, the authorization request in a browser, and the tokens (OAuth 2.1 with PKCE; RFC 7591, 8707, 9207). */
import {
  type AuthorizationServer,
  type Client,
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  None,
  type TokenEndpointResponse,
  allowInsecureRequests,
  authorizationCodeGrantRequest,
  calculatePKCECodeChallenge,
  customFetch,
  dynamicClientRegistrationRequest,
  generateRandomCodeVerifier,
  generateRandomState,
  processAuthorizationCodeResponse,
  processDynamicClientRegistrationResponse,
  validateAuthResponse,
} from "oauth4webapi";
import type { GuardedFetch } from "../../outbound/guarded-fetch.ts";
import { type CallbackAnswer, openCallback } from "./callback.ts";
import type { Discovery } from "./discovery.ts";
import { describeOAuth } from "./failures.ts";
import type { Kept } from "./kept-login.ts";
import { scopesOf } from "./refusal.ts";

/** What a login needs. */
export interface AuthorizeOptions {
  /** The URL that the user typed. */
  server: URL;
  discovery: Discovery;
  scopes: readonly string[] | undefined;
  clientId?: string;
  clientSecret?: string;
  /** Of the redirect URI. @default a free one */
  callbackPort?: number;
  fetch: GuardedFetch;
  signal: AbortSignal;
  /** Nobody may see them from here on. */
  secret(value: string): void;
  /** The user goes there. */
  show(url: URL): void;
}

/** Client ids that are URLs are those of metadata documents. */
export function isDocument(clientId: string | undefined): boolean {
  return clientId !== undefined && /^https:\/\//i.test(clientId);
}

/** @throws Error one sentence for the user, without secrets */
export async function authorize(options: AuthorizeOptions): Promise<Kept> {
  const { server, discovery, signal, secret } = options;
  const as = discovery.as!;
  const [state, verifier] = [generateRandomState(), generateRandomCodeVerifier()];
  for (const value of [state, verifier]) secret(value);
  const callback = await openCallback(state, options.callbackPort).catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`port ${options.callbackPort ?? 0} of 127.0.0.1 cannot be listened on (${cause.code})`, { cause });
  });
  let answer: CallbackAnswer | undefined;
  try {
    const scopes = wantedScopes(as, options.scopes);
    const client = await clientFor(as, callback.redirectUri, scopes, options);
    if (typeof client.client_secret === "string") secret(client.client_secret);
    const url = new URL(as.authorization_endpoint!);
    const { resource } = discovery;
    const params: Record<string, string | undefined> = {
      response_type: "code",
      client_id: client.client_id,
      redirect_uri: callback.redirectUri,
      state,
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      resource,
      scope: scopes?.join(" "),
      // OpenID Connect Core §11: without it there is no refresh token.
      prompt: scopes?.includes("offline_access") ? "consent" : undefined,
    };
    for (const [name, value] of Object.entries(params)) if (value !== undefined) url.searchParams.set(name, value);
    options.show(url);
    answer = await untilAborted(callback.answered, signal);
    const code = answer.params.get("code");
    if (code !== null) secret(code);
    const checked = validateAuthResponse(as, client, answer.params, state);
    const response = await authorizationCodeGrantRequest(
      as,
      client,
      clientAuth(as, client),
      checked,
      callback.redirectUri,
      verifier,
      { ...http(options.fetch, signal), additionalParameters: resource === undefined ? {} : { resource } },
    );
    const tokens = await processAuthorizationCodeResponse(as, client, response);
    const kept = keep(
      {
        format: 1,
        server: server.href,
        ...(options.clientId !== undefined && { clientId: options.clientId }),
        ...(resource !== undefined && { resource }),
        as: partOf(as),
        client: {
          client_id: client.client_id,
          // What the user gave stands in his variable, and in no file.
          ...(options.clientSecret === undefined &&
            typeof client.client_secret === "string" && {
              client_secret: client.client_secret,
            }),
          ...(client.token_endpoint_auth_method !== undefined && {
            token_endpoint_auth_method: client.token_endpoint_auth_method as string,
          }),
        },
        accessToken: "",
        ...(scopes && { scopes }),
      },
      tokens,
    );
    answer.show(true, `You are logged in to ${server.host}. You can close this page.`);
    return kept;
  } catch (cause) {
    const why = signal.aborted ? "the time for the login is over, or it was ended" : describeOAuth(cause);
    answer?.show(false, `The login at ${server.host} failed: ${why}. The program that asked for it has the details.`);
    if (signal.aborted) throw signal.reason;
    throw new Error(why, { cause });
  } finally {
    callback.close();
  }
}

/** What came takes the place of what was. @throws Error for a token that this client cannot use */
export function keep(before: Kept, tokens: TokenEndpointResponse): Kept {
  if (tokens.token_type !== "bearer")
    throw new Error("the tokens are bound to a key (DPoP), which is not supported here");
  const { refresh_token: refreshToken = before.refreshToken, expires_in: life } = tokens;
  const { expiresAt: _, ...rest } = before;
  const scopes = scopesOf(tokens.scope) ?? before.scopes;
  return {
    ...rest,
    accessToken: tokens.access_token,
    ...(refreshToken !== undefined && { refreshToken }),
    ...(life !== undefined && life >= 0 && { expiresAt: Date.now() + life * 1000 }),
    ...(scopes && { scopes }),
  };
}

/** Endpoints pass the guarded fetch, which knows where http: may be. */
export function http(fetch: GuardedFetch, signal: AbortSignal) {
  return { [customFetch]: fetch, [allowInsecureRequests]: true, signal } as const;
}

/** RFC 8414 §2: where nothing is said, `client_secret_basic`. */
export function clientAuth(
  as: Kept["as"],
  { client_secret: secret, token_endpoint_auth_method: method }: Client,
): ClientAuth {
  if (typeof secret !== "string") return None();
  const methods = as.token_endpoint_auth_methods_supported ?? ["client_secret_basic"];
  const chosen = method ?? (methods.includes("client_secret_basic") ? "client_secret_basic" : "client_secret_post");
  return chosen === "client_secret_post" ? ClientSecretPost(secret) : ClientSecretBasic(secret);
}

/** A refresh token is wanted: who asks for no scope gets what the server thinks right. */
function wantedScopes(as: AuthorizationServer, scopes: readonly string[] | undefined): readonly string[] | undefined {
  const offered: unknown = as.scopes_supported;
  const hasOffline = Array.isArray(offered) && offered.includes("offline_access");
  return scopes && hasOffline ? [...new Set([...scopes, "offline_access"])] : scopes;
}

async function clientFor(
  as: AuthorizationServer,
  redirectUri: string,
  scopes: readonly string[] | undefined,
  { clientId, clientSecret, fetch, signal }: AuthorizeOptions,
): Promise<Client> {
  const isUsable = !isDocument(clientId) || as.client_id_metadata_document_supported === true;
  if (clientId !== undefined && isUsable)
    return { client_id: clientId, ...(clientSecret !== undefined && { client_secret: clientSecret }) };
  const methods = as.token_endpoint_auth_methods_supported;
  const method =
    !methods || methods.includes("none")
      ? "none"
      : methods.includes("client_secret_post")
        ? "client_secret_post"
        : "client_secret_basic";
  const asked = await dynamicClientRegistrationRequest(
    as,
    {
      client_name: "Penstock",
      application_type: "native",
      redirect_uris: [redirectUri],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: method,
      ...(scopes && { scope: scopes.join(" ") }),
    },
    http(fetch, signal),
  );
  // RFC 7591 §3.2.1 says 201; some say 200 and mean it.
  const response = asked.status === 200 ? new Response(asked.body, { status: 201, headers: asked.headers }) : asked;
  const registered = await processDynamicClientRegistrationResponse(response);
  return {
    client_id: registered.client_id,
    ...(typeof registered.client_secret === "string" &&
      registered.token_endpoint_auth_method !== "none" && { client_secret: registered.client_secret }),
    token_endpoint_auth_method: (registered.token_endpoint_auth_method as string | undefined) ?? method,
  };
}

function partOf(as: AuthorizationServer): Kept["as"] {
  const { issuer, token_endpoint, revocation_endpoint, token_endpoint_auth_methods_supported } = as;
  return {
    issuer,
    token_endpoint,
    ...(revocation_endpoint !== undefined && { revocation_endpoint }),
    ...(token_endpoint_auth_methods_supported && { token_endpoint_auth_methods_supported }),
  };
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
