import { type Plugin, ServerEras, type State, defineState } from "../core/index.ts";
import { eraOfRequest, relayLegacy, relayModern } from "./bridge/eras.ts";
import type { BridgeHost, BridgeSettings } from "./bridge/host.ts";
import { LegacyClients } from "./bridge/to-modern/legacy-clients.ts";
import { ModernClients } from "./bridge/to-legacy/modern-clients.ts";

/** Options of {@link bridge}. Times are in milliseconds. */
export type BridgeOptions = Partial<BridgeSettings>;

interface MountBridge {
  host: BridgeHost;
  toModern: LegacyClients;
  toLegacy: ModernClients;
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
  const settings = { ...DEFAULTS, ...options };
  const made: MountBridge[] = [];
  return {
    name: "bridge",
    setup(app) {
      for (const mount of app.mounts) {
        const host = { app, mount, settings, eras: new ServerEras(mount) };
        const own = { host, toModern: new LegacyClients(host), toLegacy: new ModernClients(host) };
        mount.set(slot, own);
        made.push(own);
      }
      app.health((mount) => {
        const { host, toModern } = mount.get(slot)!;
        return { ...host.eras.report(), legacyClients: toModern.report() };
      });
      app.every(1000, () => {
        for (const { toModern, toLegacy } of made) {
          toModern.look();
          toLegacy.look();
        }
      });
    },
    forward(exchange, request, next) {
      if (exchange.origin === "probe") return next(request);
      const { host, toModern, toLegacy } = exchange.mount.get(slot)!;
      const { eras } = host;
      const era = eraOfRequest(exchange, request);
      const speaks = eras.speaks(era);
      if (speaks === true) return next(request);
      if (era === "legacy")
        return speaks === false ? toModern.forward(exchange, request, next) : relayLegacy(host, request, next);
      if (speaks === false) return toLegacy.forward(exchange, request, next);
      return relayModern(host, exchange, request, next, toLegacy);
    },
    async close() {
      for (const { toModern, toLegacy } of made) {
        toModern.close();
        await toLegacy.close();
      }
    },
  };
}
