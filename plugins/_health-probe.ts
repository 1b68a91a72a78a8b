import { type App, type Mount, type Probe, probeServer } from "../core/index.ts";
import { areCallersOwn } from "./_callers-differ.ts";
import type { HealthSettings } from "./_health-options.ts";
import { HORIZON, type Health, type Verdict, jittered, slot } from "./_health-state.ts";

/** Called now and then: probes a server that nothing was heard of for long enough. */
export function probeWhenDue(app: App, mount: Mount, settings: HealthSettings): void {
  const state = mount.get(slot)!;
  const { interval } = settings.of(mount.server);
  const now = performance.now();
  if (!mayProbe(mount) || interval === 0 || app.draining || now < state.nextProbe) return;
  if (now - state.lastSignal < interval) state.nextProbe = state.lastSignal + jittered(interval);
  else void probe(app, mount, settings);
}

/** A server that is started by a command would be started for it: there only the traffic tells. */
export function mayProbe({ transport }: Mount): boolean {
  return transport !== "stdio";
}

/** One at a time per server. Never rejects. */
export function probe(app: App, mount: Mount, settings: HealthSettings): Promise<void> {
  const state = mount.get(slot)!;
  return (state.probing ??= runProbe(app, mount, settings).finally(() => (state.probing = undefined)));
}

async function runProbe(app: App, mount: Mount, settings: HealthSettings): Promise<void> {
  const state = mount.get(slot)!;
  const { timeout, interval, push } = settings.of(mount.server);
  const now = performance.now();
  const isLegacy = state.probe?.verdict === "legacy" && now - state.discoveredAt < HORIZON;
  const found = await probeServer((request) => app.call(mount, request, { reason: "health probe", probe: true }), {
    timeout,
    transport: mount.transport,
    push: push && state.wantsPush(now, interval),
    known: isLegacy ? "legacy" : undefined,
    onVerdict(found) {
      if (state.closed) return;
      if (found.verdict !== "down" && found.verdict !== "busy") {
        state.probe = found;
        if (!isLegacy) state.discoveredAt = performance.now();
      }
      const verdict = verdictOf(found.verdict, mount, state);
      if (verdict) state.record(verdict, found.reason);
      state.schedule(performance.now(), interval);
    },
  });
  if (found.push && push && !state.closed) state.notePush(found.push);
}

function verdictOf(found: Probe["verdict"], mount: Mount, state: Health): Verdict | undefined {
  if (found === "busy") return undefined;
  if (found === "modern" || found === "legacy") return "healthy";
  if (found !== "auth-required") return "down";
  // The probe has no caller's credential: that it is asked for one is how a protected server looks when it is well.
  return areCallersOwn(mount) && state.status === "healthy" ? "healthy" : "auth-required";
}
