import { type App, type Mount, type Plugin, type RouteRequest, type State, defineState } from "../core/index.ts";
import { type OAuthIssuer, oauthMount, preflight } from "./_oauth.ts";
import { unknownState } from "./_page.ts";
import { protectMounts } from "./_resource-routes.ts";
import { type Broker, createBroker, issuerOf } from "./oauth-broker/broker.ts";
import { addChallenge, authenticate, forward } from "./oauth-broker/callers.ts";
import { authorize } from "./oauth-broker/authorize.ts";
import { callback, decide } from "./oauth-broker/login.ts";
import { addMetadata, issuerOfFlow, metadata } from "./oauth-broker/metadata.ts";
import { type OAuthBrokerOptions, readOptions } from "./oauth-broker/options.ts";
import { answering } from "./oauth-broker/params.ts";
import { RateLimit } from "./oauth-broker/rate-limit.ts";
import { register } from "./oauth-broker/registration.ts";
import { revoke } from "./oauth-broker/revoke.ts";
import { token } from "./oauth-broker/token.ts";

export type { BrokerClient, OAuthBrokerOptions } from "./oauth-broker/options.ts";

const NAME = "oauth-broker";
const brokers: State<Broker> = defineState("oauth-broker");

/**
 * Clients log in here, and this proxy logs in for them at a provider that knows only one client: the proxy. For servers whose
 * tokens come from such a provider (GitHub and most others). A client registers itself or brings metadata, its user consents on a
 * page of the proxy, logs in at the provider, and the client gets short-lived tokens of the proxy's own; those of the provider go
 * to the server, and to nobody else. In a server's `plugins`, or in the root list for all servers with one provider.
 *
 * @throws ProxyError `BAD_OPTION`; at the start also where another plugin makes the same clients log in
 */
export function oauthBroker(options: OAuthBrokerOptions): Plugin {
  const settings = readOptions(options);
  let isShared = false;
  const of = (mount: Mount | undefined) => mount?.get(brokers);
  return {
    name: NAME,
    // Inside of all that translates and repeats: every request to the server passes here.
    order: "post",
    credentials: ["authorization"],
    config({ store }) {
      isShared = store !== undefined;
    },
    setup(app) {
      for (const mount of app.mounts) mount.set(brokers, createBroker(app, mount, settings, isShared));
      protectMounts(app, NAME, (mount) => {
        const broker = of(mount)!;
        return {
          resource: (request) => ({
            authorization_servers: [issuerOf(broker, request)],
            ...(settings.scopes.length > 0 && { scopes_supported: settings.scopes }),
            bearer_methods_supported: ["header"],
          }),
          issuer: issuerFor(broker),
        };
      });
      for (const mount of app.mounts) addRoutes(app, of(mount)!, mount.get(oauthMount)!.issuer!);
    },
    async authenticate(request, mount) {
      const broker = of(mount);
      return broker && authenticate(broker, request);
    },
    async forward(exchange, request, next) {
      return forward(of(exchange.mount)!, exchange, request, next);
    },
    response(exchange, answer) {
      addChallenge(of(exchange.mount)!, exchange, answer);
    },
  };
}

/** What `oauth-root` may ask of it. */
function issuerFor(broker: Broker): OAuthIssuer {
  const { clients, settings } = broker;
  const limit = new RateLimit();
  return {
    metadata: (request, issuer) => metadata(broker, request, issuer),
    issued: (clientId) => clients.issued(clientId),
    looksUp: (clientId) => clients.isDocument(clientId),
    ...(settings.registration && {
      register: (request) =>
        answering(async () => {
          limit.count(request);
          return register(request, clients, settings.redirectSchemes);
        }),
    }),
    authorize: (request, issuer) => authorize(broker, request, issuer),
    token: (request) => answering(() => token(broker, request)),
    callback: (request) => callback(broker, request, `${request.publicUrl}/callback`),
  };
}

/** Its endpoints, under `/{server}/`. */
function addRoutes(app: App, broker: Broker, issuer: OAuthIssuer): void {
  addMetadata(app, broker);
  const path = (name: string) => `/${broker.segment}/${name}`;
  const here = (request: RouteRequest) => issuerOf(broker, request);
  const posts = {
    ...(issuer.register && { register: (request: RouteRequest) => issuer.register!(request, here(request)) }),
    token: (request: RouteRequest) => issuer.token(request, here(request)),
    revoke: (request: RouteRequest) => answering(() => revoke(broker, request)),
  };
  for (const [name, handler] of Object.entries(posts)) {
    app.route({ method: "POST", path: path(name), access: "public", handler });
    app.route({ method: "OPTIONS", path: path(name), access: "public", handler: () => preflight("POST, OPTIONS") });
  }
  const page = { access: "public" } as const;
  app.route({
    ...page,
    method: "GET",
    path: path("authorize"),
    handler: (request) => authorize(broker, request, issuerOfFlow(broker, request)),
  });
  app.route({ ...page, method: "POST", path: path("consent"), handler: (request) => decide(broker, request) });
  app.route({
    ...page,
    method: "GET",
    path: path("callback"),
    handler: async (request) => (await callback(broker, request, `${here(request)}/callback`)) ?? unknownState(),
  });
}
