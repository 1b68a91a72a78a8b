/** Authorization server metadata (RFC 8414 §2) and where it lies. */
import type { App, Json, RequestHead } from "../../core/index.ts";
import { preflight, publicJson } from "../_oauth.ts";
import { type Broker, issuerOf } from "./broker.ts";
import { CLIENT_AUTH } from "./clients.ts";

const FORMS = ["oauth-authorization-server", "openid-configuration"] as const;

/** @param issuer under which the client found it; the flow carries it along and returns it as `iss` */
export function metadata(broker: Broker, request: RequestHead, issuer: string): Json {
  const base = issuerOf(broker, request);
  const { registration, clientMetadataDocuments, scopes } = broker.settings;
  return {
    issuer,
    authorization_endpoint: `${base}/authorize${issuer === base ? "" : "?from=root"}`,
    token_endpoint: `${base}/token`,
    ...(registration && { registration_endpoint: `${base}/register` }),
    revocation_endpoint: `${base}/revoke`,
    ...(scopes.length > 0 && { scopes_supported: scopes }),
    response_types_supported: ["code"],
    response_modes_supported: ["query"],
    grant_types_supported: ["authorization_code", "refresh_token"],
    token_endpoint_auth_methods_supported: CLIENT_AUTH,
    revocation_endpoint_auth_methods_supported: CLIENT_AUTH,
    code_challenge_methods_supported: ["S256"],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: clientMetadataDocuments,
  };
}

/** Under which issuer a flow began: the origin where the address says that its metadata was found there. */
export function issuerOfFlow(broker: Broker, request: RequestHead): string {
  const isRoot = request.url.searchParams.get("from") === "root";
  return isRoot ? new URL(request.publicUrl).origin : issuerOf(broker, request);
}

/** Between host and path of the issuer (RFC 8414 §3.1), and behind it (OpenID Connect Discovery §4), with the prefix of `publicUrl` and without. */
export function addMetadata(app: App, broker: Broker): void {
  const prefix = new URL(app.publicUrl ?? "http://localhost").pathname.replace(/\/+$/, "");
  const path = `/${broker.segment}`;
  const places = FORMS.flatMap((form) => [
    `/.well-known/${form}${prefix}${path}`,
    `/.well-known/${form}${path}`,
    `${path}/.well-known/${form}`,
  ]);
  for (const place of new Set(places)) {
    const route = { path: place, access: "public" } as const;
    const handler = (request: RequestHead) => publicJson(metadata(broker, request, issuerOf(broker, request)));
    app.route({ ...route, method: "GET", handler });
    app.route({ ...route, method: "OPTIONS", handler: () => preflight("GET, HEAD, OPTIONS") });
  }
}
