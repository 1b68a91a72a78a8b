/** Configuration in, h3 app out: the path table, what is refused outside of it, and the life of the plugins. */
import { H3, type H3Event } from "h3";
import { AtExit } from "./at-exit.ts";
import { Bag } from "./bag.ts";
import { callServer } from "./call.ts";
import { ClientMemory } from "./clients.ts";
import { applyConfigHooks, fixHooks } from "./config-hooks.ts";
import { Deadlines } from "./deadlines.ts";
import type { Outgoing } from "./down.ts";
import { ProxyError, describeAside } from "./errors.ts";
import { ChannelClient, type ChannelOptions } from "./front/channel.ts";
import { type RequestContext, createDoor, refusal } from "./front/door.ts";
import { type Running, serveMount, serveRoute } from "./front/http.ts";
import type { Inbound } from "./front/inbound.ts";
import { toResponse } from "./front/outlet.ts";
import { SseFront } from "./front/sse.ts";
import { WebRequest } from "./front/web-request.ts";
import { orderPlugins } from "./hooks.ts";
import { type Logger, SILENT } from "./log.ts";
import { MountRuntime, type Shared } from "./mount.ts";
import { type PathClaim, PathTable, messagesPath, shape } from "./paths.ts";
import { createPublicOrigin, withoutPrefix } from "./public-url.ts";
import { RoutePath, checkRoute } from "./routes.ts";
import type { PenstockServer, ServeOptions } from "./serve.ts";
import { CLIENT_LIMITS } from "./timeouts.ts";
import { Timers } from "./timers.ts";
import { createSealer, createSecret } from "./seal.ts";
import { memoryStore } from "./memory-store.ts";
import { createDriver } from "./upstream/driver.ts";
import type { App, Json, Mount, PenstockConfig, Plugin } from "./types.ts";

/** Of paths that no other client uses. */
const OLD = " (HTTP+SSE)";

type Serve = (inbound: Inbound) => Promise<Outgoing>;

