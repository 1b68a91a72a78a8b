import {
  type Answer,
  type App,
  type Awaitable,
  type Mount,
  type Plugin,
  ProxyError,
  type RequestHead,
  type RouteRequest,
} from "../core/index.ts";
import { type OAuthIssuer, PROTECTED_RESOURCE, oauthMount, preflight, publicJson, readableByAll } from "./_oauth.ts";
import { unknownClient, unknownState } from "./_page.ts";

export { type OAuthIssuer, type OAuthMount, oauthMount } from "./_oauth.ts";

/** Options of {@link oauthRoot}. */
export interface OAuthRootOptions {
  /**
   * Which server requests without a server's name are for. `"single"`: the only one, if its clients must log in. `"never"`:
   * none, ever. Or a server's name. A client id or `resource` that belongs to one server leads there in the other two cases.
   * @default "single"
   */
  policy?: string;
}

type Endpoint = "register" | "authorize" | "token";

/**
 * Clients that find no metadata for their server look at the root of the origin, and register and log in there. That works
 * where it is clear which server they mean; elsewhere they are told to use that server's own paths, and no server is named.
 * For the root list. Plugins that make clients log in put {@link oauthMount} on their mounts.
 *
 * @throws ProxyError `BAD_OPTION` at the start, when the policy names no server
 */
export function oauthRoot(options: OAuthRootOptions = {}): Plugin {
  const { policy = "single" } = options;
  return {
    name: "oauth-root",
    setup(app) {
      const isName = policy !== "single" && policy !== "never";
      if (isName && !app.mounts.some(({ server }) => server === policy))
        throw new ProxyError("BAD_OPTION", {
          plugin: "plugin 'oauth-root'",
          hint: `\`policy\` is "single", "never", or a server's name; there is no server ${JSON.stringify(policy)}.`,
        });
      const find = (request: RequestHead) => rootMount(app, policy, request);
      for (const name of ["oauth-authorization-server", "openid-configuration"])
        addDocument(app, `/.well-known/${name}`, async (request) => {
          const issuer = (await find(request))?.get(oauthMount)?.issuer;
          if (!issuer) return notHere();
          const { origin } = new URL(request.publicUrl);
          return publicJson({ ...(await issuer.metadata(request, origin)), issuer: origin });
        });
      addDocument(app, PROTECTED_RESOURCE, async (request) => {
        // A mount at "/" has its own document here: for it, this is the inserted form.
        const mount = (await atRoot(app, request)) ?? (await find(request));
        const document = await mount?.get(oauthMount)?.resource(request);
        if (!mount || !document) return notHere();
        const path = mount.paths.includes("/") ? "/" : mount.path;
        return publicJson({ ...document, resource: request.publicUrl + path });
      });
      addEndpoint(app, "POST", "register", async (request) => answerOf(await find(request), "register", request));
      addEndpoint(app, "GET", "authorize", async (request) => {
        const { searchParams } = request.url;
        const clientId = searchParams.get("client_id") ?? undefined;
        const mount = await mountFor(app, policy, request, clientId, searchParams.getAll("resource"));
        const issuer = mount?.get(oauthMount)?.issuer;
        // An unknown client has no redirect URI that could be checked: the user is told here, and sent nowhere.
        const isKnown = clientId && ((await issuer?.issued(clientId)) || issuer?.looksUp?.(clientId));
        if (issuer && !isKnown) return unknownClient();
        return answerOf(mount, "authorize", request);
      });
      const handler = (request: RouteRequest) => callbackOf(app, request);
      app.route({ method: "GET", path: "/callback", access: "public", handler });
      addEndpoint(app, "POST", "token", async (request) => {
        const body = await request.text();
        const form = new URLSearchParams(body);
        const clientId = form.get("client_id") ?? basicUser(request.headers);
        const mount = await mountFor(app, policy, request, clientId, form.getAll("resource"));
        return answerOf(mount, "token", { ...request, text: async () => body });
      });
    },
  };
}

function addDocument(app: App, path: string, handler: (request: RouteRequest) => Promise<Answer>): void {
  app.route({ method: "GET", path, access: "public", handler });
  app.route({ method: "OPTIONS", path, access: "public", handler: () => preflight("GET, HEAD, OPTIONS") });
}

