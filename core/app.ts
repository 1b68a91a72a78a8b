/** Configuration in, h3 app out: the path table, what is refused outside of it, and the life of the plugins. */
import { H3 } from "h3";
import type { HTTPError } from "h3";
import { Bag } from "./bag.ts";
import { jsonText } from "./body/body.ts";
import { errorResponse } from "./body/message.ts";
import { ClientMemory } from "./clients.ts";
import { Deadlines } from "./deadlines.ts";
import { ProxyError, isProxyError } from "./errors.ts";
import { type Running, headOf, serveMount, toResponse } from "./front/http.ts";
import { orderPlugins } from "./hooks.ts";
import { type Logger, SILENT } from "./log.ts";
import { MountRuntime, type Shared } from "./mount.ts";
import { type PathClaim, PathTable } from "./paths.ts";
import type { PenstockServer, ServeOptions } from "./serve.ts";
import { Timers } from "./timers.ts";
import { createHttpDriver } from "./upstream/http.ts";
import type { App, Awaitable, Mount, PenstockConfig, Plugin } from "./types.ts";

/** A running proxy. */
export interface Penstock {
  /** Answers one request; mountable in any h3, Hono or fetch-handler app. */
  readonly fetch: (request: Request) => Awaitable<Response>;
  readonly mounts: readonly (Mount & { readonly plugins: readonly Plugin[] })[];
  /** The effective path table, most specific first. */
  readonly paths: readonly PathClaim[];
  /** Resolves when every plugin is set up; `fetch` and `serve` wait for it. Rejects when one fails. */
  ready(): Promise<void>;
  /** Listens. @throws ProxyError or the system's error when the address cannot be had */
  serve(options?: ServeOptions): Promise<PenstockServer>;
  /** Tells open streams to come to their end, and keeps telling new ones. */
  drain(): void;
  /** Whether every mount has a plugin that asks callers who they are. */
  readonly authenticates: boolean;
  /** Exchanges that have not ended. */
  readonly active: number;
  /** Closes plugins, timers and connections to servers. Open exchanges are cut. */
  close(): Promise<void>;
}

export interface PenstockOptions {
  /** @default a logger that drops everything */
  logger?: Logger;
  /** Speaks to the servers in place of HTTP; the test kit's door. */
  connect?: Shared["connect"];
}

/**
 * Makes a proxy that runs exactly the plugins it is given.
 *
 * @throws ProxyError `BAD_CONFIG`, `BAD_OPTION` or `PATH_TAKEN`, before anything is opened
 */
