import { type PenstockConfig, type Plugin, ProxyError } from "../core/index.ts";

/** Options of {@link mounts}. */
export interface MountsOptions {
  /** Public path of a server; `{server}` is its name. @default "/{server}/mcp" */
  path?: string;
  /** Where a lone server is served besides; `false` for nowhere. @default "/mcp" */
  lonePath?: string | false;
}

/** Unreserved characters of a path segment (RFC 3986 §2.3), but not `.` and `..`. */
const SEGMENT = /^(?!\.{1,2}$)[\w.~-]+$/;

/**
 * Gives every server without a `path` of its own the path `/{server}/mcp`, and a lone server `/mcp` too. Legacy and modern
 * clients use the same path. The order in which servers are written never decides anything.
 *
 * @throws ProxyError `BAD_CONFIG` when two names make one path segment
 */
export function mounts(options: MountsOptions = {}): Plugin {
  const { path = "/{server}/mcp", lonePath = "/mcp" } = options;
  if (!path.includes("{server}"))
    throw new ProxyError("BAD_OPTION", { plugin: "plugin 'mounts'", hint: "`path` must contain {server}." });
  return {
    name: "mounts",
    order: "pre",
    config(config) {
      const names = Object.keys(config.servers);
      const bySlug = new Map<string, string>();
      const servers: PenstockConfig["servers"] = {};
      for (const name of names) {
        const server = config.servers[name]!;
        servers[name] = server;
        if (server.path !== undefined) continue;
        const slug = slugOf(name);
        const other = bySlug.get(slug);
        if (other !== undefined)
          throw new ProxyError("BAD_CONFIG", {
            hint: `servers: '${other}' and '${name}' would both be served under "${slug}". Rename one, or give it a path.`,
          });
        bySlug.set(slug, name);
        const own = path.replaceAll("{server}", slug);
        servers[name] = { ...server, path: names.length === 1 && lonePath !== false ? [own, lonePath] : [own] };
      }
      return { ...config, servers };
    },
  };
}

/** A name as a path segment: as it is where it can be, else lower case with dashes. */
function slugOf(name: string): string {
  if (SEGMENT.test(name)) return name;
  const slug = name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z\d]+/g, "-")
    .replace(/^-+|-+$/g, "");
  if (slug === "")
    throw new ProxyError("BAD_CONFIG", {
      hint: `servers: no path can be made from the name ${JSON.stringify(name)}. Give this server a path.`,
    });
  return slug;
}