function addEndpoint(
  app: App,
  method: "GET" | "POST",
  name: Endpoint,
  handler: (request: RouteRequest) => Promise<Answer | Response>,
): void {
  const path = `/${name}`;
  app.route({ method, path, access: "public", handler });
  // Browsers navigate to /authorize; the others are fetched by web pages.
  if (name !== "authorize")
    app.route({ method: "OPTIONS", path, access: "public", handler: () => preflight(`${method}, OPTIONS`) });
}

/** The server that requests without a name are for, by the policy alone. */
async function rootMount(app: App, policy: string, request: RequestHead): Promise<Mount | undefined> {
  const named = app.mounts.find(({ server }) => server === policy);
  // Beside a server whose clients need no login, a root document would make them log in.
  const mount = policy === "single" ? (app.mounts.length === 1 ? app.mounts[0] : undefined) : named;
  return policy !== "never" && mount && (await isVisible(mount, request)) ? mount : undefined;
}

async function atRoot(app: App, request: RequestHead): Promise<Mount | undefined> {
  const mount = app.mounts.find(({ paths }) => paths.includes("/"));
  return mount && (await isVisible(mount, request)) ? mount : undefined;
}

/** The one visible server that client id and `resource` belong to; else what the policy says. */
async function mountFor(
  app: App,
  policy: string,
  request: RequestHead,
  clientId: string | undefined,
  resources: readonly string[],
): Promise<Mount | undefined> {
  if (policy === "never") return undefined;
  const byClient: Mount[] = [];
  const byResource: Mount[] = [];
  for (const mount of app.mounts) {
    const issuer = mount.get(oauthMount)?.issuer;
    if (!issuer || !(await isVisible(mount, request))) continue;
    if (clientId && (await issuer.issued(clientId))) byClient.push(mount);
    if (resources.length > 0 && resources.every((resource) => isUrlOf(mount, resource, request)))
      byResource.push(mount);
  }
  const both = byClient.filter((mount) => byResource.includes(mount));
  const meant = resources.length === 0 ? byClient : byClient.length === 0 ? byResource : both;
  return meant.length === 1 ? meant[0] : rootMount(app, policy, request);
}

/** The server whose login comes back: its sealed `state` says so, and nothing else does. */
async function callbackOf(app: App, request: RouteRequest): Promise<Answer | Response> {
  for (const mount of app.mounts) {
    const issuer = mount.get(oauthMount)?.issuer;
    const answer = issuer?.callback && (await isVisible(mount, request)) && (await issuer.callback(request));
    if (answer) return answer;
  }
  return unknownState();
}

async function isVisible(mount: Mount, request: RequestHead): Promise<boolean> {
  const state = mount.get(oauthMount);
  return state !== undefined && (!state.visible || (await state.visible(request)));
}

function isUrlOf({ paths }: Mount, resource: string, { publicUrl }: RequestHead): boolean {
  if (!URL.canParse(resource)) return false;
  const named = plainUrl(resource);
  return paths.some((path) => plainUrl(publicUrl + path) === named);
}

function plainUrl(text: string): string {
  return new URL(text).href.replace(/\/+$/, "");
}

/** The server's own handler, called here: a redirect would cost a round trip, and many clients do not follow one with a body. */
function answerOf(mount: Mount | undefined, endpoint: Endpoint, request: RouteRequest): Awaitable<Answer | Response> {
  const issuer: OAuthIssuer | undefined = mount?.get(oauthMount)?.issuer;
  const handler = issuer?.[endpoint];
  if (!issuer || !handler) return notHere();
  const made = handler.call(issuer, request, new URL(request.publicUrl).origin);
  if (endpoint === "authorize") return made;
  return made instanceof Promise ? made.then(readableByAll) : readableByAll(made as Answer | Response);
}

/** The client id of HTTP Basic (RFC 6749 §2.3.1: both parts are form-encoded). */
function basicUser(headers: Headers): string | undefined {
  const [, credentials] = /^Basic +([A-Za-z\d+/]+=*)$/i.exec(headers.get("authorization") ?? "") ?? [];
  try {
    const id = credentials && atob(credentials).split(":")[0];
    return id ? decodeURIComponent(id.replaceAll("+", " ")) : undefined;
  } catch {
    return undefined;
  }
}

/** The same for every reason, so that it tells nothing about the servers. */
function notHere(): Answer {
  const hint =
    "It is not clear here which server is meant. Use the paths of that server: /{server}/…, or its metadata.";
  return publicJson({ error: "not_found", error_description: hint }, 404);
}
