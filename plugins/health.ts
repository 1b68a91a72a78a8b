import {
  type Answer,
  type Exchange,
  type Mount,
  type Outcome,
  type Plugin,
  ProxyError,
  describeFailure,
  discard,
  json,
  refusedStream,
} from "../core/index.ts";
import { type HealthOptions, readSettings } from "./_health-options.ts";
import { probeWhenDue } from "./_health-probe.ts";
import { addRoutes } from "./_health-routes.ts";
import { areCallersOwn } from "./_callers-differ.ts";
import { Health, type Verdict, jittered, slot } from "./_health-state.ts";

export type { HealthOptions, ProbeSettings } from "./_health-options.ts";
export type { HealthStatus } from "./_health-state.ts";

/**
 * Knows how each server is, from the traffic first; a server that nothing is heard of is probed by POST. The event stream of a
 * server (GET) is optional: where it fails the server is healthy all the same, and its clients get the 405 that says
 * "no stream here" instead of a status that they would take for the loss of their session.
 *
 * Routes: `/healthz` (this process lives), `/readyz` (503 while it stops), `/health` (every server; for local and known callers).
 *
 * @throws ProxyError `BAD_OPTION`
 */
export function health(options: HealthOptions = {}): Plugin {
  const settings = readSettings(options);
  const watched: Health[] = [];
  const pushless = [options, ...Object.values(options.servers ?? {})].some(({ push }) => push === false);
  return {
    name: "health",
    // Probes pass the `forward` hooks that come after it: those that add a credential must be among them.
    order: "pre",
    setup(app) {
      const unknown = settings.named.find((name) => !app.mounts.some(({ server }) => server === name));
      if (unknown !== undefined)
        throw new ProxyError("BAD_OPTION", { plugin: "plugin 'health'", hint: `servers.${unknown}: no such server.` });
      const now = performance.now();
      for (const mount of app.mounts) {
        const state = new Health(mount, app.log, settings);
        const { push } = settings.of(mount.server);
        if (!push) state.push = { available: false, reason: "push: false" };
        state.nextProbe = now + jittered(settings.initialDelay);
        mount.set(slot, state);
        watched.push(state);
      }
      app.health((mount) => mount.get(slot)?.report());
      addRoutes(app, settings);
      const periods = app.mounts.map(({ server }) => settings.of(server).interval).filter((ms) => ms > 0);
      if (periods.length > 0)
        app.every(Math.min(1000, settings.initialDelay / 4 || 1000, ...periods.map((ms) => ms / 4)), () => {
          for (const mount of app.mounts) probeWhenDue(app, mount, settings);
        });
    },
    ...((pushless || !settings.of("").push) && {
      request: (exchange) =>
        opensStream(exchange) && !settings.of(exchange.mount.server).push ? noStream(exchange) : undefined,
    }),
    response: refuseStream,
    error(exchange, error) {
      if (!opensStream(exchange) || !error.code.startsWith("UPSTREAM_") || UNREACHED.has(error.code)) return;
      exchange.mount.get(slot)?.notePushOfClient({ available: false, reason: describeFailure(error) });
      return noStream(exchange);
    },
    done(exchange, outcome) {
      if (exchange.request.method !== "POST" || !exchange.asked) return;
      const found = signalOf(outcome, exchange.mount);
      const state = exchange.mount.get(slot);
      if (!found || !state) return;
      state.lastSignal = performance.now();
      state.record(...found);
    },
    close() {
      for (const state of watched) state.closed = true;
    },
  };
}

/** Not the stream, but the whole server is out of reach: that is what its client is told. */
const UNREACHED: ReadonlySet<string> = new Set(["UPSTREAM_UNREACHABLE", "UPSTREAM_CONNECT_TIMEOUT", "UPSTREAM_TLS"]);

/** What an exchange says about its server: nothing where the client left, or where it was the client's own fault. */
function signalOf({ end, error, status, ms }: Outcome, mount: Mount): [Verdict, string?] | undefined {
  const credential = status === 401 || status === 403 || error?.code === "UPSTREAM_UNAUTHORIZED";
  // Those of one caller say nothing of others.
  if (credential)
    return areCallersOwn(mount) ? undefined : ["auth-required", error?.details.detail ?? `HTTP ${status}`];
  if (error) {
    const failed =
      (error.code.startsWith("UPSTREAM_") || error.code === "SERVER_START_FAILED") &&
      error.code !== "UPSTREAM_TOO_LARGE";
    return failed ? ["down", `${describeFailure(error)} after ${Math.round(ms)} ms`] : undefined;
  }
  if (end !== "complete") return undefined;
  return status >= 500 ? ["down", `HTTP ${status}`] : ["healthy"];
}

/** A GET that opens the event stream of a session; one that resumes a stream is answered by whoever has that stream. */
function opensStream({ request, opensChannel }: Exchange): boolean {
  return request.method === "GET" && !opensChannel && !request.headers.has("last-event-id");
}

function refuseStream(exchange: Exchange, answer: Answer): Answer | undefined {
  // What the proxy or a plugin answers has no server behind it, or is here already.
  if (!exchange.asked || exchange.request.method !== "GET" || answer.body.kind !== "stream") return;
  if (!opensStream(exchange)) return;
  const { mount } = exchange;
  const refused = refusedStream(answer);
  if (mount.auth === "passthrough" && (answer.status === 401 || answer.status === 403)) return;
  mount.get(slot)?.notePushOfClient({ available: refused === undefined, reason: refused ?? "event stream" });
  if (refused === undefined) return;
  discard(answer);
  return noStream(exchange);
}

/** MCP 2025-11-25, Transports, "Listening for Messages from the Server": 405 where there is no stream. */
function noStream({ mount }: Exchange): Answer {
  const { code, message, rpcCode } = new ProxyError("METHOD_NOT_ALLOWED", {
    hint: `Server '${mount.server}' offers no event stream; everything else works without.`,
  });
  const body = { jsonrpc: "2.0", id: null, error: { code: rpcCode, message, data: { code } } };
  return json(body, 405, { allow: "POST, DELETE", "cache-control": "no-store" });
}