/** A running proxy. */
export interface Penstock {
  /** Answers one request; mountable in any h3, Hono or fetch-handler app. */
  readonly fetch: (request: Request) => Promise<Response>;
  readonly mounts: readonly (Mount & { readonly plugins: readonly Plugin[] })[];
  /** The effective path table, most specific first. */
  readonly paths: readonly PathClaim[];
  /** Resolves when every plugin is set up; `fetch` and `serve` wait for it. Rejects when one fails. */
  ready(): Promise<void>;
  /** Where the proxy tells what happens. */
  readonly log: Logger;
  /** Listens. @throws ProxyError or the system's error when the address cannot be had */
  serve(options?: ServeOptions): Promise<PenstockServer>;
  /**
   * A client of this process that has one channel for everything. What it says goes in with `post`.
   *
   * @param server its name
   * @param send takes one JSON-RPC message, on one line; false while the client is slow, then `drained()` is called
   * @throws ProxyError `BAD_OPTION` for a name that there is not
   */
  channel(server: string, send: ChannelOptions["send"]): ChannelClient;
  /** Says that it is about to stop, to load balancers (`/readyz`) and plugins; nothing ends yet. */
  announceStop(): void;
  /** Tells open streams to come to their end, and keeps telling new ones. */
  drain(): void;
  /** Whether every mount has a plugin that asks callers who they are. */
  readonly authenticates: boolean;
  /** Whether callers of some server log in, here or at the server: they must be told the URL that they use. */
  readonly logsIn: boolean;
  /** As configured, without trailing slash. */
  readonly publicUrl: string | undefined;
  /** Whether a plugin checks Host and Origin of requests. */
  readonly guarded: boolean;
  /** What plugins tell about each server, by its name. */
  report(): Record<string, Json>;
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
  // Random, so that two proxies do not meet in one log, and know their own requests.
  const name = crypto.randomUUID().slice(0, 8);
  const exit = new AtExit();
  const shared: Shared = {
    log,
    atExit: (run) => exit.add(run),
    timers: new Timers(),
    deadlines: new Deadlines(),
    clients: new ClientMemory(),
    nextId: createIds(name),
    via: `1.1 penstock-${name}`,
    writeTimeout: config.clientLimits?.write ?? CLIENT_LIMITS.write,
    connect: options.connect ?? createDriver,
  };
  const mounts = Object.entries(config.servers).map(
    ([name, server]) => new MountRuntime(name, server, config.plugins, shared),
  );
  const rootPlugins = orderPlugins(config.plugins);
  const plugins = [...new Set([...rootPlugins, ...mounts.flatMap((mount) => mount.hooks.plugins)])];
  const guards = rootPlugins.filter((plugin) => plugin.guard);
  const authenticators = rootPlugins.filter((plugin) => plugin.authenticate);
  const running: Running = new Bag();
  const context = (event: H3Event): RequestContext => event.context as never;
  const app = new H3({
    silent: true,
    onError(error, event) {
      context(event).outgoing = refusal(error, log, context(event).inbound);
    },
  });
  const origin = createPublicOrigin(config);
  const store = config.store ?? memoryStore();
  const sealer = createSealer([config.secret ?? createSecret()].flat());
  /** Taken off every path; nothing while something of this proxy's own lies below it. */
  let prefix = "";
  /** Who serves the paths that have no parameter: no pattern is more specific, so most requests need no router. */
  const direct = new Map<string, Serve>();
  const enter = createDoor({
    guards,
    log,
    prefix: () => prefix,
    route(inbound) {
      const query = inbound.target.indexOf("?");
      const serve = direct.get(query === -1 ? inbound.target : inbound.target.slice(0, query));
      return serve ? serve(inbound) : routed(inbound);
    },
  });
  /** h3 finds who answers; the answer itself goes beside it, since it need not be a web `Response`. */
  async function routed(inbound: Inbound): Promise<Outgoing> {
    const found: RequestContext = { inbound };
    // The method is the handlers' affair, and some are refused by `Request`.
    await app.request(new Request(inbound.url), undefined, found as never);
    return found.outgoing ?? refusal(new ProxyError("NOT_FOUND"), log, inbound);
  }
  const table = new PathTable();
  const routes = new Map<string, RoutePath>();
  const reports: ((mount: Mount) => Json | void)[] = [];
  for (const mount of mounts) {
    const claim = (path: string, methods: string, serve: Serve, how = "") => {
      table.claim({ path, methods, owner: `server '${mount.server}'${how}`, access: "mount" });
      if (!/[:*]/.test(path)) direct.set(path, serve);
      app.all(path, async (event) => {
        context(event).outgoing = await serve(context(event).inbound);
      });
    };
    for (const path of mount.paths) claim(path, "all", (inbound) => serveMount(mount, inbound, running));
    const sse = new SseFront(mount, running);
    for (const path of mount.ssePaths) claim(path, "GET", (inbound) => sse.open(inbound), OLD);
    for (const path of new Set(mount.ssePaths.map(messagesPath)))
      claim(path, "POST", (inbound) => sse.post(inbound), OLD);
  }

  let draining = false;
  let ending: (() => void) | undefined;
  let open = false;
  let set: Promise<void> | undefined;
  const ready = () => (set ??= setUp());
  async function setUp(): Promise<void> {
    const checks = plugins.map(fixHooks);
    for (const plugin of plugins) await plugin.setup?.(viewFor(plugin));
    for (const check of checks) check();
    prefix = droppedPrefix(origin.prefix, table, log);
    open = true;
  }

