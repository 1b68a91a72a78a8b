/** Who calls the token and the revocation endpoint (RFC 6749 §2.3 and §3.2.1). */
import type { RouteRequest } from "../../core/index.ts";
import type { Broker } from "./broker.ts";
import type { ClientAuthMethod } from "./clients.ts";
import { OAuthError, type Params } from "./params.ts";

/** @returns the client's id @throws OAuthError `invalid_client`, `invalid_request` */
export async function authenticateClient({ clients }: Broker, request: RouteRequest, form: Params): Promise<string> {
  const basic = readBasic(request.headers.get("authorization"));
  const posted = form.get("client_secret");
  if (basic?.secret !== undefined && posted !== undefined)
    throw new OAuthError("invalid_request", "The client authenticates in two ways at once.");
  const id = form.get("client_id") ?? basic?.id;
  if (id === undefined || (basic && basic.id !== id)) throw invalidClient(basic !== undefined);
  const how: ClientAuthMethod = basic ? "client_secret_basic" : posted === undefined ? "none" : "client_secret_post";
  if (!(await clients.authenticate(id, basic?.secret ?? posted, how))) throw invalidClient(basic !== undefined);
  return id;
}

/** Both parts are form-encoded (RFC 6749 §2.3.1). @throws OAuthError where there is something else */
function readBasic(field: string | null): { id: string; secret: string | undefined } | undefined {
  if (field === null) return undefined;
  const [, credentials] = /^Basic +([A-Za-z\d+/]+=*)$/i.exec(field) ?? [];
  try {
    const [, id = "", secret = ""] = /^([^:]*):(.*)$/s.exec(atob(credentials ?? "")) ?? [];
    const decode = (text: string) => decodeURIComponent(text.replaceAll("+", " "));
    if (id !== "") return { id: decode(id), secret: secret === "" ? undefined : decode(secret) };
  } catch {
    // Neither base64 nor form-encoded.
  }
  throw invalidClient(true);
}

/** RFC 6749 §5.2: whoever came with Basic is told that it is what is wanted. */
function invalidClient(withBasic: boolean): OAuthError {
  const headers: Record<string, string> = withBasic ? { "www-authenticate": "Basic" } : {};
  return new OAuthError(
    "invalid_client",
    "The client is not known here, its registration has expired, or it did not authenticate as registered. Register again.",
    401,
    headers,
  );
}
