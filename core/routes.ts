/** Routes of plugins: who may call them, which methods a path has, and what they are given. */
import { ProxyError, isProxyError } from "./errors.ts";
import { ANONYMOUS } from "./define.ts";
import type { Access, Answer, Plugin, Principal, RequestHead, Route } from "./types.ts";

const ACCESS: readonly Access[] = ["public", "principal", "details"];
const METHODS: readonly Route["method"][] = ["GET", "POST", "PUT", "DELETE", "OPTIONS"];

/** One path with the handlers of its methods. */
export class RoutePath {
  readonly #routes = new Map<string, { route: Route; plugin: Plugin }>();
  /** The root list's plugins that ask who is calling. */
  readonly #authenticators: readonly Plugin[];

  constructor(authenticators: readonly Plugin[]) {
    this.#authenticators = authenticators;
  }

  add(route: Route, plugin: Plugin): void {
    this.#routes.set(route.method, { route, plugin });
  }

  /** @param text reads the body @throws ProxyError */
  async serve(head: RequestHead, text: () => Promise<string>): Promise<Answer | Response> {
    const method = head.method === "HEAD" ? "GET" : head.method;
    const found = this.#routes.get(method);
    if (!found) throw new ProxyError("METHOD_NOT_ALLOWED", { headers: { allow: this.#allow() } });
    const { route, plugin } = found;
    const principal = route.access === "public" ? undefined : await this.#whoAsks(head, route.access);
    if (principal && !("id" in principal)) return principal;
    const known = this.#authenticators.length > 0 && principal !== undefined;
    const request = {
      method: head.method,
      url: head.url,
      headers: head.headers,
      ip: head.ip,
      local: head.local,
      publicUrl: head.publicUrl,
      principal,
      trusted: known || (route.access !== "public" && head.local),
      text,
    };
    try {
      return await route.handler(request);
    } catch (cause) {
      if (isProxyError(cause)) throw cause;
      throw new ProxyError("PLUGIN_FAILED", { plugin: plugin.name, hook: `route ${route.path}`, cause });
    }
  }

  /** Details are for local callers too: whoever sits at the machine can read its log. */
  async #whoAsks(head: RequestHead, access: Access): Promise<Principal | Answer | Response | undefined> {
    for (const plugin of this.#authenticators) {
      const found = await plugin.authenticate!(head, undefined);
      if (found) return found;
    }
    if (access === "details" && head.local) return undefined;
    if (this.#authenticators.length > 0) throw unauthenticated();
    if (access === "details") throw new ProxyError("FORBIDDEN");
    return ANONYMOUS;
  }

  #allow(): string {
    const methods = [...this.#routes.keys()];
    return (methods.includes("GET") ? [...methods, "HEAD"] : methods).join(", ");
  }
}

/** RFC 9110 §15.5.2: a 401 has a challenge. A plugin that knows more answers with one of its own. */
export function unauthenticated(server?: string): ProxyError {
  return new ProxyError("UNAUTHENTICATED", {
    server,
    headers: { "www-authenticate": "Bearer", "cache-control": "no-store" },
  });
}

/** @throws ProxyError `BAD_OPTION` when nobody said who may call it */
export function checkRoute({ path, method, access }: Route, plugin: Plugin): void {
  const refuse = (hint: string): never => {
    throw new ProxyError("BAD_OPTION", { plugin: `plugin '${plugin.name}'`, hint });
  };
  if (typeof path !== "string" || !path.startsWith("/")) refuse(`The path of a route begins with "/".`);
  if (!METHODS.includes(method)) refuse(`The method of route ${path} is one of ${METHODS.join(", ")}.`);
  if (!ACCESS.includes(access))
    refuse(`Route ${path} does not say who may call it: access is one of ${ACCESS.join(", ")}.`);
}