  function viewFor(plugin: Plugin): App {
    return {
      mounts: mounts.filter((mount) => mount.hooks.plugins.includes(plugin)),
      log,
      publicUrl: origin.configured,
      get draining() {
        return draining;
      },
      route(route) {
        checkRoute(route, plugin);
        const { path, method: methods, access } = route;
        table.claim({ path, methods, owner: `plugin '${plugin.name}'`, access });
        let found = routes.get(shape(path));
        if (!found) {
          const made = (found = new RoutePath(authenticators));
          routes.set(shape(path), made);
          app.all(path, async (event) => {
            context(event).outgoing = await serveRoute(made, context(event).inbound);
          });
        }
        found.add(route, plugin);
      },
      health(report) {
        reports.push(report);
      },
      store,
      sealer,
      deadlines: shared.deadlines,
      report: describe,
      call: (mount, request, as) => callServer(mount as MountRuntime, plugin, request, as),
      every(ms, run) {
        let busy = false;
        shared.timers.every(ms, () => {
          if (busy) return;
          busy = true;
          Promise.resolve()
            .then(run)
            .catch((cause: unknown) => log.error(() => describeAside(plugin.name, "every", cause)))
            .finally(() => (busy = false));
        });
      },
    };
  }

  function describe(mount: Mount): Json {
    const running = (mount as MountRuntime).driver.report?.();
    return Object.assign(
      {},
      ...reports.map((report) => report(mount) ?? {}),
      running && { [mount.transport]: running },
    ) as Json;
  }

  return {
    async fetch(request) {
      if (!open) await ready();
      const inbound = new WebRequest(request, shared.deadlines, origin);
      request.signal.addEventListener("abort", () => inbound.closed(false), { once: true });
      return toResponse(await enter(inbound), inbound);
    },
    mounts,
    log,
    get paths() {
      return table.sorted();
    },
    ready,
    async serve(serveOptions) {
      await ready();
      const { listen } = await import("./serve.ts");
      const handler = { origin, handle: enter, refuse: (error: ProxyError) => refusal(error, log) };
      return listen(this, handler, {
        port: config.port,
        host: config.host,
        socket: config.socket,
        tls: config.tls,
        clientLimits: config.clientLimits,
        drainTimeout: config.drainTimeout,
        lameDuck: config.lameDuck,
        allowUnauthenticated: config.allowUnauthenticated,
        ...serveOptions,
      });
    },
    channel(server, send) {
      const mount = mounts.find((one) => one.server === server);
      if (!mount) throw new ProxyError("BAD_OPTION", { hint: `There is no server ${JSON.stringify(server)}.` });
      return new ChannelClient({ mount, running, send, maxRequests: Number.POSITIVE_INFINITY });
    },
    announceStop() {
      draining = true;
    },
    drain() {
      draining = true;
      // Also those that begin later, and streams that were in the middle of an event.
      ending ??= shared.timers.every(100, () => running.values().forEach((exchange) => exchange.drain()));
      for (const exchange of running.values()) exchange.drain();
    },
    publicUrl: origin.configured,
    logsIn: plugins.some((plugin) => plugin.authenticate) || mounts.some(({ auth }) => auth === "passthrough"),
    authenticates: mounts.every((mount) => mount.hooks.authenticate.length > 0),
    guarded: guards.length > 0,
    report: () => Object.fromEntries(mounts.map((mount) => [mount.server, describe(mount)])),
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
          log.error(() => describeAside(plugin.name, "close", cause));
        }
      }
      await Promise.all(mounts.map((mount) => mount.driver.close()));
    },
  };
}

/** `/team/mcp` may be the server 'team', or `/mcp` behind a prefix: where it can be both, it is the server. */
function droppedPrefix(prefix: string, table: PathTable, log: Logger): string {
  const own = prefix === "" ? undefined : table.sorted().find(({ path }) => withoutPrefix(path, prefix) !== path);
  if (!own) return prefix;
  log.info(`${own.path} (${own.owner}) is below the path of publicUrl: proxies in front must take ${prefix} away.`);
  return "";
}

/** Ids of exchanges: counted within one proxy. @param proxy its name */
function createIds(proxy: string): () => string {
  let count = 0;
  return () => `${proxy}-${(++count).toString(36)}`;
}
