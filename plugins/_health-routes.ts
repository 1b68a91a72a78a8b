import { type App, type Json, type Mount, type RequestHead, isRecord, json } from "../core/index.ts";
import type { HealthSettings } from "./_health-options.ts";
import { mayProbe, probe } from "./_health-probe.ts";
import { type HealthStatus, slot } from "./_health-state.ts";

const NO_STORE = { "cache-control": "no-store" };

/** What load balancers and people ask. */
export function addRoutes(app: App, settings: HealthSettings): void {
  app.route({
    method: "GET",
    path: "/healthz",
    access: "public",
    handler: () => json({ status: "ok" }, 200, NO_STORE),
  });
  app.route({
    method: "GET",
    path: "/readyz",
    access: "public",
    handler: () =>
      app.draining ? json({ status: "draining" }, 503, NO_STORE) : json({ status: "ready" }, 200, NO_STORE),
  });
  app.route({
    method: "GET",
    path: "/health",
    access: "details",
    handler(request) {
      for (const mount of app.mounts) {
        const state = mount.get(slot)!;
        // Whoever asks gets an answer at once, and a better one the next time.
        if (mayProbe(mount) && !state.probe && settings.of(mount.server).interval > 0 && !app.draining)
          void probe(app, mount, settings);
      }
      return json(describe(app, request), 200, NO_STORE);
    },
  });
}

function describe(app: App, { local }: RequestHead): Json {
  const servers = Object.fromEntries(
    app.mounts.map((mount) => [
      mount.server,
      // Where a server is, is for those who sit at the machine; its path may hold a key.
      local ? { ...app.report(mount), upstream: originOf(mount) } : withoutOutput(app.report(mount)),
    ]),
  );
  // By the first member a doctor knows whom it has asked.
  return { proxy: "penstock", status: overall(app.mounts.map((mount) => mount.get(slot)!.status)), servers };
}

function originOf({ transport, upstream }: Mount): string {
  return transport === "stdio" ? upstream : new URL(upstream).origin;
}

/** What a server writes may be about anybody: it too is for those who sit at the machine. */
function withoutOutput(report: Json): Json {
  if (!isRecord(report.stdio)) return report;
  const { stderr: _stderr, ...stdio } = report.stdio;
  return { ...report, stdio };
}

/** All the same: that. Otherwise `degraded` where one of them has a fault. */
function overall(servers: readonly HealthStatus[]): HealthStatus {
  const started = servers.filter((status) => status !== "idle");
  const all = started.length > 0 ? started : servers;
  if (new Set(all).size === 1) return all[0]!;
  return all.every((one) => one === "healthy" || one === "unknown") ? "unknown" : "degraded";
}
