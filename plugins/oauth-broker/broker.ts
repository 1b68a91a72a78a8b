/** What the endpoints of one mount have in common. */
import { type App, type Mount, ProxyError, type RequestHead, mountUrl } from "../../core/index.ts";
import { Clients } from "./clients.ts";
import { Grants } from "./grants.ts";
import type { Settings } from "./options.ts";
import { Provider } from "./provider.ts";
import { type Seals, sealsFor } from "./sealed.ts";

/** The authorization server of one mount. */
export interface Broker {
  readonly app: App;
  readonly mount: Mount;
  readonly settings: Settings;
  /** First segment of its paths. */
  readonly segment: string;
  readonly seals: Seals;
  readonly clients: Clients;
  readonly provider: Provider;
  readonly grants: Grants;
}

/** @param isShared replicas share the store @throws ProxyError `BAD_OPTION` */
export function createBroker(app: App, mount: Mount, settings: Settings, isShared: boolean): Broker {
  if (mount.transport === "stdio")
    throw new ProxyError("BAD_OPTION", {
      plugin: "plugin 'oauth-broker'",
      hint: `Server '${mount.server}' is started by a command and reads no header fields, so no provider's token can reach it. Leave the plugin out of its list.`,
    });
  const provider = new Provider(settings, mount, app.log);
  return {
    app,
    mount,
    settings,
    segment: segmentOf(mount),
    seals: sealsFor(app, mount),
    clients: new Clients(app, mount, settings),
    provider,
    grants: new Grants(app, mount, provider, settings.refreshTokenLifetime, isShared),
  };
}

/** The segment that its MCP endpoint has, so that all paths of a server begin alike; else its name. */
function segmentOf({ server, path }: Mount): string {
  const [, first] = /^\/([\w.~-]+)\/[^:*]+$/.exec(path) ?? [];
  return first ?? encodeURIComponent(server).replaceAll("%", "~");
}

/** Its issuer identifier (RFC 8414 §2). */
export function issuerOf({ segment }: Broker, { publicUrl }: RequestHead): string {
  return `${publicUrl}/${segment}`;
}

/** Whether a client names this mount (RFC 8707 §2), by any of its paths. @returns its URL */
export function resourceNamed({ mount }: Broker, { publicUrl }: RequestHead, resource: string): string | undefined {
  if (!URL.canParse(resource) || resource.includes("#")) return undefined;
  const named = plainUrl(resource);
  return [...mount.paths, ...mount.ssePaths].map((path) => publicUrl + path).find((url) => plainUrl(url) === named);
}

/** Whether a token for this URL is good for a request: it is one of the mount's, at the same public URL. */
export function isAudience(broker: Broker, request: RequestHead, resource: string): boolean {
  return resource === mountUrl(request, broker.mount) || resourceNamed(broker, request, resource) !== undefined;
}

function plainUrl(text: string): string {
  return new URL(text).href.replace(/\/+$/, "");
}
