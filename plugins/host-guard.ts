import {
  type App,
  type Early,
  type Plugin,
  ProxyError,
  type RequestHead,
  empty,
  isLoopbackHost,
} from "../core/index.ts";
import { type Host, compileHosts, compileOrigins, readHost, readOrigin } from "./_hosts.ts";

/** Options of {@link hostGuard}. */
export interface HostGuardOptions {
  /**
   * Under which names and addresses this proxy may be asked: `mcp.example.com`, `*.example.com`, `192.0.2.7:8080`, `[::1]`,
   * and `loopback` for all names of this machine. Without a port, every port. An empty list allows none.
   *
   * @default ["loopback"], and the hosts of `publicUrl` and `host` in the configuration
   */
  hosts?: readonly string[];
  /**
   * Which web pages may call it: `https://app.example.com`, `https://*.example.com`, `http://localhost:*`, and `null` for
   * pages without an origin. Pages of the proxy's own public URL may, too. An empty list allows none at all.
   *
   * @default http and https pages of this machine and of `hosts`
   */
  origins?: readonly string[];
  /** Request fields that these pages may send, beside those of MCP. @default [] */
  allowHeaders?: readonly string[];
  /** These paths may be asked (GET, HEAD) under any Host: who checks on a process knows its address only. @default ["/healthz", "/readyz"] */
  anyHost?: readonly string[];
  /** Below these paths every web page may read (GET, HEAD), but not where a server is mounted. @default ["/.well-known/"] */
  publicPaths?: readonly string[];
}

const NAME = "host-guard";
/** Hosts that were found good are remembered, so that the next request costs a look-up. A caller may invent many. */
const MAX_SEEN = 100;
const METHODS = "GET, POST, PUT, DELETE";
/** Fields of MCP clients in browsers (MCP 2025-11-25 and 2026-07-28, Streamable HTTP), and those of plugins of this package. */
const ALLOWED =
  "Authorization, Content-Type, Accept, Last-Event-ID, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, X-Api-Key, X-Request-Id";
const EXPOSED = "Mcp-Session-Id, WWW-Authenticate, MCP-Protocol-Version, X-Request-Id, Retry-After";
/** Tools name these themselves (MCP 2026-07-28, `x-mcp-header`), so no list can hold them. */
const PARAMETER = /^mcp-param-[\w.-]+$/i;
/** In seconds. */
const MAX_AGE = "600";

/**
 * Refuses requests under a Host that this proxy is not known by (DNS rebinding: MCP Streamable HTTP, Security Warning), and
 * requests of web pages whose Origin is not allowed. Allowed pages get the CORS fields that browsers ask for; no refused one
 * does. Programs send no Origin, and pass. Belongs into the root list: it decides before it is known which server is meant.
 *
 * @throws ProxyError `BAD_OPTION`
 */
