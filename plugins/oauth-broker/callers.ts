/** Calls with the tokens that were issued here: who is asking, and which token of the provider goes to the server for it. */
import {
  type Answer,
  type Exchange,
  type Mount,
  type Next,
  type Principal,
  ProxyError,
  type RequestHead,
  type State,
  type UpstreamRequest,
  defineState,
  discard,
  mountUrl,
} from "../../core/index.ts";
import { writeChallenges } from "../_challenges.ts";
import { resourceMetadataUrl } from "../_oauth.ts";
import { type Broker, isAudience } from "./broker.ts";

const BEARER = /^bearer +([\w-]+)$/i;
/** Callers whose last grant is remembered, for what the proxy does on their behalf later. */
const MAX_LATEST = 10_000;

/** What a mount remembers of its callers. */
interface Callers {
  /** Grants by the principal that a request was given. */
  grants: WeakMap<Principal, string>;
  /** The newest by a principal's id: work on its behalf goes on when the grant that began it has ended. */
  latest: Map<string, string>;
  /** Requests that came with a token which is no good. */
  refused: WeakSet<RequestHead>;
}

const state: State<Callers> = defineState("oauth-broker.callers");

function callersOf(mount: Mount): Callers {
  const known = mount.get(state);
  if (known) return known;
  const made: Callers = { grants: new WeakMap(), latest: new Map(), refused: new WeakSet() };
  mount.set(state, made);
  return made;
}

/** Knows a caller by an access token of this mount. A request with another credential is left to other plugins. */
export async function authenticate(broker: Broker, request: RequestHead): Promise<Principal | undefined> {
  const { mount, seals, grants } = broker;
  const field = request.headers.get("authorization");
  if (field === null) return undefined;
  const callers = callersOf(mount);
  const claims = seals.open("access", BEARER.exec(field)?.[1] ?? "");
  if (!claims || !isAudience(broker, request, claims.resource) || !(await grants.of(claims)))
    return void callers.refused.add(request);
  const principal: Principal = { id: claims.principal, scopes: claims.scopes };
  callers.grants.set(principal, claims.grant);
  callers.latest.delete(principal.id);
  callers.latest.set(principal.id, claims.grant);
  if (callers.latest.size > MAX_LATEST) callers.latest.delete(callers.latest.keys().next().value!);
  return principal;
}

/** Puts the provider's token on a request, and asks for a new one where the server does not take it. */
export async function forward(
  broker: Broker,
  exchange: Exchange,
  request: UpstreamRequest,
  next: Next,
): Promise<Answer> {
  const { grants } = broker;
  const found = await grantOf(broker, exchange);
  // Somebody else knows this caller, or the proxy asks on nobody's behalf.
  if (!found) return next(request);
  const { id, access } = found;
  const first = await next(withToken(request, access));
  if (first.status !== 401) return first;
  const refreshed = await grants.refresh(id, access);
  if (refreshed === "failed") return first;
  discard(first);
  if (refreshed !== "ended") {
    const second = await next(withToken(request, refreshed.tokens.access));
    if (second.status !== 401) return second;
    discard(second);
  } else {
    // It cannot be refreshed, and the server takes it no more: only a new login helps.
    await grants.end(id, "the server does not take its token any more");
  }
  throw loginAgain(broker, exchange);
}

async function grantOf({ mount, grants }: Broker, { principal, origin }: Exchange) {
  const callers = callersOf(mount);
  const own = callers.grants.get(principal);
  const latest = origin === "client" ? undefined : callers.latest.get(principal.id);
  for (const id of [own, latest]) {
    const held = id === undefined ? undefined : await grants.read(id);
    if (id !== undefined && held?.grant) return { id, access: held.grant.provider.access };
  }
  return undefined;
}

function withToken(request: UpstreamRequest, token: string): UpstreamRequest {
  const headers = new Headers([...request.headers]);
  headers.set("authorization", `Bearer ${token}`);
  return { ...request, headers };
}

function loginAgain({ mount, settings }: Broker, { request }: Exchange): ProxyError {
  return new ProxyError("UNAUTHENTICATED", {
    server: mount.server,
    hint: "The login has ended: log in again.",
    headers: { "www-authenticate": challenge(mount, request, settings.scopes, true), "cache-control": "no-store" },
  });
}

/** On a refusal, where the client finds out how to log in (RFC 9728 §5.1, RFC 6750 §3). */
export function addChallenge({ mount, settings }: Broker, exchange: Exchange, answer: Answer): void {
  const field = answer.headers.get("www-authenticate");
  if (answer.status !== 401 || exchange.asked || field?.includes("resource_metadata")) return;
  const isRefused = callersOf(mount).refused.has(exchange.request);
  answer.headers.set("www-authenticate", challenge(mount, exchange.request, settings.scopes, isRefused));
}

function challenge(mount: Mount, request: RequestHead, scopes: readonly string[], isRefused: boolean): string {
  const params = [
    ...(isRefused ? [{ name: "error", value: "invalid_token" }] : []),
    ...(scopes.length > 0 ? [{ name: "scope", value: scopes.join(" ") }] : []),
    { name: "resource_metadata", value: resourceMetadataUrl(mountUrl(request, mount)) },
  ];
  return writeChallenges([{ scheme: "Bearer", params }]);
}