export function createPenstock(input: PenstockConfig, options: PenstockOptions = {}): Penstock {
  const log = options.logger ?? SILENT;
  const config = applyConfigHooks(input);
  const shared: Shared = {
    log,
    timers: new Timers(),
    deadlines: new Deadlines(),
    clients: new ClientMemory(),
    nextId: createIds(),
    connect: options.connect ?? createHttpDriver,
  };
  const mounts = Object.entries(config.servers).map(
    ([name, server]) => new MountRuntime(name, server, config.plugins, shared),
  );
  const rootPlugins = orderPlugins(config.plugins);
  const plugins = [...new Set([...rootPlugins, ...mounts.flatMap((mount) => mount.hooks.plugins)])];
  const guards = rootPlugins.filter((plugin) => plugin.guard);
  const running: Running = new Bag();
  const app = new H3({ silent: true, onError: (error, event) => errorToResponse(error, log, event.req) });
  const table = new PathTable();
  for (const mount of mounts) {
    for (const path of mount.paths) {
      table.claim({ path, methods: "all", owner: `server '${mount.server}'` });
      app.all(path, (event) => serveMount(mount, event.req, running));
    }
  }

  let draining = false;
  let open = false;
  let set: Promise<void> | undefined;
  const ready = () => (set ??= setUp());
  async function setUp(): Promise<void> {
    for (const plugin of plugins) await plugin.setup?.(viewFor(plugin));
    open = true;
  }

  function viewFor(plugin: Plugin): App {
    return {
      mounts: mounts.filter((mount) => mount.hooks.plugins.includes(plugin)),
      log,
      route(route) {
        table.claim({ path: route.path, methods: route.method, owner: `plugin '${plugin.name}'` });
        app.on(route.method, route.path, async (event) => {
          const head = Object.assign(headOf(event.req), { text: () => event.req.text() });
          return toResponse(await route.handler(head), event.req);
        });
      },
      every(ms, run) {
        let busy = false;
        shared.timers.every(ms, () => {
          if (busy) return;
          busy = true;
          Promise.resolve()
            .then(run)
            .catch((cause: unknown) =>
              log.error(() => new ProxyError("PLUGIN_FAILED", { plugin: plugin.name, hook: "every", cause }).toLog()),
            )
            .finally(() => (busy = false));
        });
      },
    };
  }

  function guarded(request: Request): Awaitable<Response> {
    for (const plugin of guards) {
      try {
        const early = plugin.guard!(headOf(request));
        if (early) return toResponse(early, request);
      } catch (cause) {
        if (plugin.onFailure === "skip" && !isProxyError(cause)) continue;
        return errorToResponse(
          isProxyError(cause) ? cause : new ProxyError("PLUGIN_FAILED", { plugin: plugin.name, hook: "guard", cause }),
          log,
          request,
        );
      }
    }
    return app.fetch(request);
  }

  return {
    fetch(request) {
      if (open) return guarded(request);
      return ready().then(() => guarded(request));
    },
    mounts,
    get paths() {
      return table.sorted();
    },
    ready,
    async serve(serveOptions) {
      await ready();
      const { listen } = await import("./serve.ts");
      return listen(this, {
        port: config.port,
        host: config.host,
        drainTimeout: config.drainTimeout,
        allowUnauthenticated: config.allowUnauthenticated,
        ...serveOptions,
      });
    },
    drain() {
      if (!draining) shared.timers.every(100, () => running.values().forEach((exchange) => exchange.drain()));
      draining = true;
      for (const exchange of running.values()) exchange.drain();
    },
    authenticates: mounts.every((mount) => mount.hooks.authenticate.length > 0),
    get active() {
      return running.size;
    },
    async close() {
      for (const exchange of running.values()) exchange.closed(false);
      shared.timers.close();
      shared.deadlines.close();
      for (const plugin of plugins) {
        try {
          await plugin.close?.();
        } catch (cause) {
          log.error(() => new ProxyError("PLUGIN_FAILED", { plugin: plugin.name, hook: "close", cause }).toLog());
        }
      }
      await Promise.all(mounts.map((mount) => mount.driver.close()));
    },
  };
}

/** Ids of exchanges: random per proxy, so that two of them do not meet in one log, and counted within it. */
function createIds(): () => string {
  const proxy = crypto.randomUUID().slice(0, 8);
  let count = 0;
  return () => `${proxy}-${(++count).toString(36)}`;
}

/** Each plugin's `config` hook sees what the one before left. Plugins of a single server have no say in it. */
function applyConfigHooks(input: PenstockConfig): PenstockConfig {
  if (!input?.servers || Object.keys(input.servers).length === 0)
    throw new ProxyError("BAD_CONFIG", { hint: "servers: at least one server is needed." });
  let config = {
    ...input,
    servers: Object.fromEntries(Object.entries(input.servers).map(([name, server]) => [name, { ...server }])),
  };
  for (const plugin of orderPlugins(input.plugins)) {
    const { plugins } = config;
    config = { ...config, ...plugin.config?.(config) };
    if (config.plugins !== plugins)
      throw new ProxyError("BAD_OPTION", {
        plugin: `plugin '${plugin.name}'`,
        hint: "A `config` hook may not change `plugins`.",
      });
  }
  return config;
}

/** Everything that no exchange answers: unknown paths, malformed URLs, failures of routes. */
function errorToResponse(error: unknown, log: Logger, request: Request): Response {
  const known = isProxyError(error) ? error : fromHttpError(error);
  if (known.code === "INTERNAL" || known.code === "PLUGIN_FAILED") log.error(() => known.toLog());
  const body = errorResponse(null, { code: known.rpcCode, message: known.message, data: { code: known.code } });
  return toResponse(jsonText(JSON.stringify(body), known.status, known.details.headers), request);
}

function fromHttpError(error: unknown): ProxyError {
  const { status, cause } = error as HTTPError;
  if (isProxyError(cause)) return cause;
  if (status === 404) return new ProxyError("NOT_FOUND");
  if (status === 400) return new ProxyError("INVALID_REQUEST", { hint: "The URL is malformed." });
  return new ProxyError("INTERNAL", { cause: cause ?? error });
}
