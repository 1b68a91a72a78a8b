/** The metadata of protected resources (RFC 9728), for whichever plugin makes a mount's clients log in. */
import {
  type App,
  type Mount,
  ProxyError,
  type Route,
  type RouteRequest,
  type State,
  defineState,
} from "../core/index.ts";
import { type OAuthMount, PROTECTED_RESOURCE, oauthMount, preflight, publicJson } from "./_oauth.ts";

/** Name of the plugin that has set the mount's {@link oauthMount}. */
const claimant: State<string> = defineState("oauth.claimant");

/**
 * Puts {@link oauthMount} on the mounts of a plugin, and serves a document for each of their paths. For `setup`.
 *
 * @param plugin its name
 * @param describe what is said of a mount
 * @throws ProxyError `BAD_OPTION` where another plugin makes the clients of a mount log in, `PATH_TAKEN`
 */
export function protectMounts(app: App, plugin: string, describe: (mount: Mount) => OAuthMount): void {
  for (const mount of app.mounts) {
    if (mount.get(oauthMount)) refuseSecond(mount, mount.get(claimant) ?? "another plugin", plugin);
    mount.set(oauthMount, describe(mount));
    mount.set(claimant, plugin);
  }
  addDocuments(app);
}

function refuseSecond({ server }: Mount, first: string, second: string): never {
  const both = first === second ? `'${first}' twice` : `'${first}' and '${second}'`;
  throw new ProxyError("BAD_OPTION", {
    plugin: `plugin '${second}'`,
    hint: `The clients of server '${server}' would log in by two plugins, ${both}. Leave one of them: a plugin that is for some servers only belongs into their own \`plugins\`.`,
  });
}

/** Behind a proxy that takes the prefix of `publicUrl` away and behind one that does not. */
function addDocuments(app: App): void {
  const prefix = withoutSlash(new URL(app.publicUrl ?? "http://localhost").pathname);
  const places = new Map<string, Route["handler"]>();
  for (const before of new Set([prefix, ""])) {
    for (const mount of app.mounts) {
      for (const path of new Set([...mount.paths, ...mount.ssePaths])) {
        const at = withoutSlash(before + path);
        // The root document belongs to `oauth-root`.
        if (at === "") continue;
        const isPattern = /[:*]/.test(path);
        const skip = PROTECTED_RESOURCE.length + before.length;
        const document = (request: RouteRequest) =>
          describeResource(mount, request, isPattern ? withoutSlash(request.url.pathname.slice(skip)) : path);
        // Between host and path (RFC 9728 §3.1), and behind the path, where some clients look by mistake.
        const found = [PROTECTED_RESOURCE + at, ...(isPattern ? [] : [at + PROTECTED_RESOURCE])];
        // Where two paths meet, the one that clients see counts.
        for (const place of found) if (!places.has(place)) places.set(place, document);
      }
    }
  }
  for (const [path, handler] of places) {
    app.route({ path, method: "GET", access: "public", handler });
    app.route({ path, method: "OPTIONS", access: "public", handler: () => preflight("GET, HEAD, OPTIONS") });
  }
}

async function describeResource(mount: Mount, request: RouteRequest, path: string) {
  const found = await mount.get(oauthMount)!.resource(request);
  // Never a 5xx: clients take one for a reason to guess other places.
  if (!found) return publicJson({ error: "not_found", error_description: "This server tells no metadata." }, 404);
  return publicJson({ ...found, resource: request.publicUrl + path });
}

function withoutSlash(path: string): string {
  return path.replace(/\/+$/, "");
}
