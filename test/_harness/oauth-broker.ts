/** A plugin that makes clients log in and issues the tokens itself, as small as can be: what `oauth-root` is proved with. */
import type { App, Json, Mount, Plugin, RequestHead } from "mcp-penstock";
import { type OAuthIssuer, oauthMount } from "mcp-penstock/plugins/oauth-root";
import { type TokenMint, serverMetadata, tokenMint } from "./token-mint.ts";

/** Where it tells which requests its handlers got since it was last asked: a list of `server endpoint issuer`. */
export const CALLS = "/broker/calls";

interface BrokerOptions {
  /** Servers whose clients must log in. */
  servers: readonly string[];
  /** Callers who name themselves so see none of them. */
  hiddenFrom?: string;
  /** As servers of revision 2025-03-26: no metadata of the resource, and a bare 401. */
  old?: boolean;
}

/** Makes one: `/{server}/register|authorize|token`, the metadata of each server, and 401 for all others. */
export function broker({ servers, hiddenFrom, old = false }: BrokerOptions): Plugin {
  const mints: Record<string, TokenMint> = {};
  let calls: string[] = [];

  function setUp(app: App, mount: Mount): void {
    const { server } = mount;
    const mint = (mints[server] = tokenMint(server));
    const own = (request: RequestHead) => `${request.publicUrl}/${server}`;
    const issuer: OAuthIssuer = {
      metadata(request, from) {
        const base = own(request);
        // Where the flow began is carried in the address, so that its end can say the same.
        const mark = from === base ? "" : "?from=root";
        return {
          ...serverMetadata(`${base}/authorize${mark}`, `${base}/token`, `${base}/register`),
          scopes_supported: [`${server}:use`],
        };
      },
      issued: (clientId) => mint.issued(clientId),
      async register(request, from) {
        calls.push(`${server} register ${from}`);
        return Response.json(mint.register(JSON.parse(await request.text()) as Json), { status: 201 });
      },
      authorize(request, from) {
        const { searchParams } = request.url;
        const { origin } = new URL(request.publicUrl);
        const iss = searchParams.get("from") === "root" ? origin : from;
        calls.push(`${server} authorize ${iss}`);
        const target = mint.authorize(searchParams, iss);
        return typeof target === "string" ? new Response(target, { status: 400 }) : Response.redirect(target, 302);
      },
      async token(request, from) {
        calls.push(`${server} token ${from}`);
        const [status, body] = mint.token(new URLSearchParams(await request.text()));
        return Response.json(body, { status });
      },
    };
    const resource = (request: RequestHead): Json | undefined =>
      old ? undefined : { authorization_servers: [own(request)], scopes_supported: [`${server}:use`] };
    mount.set(oauthMount, {
      resource,
      issuer,
      ...(hiddenFrom && { visible: ({ headers }: RequestHead) => headers.get("x-who") !== hiddenFrom }),
    });
    const shared = { access: "public" } as const;
    app.route({
      ...shared,
      method: "POST",
      path: `/${server}/register`,
      handler: (request) => issuer.register!(request, own(request)),
    });
    app.route({
      ...shared,
      method: "GET",
      path: `/${server}/authorize`,
      handler: (request) => issuer.authorize(request, own(request)),
    });
    app.route({
      ...shared,
      method: "POST",
      path: `/${server}/token`,
      handler: (request) => issuer.token(request, own(request)),
    });
    // RFC 8414 §3.1, RFC 9728 §3.1: before the path of the issuer and the resource, which has that of the public URL.
    const prefix = new URL(app.publicUrl ?? "http://localhost").pathname.replace(/\/$/, "");
    app.route({
      ...shared,
      method: "GET",
      path: `/.well-known/oauth-authorization-server${prefix}/${server}`,
      handler: async (request) =>
        Response.json({ ...(await issuer.metadata(request, own(request))), issuer: own(request) }),
    });
    app.route({
      ...shared,
      method: "GET",
      path: `/.well-known/oauth-protected-resource${prefix}${mount.path}`,
      handler: (request) =>
        old
          ? Response.json({ error: "not_found" }, { status: 404 })
          : Response.json({ ...resource(request), resource: request.publicUrl + mount.path }),
    });
  }

  return {
    name: "broker",
    setup(app) {
      const tell = () => {
        const told = Response.json(calls);
        calls = [];
        return told;
      };
      app.route({ access: "public", method: "GET", path: CALLS, handler: tell });
      for (const mount of app.mounts) if (servers.includes(mount.server)) setUp(app, mount);
    },
    request({ mount, request }) {
      const mint = mints[mount.server];
      const token = (request.headers.get("authorization") ?? "").slice("Bearer ".length);
      if (mint && !mint.tokens.has(token))
        return new Response(null, { status: 401, headers: { "www-authenticate": "Bearer" } });
    },
  };
}
