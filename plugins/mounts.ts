import { type PenstockConfig, type Plugin, ProxyError, messagesPath } from "../core/index.ts";

/** Options of {@link mounts}. */
export interface MountsOptions {
  /** Public path of a server; `{server}` is its name. @default "/{server}/mcp" */
  path?: string;
  /** Where a lone server is served besides; `false` for nowhere. @default "/mcp" */
  lonePath?: string | false;
  /** Path of the event stream for HTTP+SSE clients (MCP 2024-11-05), with `{server}`; `false` for none. @default "/{server}/sse" */
  ssePath?: string | false;
  /** Where a lone server has it besides; `false` for nowhere. @default "/sse" */
  loneSsePath?: string | false;
}

/** Unreserved characters of a path segment (RFC 3986 §2.3), but not `.` and `..`. */
const SEGMENT = /^(?!\.{1,2}$)[\w.~-]+$/;

/**
 * Gives every server without a `path` of its own the path `/{server}/mcp`, and a lone server `/mcp` too. Legacy and modern
 * clients use the same path. HTTP+SSE clients find such a server at `/{server}/sse` and `/sse`, unless the configuration says
 * something else about these paths. The order in which servers are written never decides anything.
 *
 * @throws ProxyError `BAD_CONFIG` when two names make one path segment
 */
export function mounts(options: MountsOptions = {}): Plugin {
  const { path = "/{server}/mcp", lonePath = "/mcp", ssePath = "/{server}/sse", loneSsePath = "/sse" } = options;
  for (const [name, template] of Object.entries({ path, ssePath }))
    if (template !== false && !template.includes("{server}"))
      throw new ProxyError("BAD_OPTION", { plugin: "plugin 'mounts'", hint: `\`${name}\` must contain {server}.` });
  return {
    name: "mounts",
    order: "pre",
    config(config) {
      const names = Object.keys(config.servers);
      const bySlug = new Map<string, string>();
      const written = writtenPaths(config);
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
        const isLone = names.length === 1;
        const paths = [path, isLone && lonePath].filter((one) => one !== false);
        // What somebody wrote down for another purpose is not taken from them.
        const ssePaths = [ssePath, isLone && loneSsePath]
          .filter((one) => one !== false)
          .map((one) => one.replaceAll("{server}", slug))
          .filter((one) => !written.has(one) && !written.has(messagesPath(one)));
        servers[name] = {
          ...server,
          path: paths.map((one) => one.replaceAll("{server}", slug)),
          ssePath: server.ssePath ?? ssePaths,
        };
      }
      return { ...config, servers };
    },
  };
}

/** Every path that the configuration names itself. */
function writtenPaths({ servers }: PenstockConfig): Set<string> {
  const written = new Set<string>();
  for (const { path = [], ssePath = [] } of Object.values(servers)) {
    for (const one of [path].flat()) written.add(withoutSlash(one));
    for (const one of [ssePath].flat()) written.add(withoutSlash(one)).add(messagesPath(withoutSlash(one)));
  }
  return written;
}

function withoutSlash(path: string): string {
  return path.replace(/\/+$/, "") || "/";
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
