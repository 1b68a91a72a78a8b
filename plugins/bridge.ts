import { type Plugin, ProxyError, ServerEras, type State, defineState } from "../core/index.ts";
import { EraRouter } from "./bridge/eras.ts";
import type { BridgeHost, BridgeSettings } from "./bridge/host.ts";
import { LegacyClients } from "./bridge/to-modern/legacy-clients.ts";
import { ModernClients } from "./bridge/to-legacy/modern-clients.ts";

/** Options of {@link bridge}. Times are in milliseconds. */
export type BridgeOptions = Partial<BridgeSettings>;

interface MountBridge {
  host: BridgeHost;
  toModern: LegacyClients;
  toLegacy: ModernClients;
  router: EraRouter;
}

const slot: State<MountBridge> = defineState("bridge.state");

const DEFAULTS: BridgeSettings = {
  holdTimeout: 300_000,
  questionTimeout: 600_000,
  maxRounds: 8,
  maxParked: 100,
  maxLeases: 20,
  idleTimeout: 300_000,
};

/**
 * Lets clients of one era use servers of the other (MCP 2026-07-28, Versioning). Whatever the server speaks, its mount speaks
 * both. Where both sides are of one era, nothing is translated and nothing parsed.
 */
export function bridge(options: BridgeOptions = {}): Plugin {
  const settings = settingsOf(options);
  const made: MountBridge[] = [];
  return {
    name: "bridge",
    setup(app) {
      for (const mount of app.mounts) {
        const host = { app, mount, settings, eras: new ServerEras(mount) };
        const toModern = new LegacyClients(host);
        const toLegacy = new ModernClients(host);
        const own = { host, toModern, toLegacy, router: new EraRouter(host, toModern, toLegacy) };
        mount.set(slot, own);
        made.push(own);
      }
      app.health((mount) => {
        const { host, toModern, toLegacy } = mount.get(slot)!;
        return { ...host.eras.report(), legacyClients: toModern.report(), modernClients: toLegacy.report() };
      });
      app.every(1000, () => {
        for (const { toModern, toLegacy } of made) {
          toModern.look();
          toLegacy.look();
        }
      });
    },
    forward: (exchange, request, next) => exchange.mount.get(slot)!.router.forward(exchange, request, next),
    async close() {
      for (const { toModern, toLegacy } of made) {
        toModern.close();
        await toLegacy.close();
      }
    },
  };
}

/** @throws ProxyError `BAD_OPTION` */
function settingsOf(options: BridgeOptions): BridgeSettings {
  for (const [name, value] of Object.entries(options)) {
    const refuse = (hint: string): never => {
      throw new ProxyError("BAD_OPTION", { plugin: "bridge", hint });
    };
    if (!Object.hasOwn(DEFAULTS, name))
      refuse(`\`${name}\` is not known. Allowed are ${Object.keys(DEFAULTS).join(", ")}.`);
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0))
      refuse(`\`${name}\` must be a whole number above 0.`);
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...DEFAULTS, ...Object.fromEntries(given) };
}
