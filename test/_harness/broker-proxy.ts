import type { OAuthBrokerOptions } from "mcp-penstock/plugins/oauth-broker";
import type { OAuthRootOptions } from "mcp-penstock/plugins/oauth-root";
import { mounts, oauthBroker, oauthRoot } from "./plugins.ts";
import { type FakeProvider, PROVIDER_SECRET, type ProviderOptions, startProvider, wanting } from "./provider.ts";
import { startProxy } from "./proxy.ts";
import type { Use } from "./scope.ts";
import { type LegacyServer, startLegacyServer } from "./servers.ts";

/** What stands around a broker. */
export interface Around {
  /** How its provider behaves. */
  provider?: ProviderOptions;
  root?: OAuthRootOptions;
  /** Members of the configuration. */
  config?: object;
  /** Its plugins, before those of the login. */
  plugins?: readonly unknown[];
}

/** A proxy with a login. */
export interface Brokered {
  provider: FakeProvider;
  server: LegacyServer;
  /** Provider's tokens that the server refuses all the same. */
  refusing: Set<string>;
  url: string;
  /** Of the endpoints of server `docs`. */
  base: string;
  mcp: string;
}

/** Options of a broker for this provider. */
export function brokerOptions(provider: FakeProvider, more: Partial<OAuthBrokerOptions> = {}): OAuthBrokerOptions {
  const { issuer } = provider;
  return { issuer, clientId: "penstock", clientSecret: PROVIDER_SECRET, scopes: ["read", "write"], ...more };
}

/** Serves a configuration. @returns its URL */
export async function serve(use: Use, config: object): Promise<string> {
  return (await use(startProxy(config))).url;
}

/** A provider, a server `docs` that wants its tokens, and a proxy in front. */
export async function startBrokered(
  use: Use,
  options: Partial<OAuthBrokerOptions> = {},
  { provider: about, root, config, plugins = [] }: Around = {},
): Promise<Brokered> {
  const provider = await use(startProvider(about));
  const refusing = new Set<string>();
  const server = await use(startLegacyServer({ sessions: false, intercept: wanting(provider, refusing) }));
  const login = [mounts(), oauthRoot(root), oauthBroker(brokerOptions(provider, options))];
  const servers = { docs: { url: server.url } };
  const url = await serve(use, { servers, plugins: [...plugins, ...login], ...config });
  return { provider, server, refusing, url, base: `${url}/docs`, mcp: `${url}/docs/mcp` };
}
