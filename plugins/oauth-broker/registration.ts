/** Dynamic client registration (RFC 7591). Whatever is posted was written by a stranger. */
import type { Answer, Json, RouteRequest } from "../../core/index.ts";
import { isRecord } from "../../core/index.ts";
import { CLIENT_AUTH, type ClientAuthMethod, type ClientMetadata, type Clients } from "./clients.ts";
import { OAuthError, answerJson } from "./params.ts";
import { readRedirectUri } from "./redirect-uris.ts";

const MAX_BODY = 16 * 1024;
const MAX_URIS = 16;
/** Of all redirect URIs together: they are in the client's id, and that is in addresses. */
const MAX_URI_BYTES = 1500;
const MAX_NAME = 80;
const GRANTS = ["authorization_code", "refresh_token"];

/** @throws OAuthError RFC 7591 §3.2.2 */
export async function register(request: RouteRequest, clients: Clients, schemes: readonly string[]): Promise<Answer> {
  if (!/^application\/json\s*(?:;|$)/i.test(request.headers.get("content-type") ?? ""))
    throw refuse("The body must be application/json.");
  const text = await request.text();
  const posted = text.length > MAX_BODY ? undefined : parsed(text);
  if (!isRecord(posted)) throw refuse("The body must be a JSON object of 16 KiB at most.");
  const metadata = readMetadata(posted, schemes);
  const { id, secret, expiresAt } = clients.register(metadata);
  const { name, redirectUris, auth } = metadata;
  return answerJson(
    {
      client_id: id,
      client_id_issued_at: Math.floor(Date.now() / 1000),
      ...(secret !== undefined && {
        client_secret: secret,
        client_secret_expires_at: Math.floor(expiresAt / 1000),
      }),
      ...(name !== undefined && { client_name: name }),
      ...(posted.application_type !== undefined && { application_type: posted.application_type }),
      redirect_uris: redirectUris,
      grant_types: GRANTS,
      response_types: ["code"],
      token_endpoint_auth_method: auth,
    },
    201,
  );
}

/** What a client says about itself, here or in a document of its own. @throws OAuthError */
export function readMetadata(said: Json, schemes: readonly string[]): ClientMetadata {
  const { redirect_uris: uris, client_name: name, token_endpoint_auth_method: auth = "none" } = said;
  if (!Array.isArray(uris) || uris.length === 0 || uris.length > MAX_URIS)
    throw refuse(`redirect_uris must be a list of 1 to ${MAX_URIS} redirect URIs.`, "invalid_redirect_uri");
  const redirectUris = uris.map((one) => {
    const { uri, why } = readRedirectUri(one, schemes);
    if (uri === undefined) throw refuse(`A redirect URI ${why}.`, "invalid_redirect_uri");
    return uri;
  });
  if (redirectUris.join("").length > MAX_URI_BYTES)
    throw refuse("The redirect URIs are too long.", "invalid_redirect_uri");
  checkList("grant_types", said.grant_types, GRANTS);
  checkList("response_types", said.response_types, ["code"]);
  if (said.application_type !== undefined && said.application_type !== "native" && said.application_type !== "web")
    throw refuse("application_type must be native or web.");
  // OpenID Connect Dynamic Client Registration §2: a web application has no place on the user's machine.
  if (said.application_type === "web" && !redirectUris.every((uri) => uri.startsWith("https:")))
    throw refuse(
      "The redirect URIs of a web application are https:. Register with application_type native.",
      "invalid_redirect_uri",
    );
  if (!CLIENT_AUTH.includes(auth as ClientAuthMethod))
    throw refuse(`token_endpoint_auth_method must be one of ${CLIENT_AUTH.join(", ")}.`);
  if (name !== undefined && typeof name !== "string") throw refuse("client_name must be a text.");
  return { name: readableName(name), redirectUris, auth: auth as ClientAuthMethod };
}

/** Without characters that cannot be seen, or change the direction of what stands around them. */
export function readableName(name: string | undefined): string | undefined {
  const visible = (name ?? "")
    .slice(0, 4 * MAX_NAME)
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "")
    .replace(/\s+/g, " ")
    .trim();
  return [...visible].slice(0, MAX_NAME).join("") || undefined;
}

function checkList(name: string, value: unknown, known: readonly string[]): void {
  if (value === undefined || (Array.isArray(value) && value.every((one) => known.includes(one as string)))) return;
  throw refuse(`${name} may hold ${known.join(", ")}.`);
}

function refuse(description: string, code: string = "invalid_client_metadata"): OAuthError {
  return new OAuthError(code, description);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