export function hostGuard(options: HostGuardOptions = {}): Plugin {
  checkLists(options);
  const { allowHeaders = [], publicPaths = ["/.well-known/"], anyHost = ["/healthz", "/readyz"] } = options;
  const isListedHost = compileHosts(options.hosts ?? ["loopback"], NAME);
  /** From the configuration, where the option does not say it all. */
  const ownNames = new Set<string>();
  const isListed =
    options.origins &&
    compileOrigins(
      options.origins.filter((entry) => entry !== "null"),
      NAME,
    );
  const seen = new Set<string>();
  let open = publicPaths;
  /** A trusted proxy in front says what Host the client named: that one counts as well. */
  let believesProxies = false;

  function isKnown(host: Host): boolean {
    return isListedHost(host) || ownNames.has(host.name);
  }

  function admitHost(host: string): void {
    if (seen.has(host)) return;
    const read = readHost(host);
    if (!read || !isKnown(read)) throw refusal("FORBIDDEN_HOST", host);
    if (seen.size >= MAX_SEEN) seen.clear();
    seen.add(host);
  }

  function isOpenToAll({ method, url }: RequestHead): boolean {
    return (method === "GET" || method === "HEAD") && anyHost.includes(url.pathname);
  }

  function mayCall(origin: string, request: RequestHead): boolean {
    if (origin === "null") return options.origins?.includes(origin) ?? false;
    const page = readOrigin(origin);
    if (!page) return false;
    if (!isListed) return /^https?$/.test(page.scheme) && (isLoopbackHost(page.name) || isKnown(page));
    return isListed(page) || (options.origins!.length > 0 && origin === new URL(request.publicUrl).origin);
  }

  function mayRead({ method, headers, url }: RequestHead): boolean {
    const wanted = method === "OPTIONS" ? headers.get("access-control-request-method") : method;
    if (wanted !== "GET" && wanted !== "HEAD") return false;
    return open.some((path) => url.pathname.startsWith(path));
  }

  function answerPage(origin: string, request: RequestHead, added: Headers): Early {
    const isFriend = mayCall(origin, request);
    if (!isFriend && !mayRead(request)) throw refusal("FORBIDDEN_ORIGIN", origin);
    added.set("access-control-allow-origin", isFriend ? origin : "*");
    added.append("vary", "Origin");
    if (request.method === "OPTIONS" && request.headers.has("access-control-request-method"))
      return empty(204, isFriend ? preflight(request.headers) : PUBLIC_PREFLIGHT);
    added.set("access-control-expose-headers", EXPOSED);
  }

  /** Fetch Standard, CORS-preflight request; and Private Network Access, for pages out there that call this machine. */
  function preflight(headers: Headers): Record<string, string> {
    const wanted = (headers.get("access-control-request-headers") ?? "").split(",").map((name) => name.trim());
    const names = [ALLOWED, ...allowHeaders, ...wanted.filter((name) => PARAMETER.test(name))];
    return {
      "access-control-allow-methods": METHODS,
      "access-control-allow-headers": names.join(", "),
      "access-control-max-age": MAX_AGE,
      ...(headers.get("access-control-request-private-network") === "true" && {
        "access-control-allow-private-network": "true",
      }),
    };
  }

  return {
    name: NAME,
    order: "pre",
    config({ publicUrl, host, trustedProxies = [] }) {
      believesProxies ||= publicUrl === undefined && trustedProxies.length > 0;
      if (options.hosts) return;
      if (publicUrl !== undefined && URL.canParse(publicUrl)) ownNames.add(new URL(publicUrl).hostname);
      const listening = readHost(host?.includes(":") && !host.startsWith("[") ? `[${host}]` : (host ?? ""));
      if (listening && !WILDCARDS.has(listening.name)) ownNames.add(listening.name);
    },
    setup(app) {
      // A server must not be asked on behalf of a page that may not call it.
      open = open.filter((path) => !isMounted(app, path));
    },
    guard(request, added) {
      const { headers } = request;
      const host = headers.get("host");
      try {
        // Hosts other than HTTP/1.1 servers may have no such field.
        admitHost(host ?? request.url.host);
        if (believesProxies) admitHost(new URL(request.publicUrl).host);
      } catch (refused) {
        if (!isOpenToAll(request)) throw refused;
      }
      const origin = headers.get("origin");
      if (origin !== null) return answerPage(origin, request, added);
    },
  };
}

const PUBLIC_PREFLIGHT = {
  "access-control-allow-methods": "GET, HEAD",
  "access-control-allow-headers": "Accept, Content-Type, MCP-Protocol-Version",
  "access-control-max-age": MAX_AGE,
};

/** @param value what was refused; for the log only */
function refusal(code: "FORBIDDEN_HOST" | "FORBIDDEN_ORIGIN", value: string): ProxyError {
  return new ProxyError(code, { detail: JSON.stringify(value.slice(0, 200)) });
}

/** Addresses to listen on that no request names. */
const WILDCARDS: ReadonlySet<string> = new Set(["0.0.0.0", "[::]"]);

const LISTS = {
  hosts: { form: /^/, what: "hosts" },
  origins: { form: /^/, what: "origins" },
  allowHeaders: { form: /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/, what: "names of header fields" },
  anyHost: { form: /^\/[^\s?#]*$/, what: 'paths that begin with "/"' },
  publicPaths: { form: /^\/(?:[^\s?#]*\/)?$/, what: 'paths that begin and end with "/"' },
};

/** A configuration may come without types. @throws ProxyError `BAD_OPTION` */
function checkLists(options: HostGuardOptions): void {
  for (const [name, { form, what }] of Object.entries(LISTS)) {
    const list: unknown = options[name as keyof HostGuardOptions] ?? [];
    if (Array.isArray(list) && list.every((entry) => typeof entry === "string" && form.test(entry))) continue;
    throw new ProxyError("BAD_OPTION", { plugin: `plugin '${NAME}'`, hint: `${name} must be a list of ${what}.` });
  }
}

/** Whether a path of a server, which may have parameters, leads below `prefix`. */
function isMounted({ mounts }: App, prefix: string): boolean {
  const wanted = prefix.split("/").filter(Boolean);
  return mounts.some(({ paths }) =>
    paths.some((path) => {
      const segments = path.split("/").filter(Boolean);
      const rest = segments.findIndex((segment) => segment.includes("**"));
      return wanted.every(
        (name, i) => (rest !== -1 && i >= rest) || segments[i] === name || /[:*]/.test(segments[i] ?? ""),
      );
    }),
  );
}
