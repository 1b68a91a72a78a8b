/** What plugins say about mounts whose clients must log in, and what all of them answer in the same way. */
import {
  type Answer,
  type Awaitable,
  type Json,
  type RequestHead,
  type RouteRequest,
  type State,
  defineState,
  empty,
  json,
} from "../core/index.ts";

/** The part of an authorization server that this proxy plays for one mount. Its own routes lie under `/{server}/`. */
export interface OAuthIssuer {
  /**
   * Its metadata (RFC 8414 §2) with endpoints under `/{server}/`; `issuer` is added by whoever serves it.
   *
   * @param issuer under which the client found it: the mount's own, or the proxy's origin. What a flow returns as `iss` (RFC
   * 9207) must be the same; a query in `authorization_endpoint` can carry it there
   */
  metadata(request: RequestHead, issuer: string): Awaitable<Json>;
  /** Whether a client id is known for this mount: registered here, or listed in the configuration. */
  issued(clientId: string): Awaitable<boolean>;
  /** Whether it would look up an id that no server has issued: the URL of a client's metadata. @default none */
  looksUp?(clientId: string): boolean;
  /** `POST …/register` (RFC 7591); absent where clients cannot register. */
  register?(request: RouteRequest, issuer: string): Awaitable<Answer | Response>;
  /** `GET …/authorize` (RFC 6749 §3.1). */
  authorize(request: RouteRequest, issuer: string): Awaitable<Answer | Response>;
  /** `POST …/token` (RFC 6749 §3.2). */
  token(request: RouteRequest, issuer: string): Awaitable<Answer | Response>;
  /** `GET /callback`, where a provider sends browsers back to. @returns nothing where the `state` is not of this mount */
  callback?(request: RouteRequest): Awaitable<Answer | Response | undefined>;
}

/** Clients of a mount must log in. Set in `setup` by the plugin that makes them. */
export interface OAuthMount {
  /** The mount's protected-resource metadata (RFC 9728 §2); `resource` is added by whoever serves it. Nothing where there is none. */
  resource(request: RequestHead): Awaitable<Json | undefined>;
  /** Where this proxy issues the tokens. Absent: an authorization server elsewhere does. */
  issuer?: OAuthIssuer;
  /** Whether the caller may learn that this server exists. @default everybody */
  visible?(request: RequestHead): Awaitable<boolean>;
}

/** The slot of a mount that says so. */
export const oauthMount: State<OAuthMount> = defineState("oauth.mount");

export const PROTECTED_RESOURCE = "/.well-known/oauth-protected-resource";

/** Where the metadata of a protected resource lies: between host and path (RFC 9728 §3.1). @param resource its URL */
export function resourceMetadataUrl(resource: string): string {
  const { origin, pathname } = new URL(resource);
  return origin + PROTECTED_RESOURCE + pathname.replace(/\/+$/, "");
}

/** Public by nature, asked for by web pages of any origin, and made for one Host: nobody may keep it for another. */
const FIELDS = { "access-control-allow-origin": "*", "cache-control": "no-store" };

/** A document that everybody may read. */
export function publicJson(value: Json, status = 200): Answer {
  return json(value, status, FIELDS);
}

/** The answer to a preflight (Fetch §3.3.5). `*` does not cover Authorization there. */
export function preflight(methods: string): Answer {
  return empty(204, {
    ...FIELDS,
    "access-control-allow-methods": methods,
    "access-control-allow-headers": "*, Authorization",
  });
}

/** Adds what a web page needs to read an answer. */
export function readableByAll<T extends Answer | Response>(answer: T): T {
  answer.headers.set("access-control-allow-origin", "*");
  return answer;
}
