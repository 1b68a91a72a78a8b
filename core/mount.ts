/** One server with everything its exchanges need: hooks, driver, limits, and the proxy's shared parts. */
import type { ClientMemory } from "./clients.ts";
import type { Deadlines } from "./deadlines.ts";
import { ProxyError } from "./errors.ts";
import { type HookTable, compileHooks, orderPlugins } from "./hooks.ts";
import type { Logger } from "./log.ts";
import { SlotMap } from "./slots.ts";
import { fillTimeouts } from "./timeouts.ts";
import type { Timers } from "./timers.ts";
import type { Mount, PenstockConfig, Plugin, ServerConfig } from "./types.ts";
import { type FieldRules, fieldRules } from "./upstream/fields.ts";
import type { Driver, DriverHost } from "./upstream/wire.ts";

/** MCP SDK servers refuse more; a larger message is a mistake as a rule. */
const MAX_REQUEST_BYTES = 4 * 1024 * 1024;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** What all mounts of one proxy share. */
export interface Shared {
  log: Logger;
  timers: Timers;
  deadlines: Deadlines;
  clients: ClientMemory;
  /** The next id of an exchange. */
  nextId: () => string;
  /** What it adds to `Via` (RFC 9110 §7.6.3): a pseudonym of its own, so that proxies in a row are no loop. */
  via: string;
  /** Longest time that a client takes nothing of what waits for it, in milliseconds; 0 is no limit. */
  writeTimeout: number;
  /** See {@link DriverHost}. */
  atExit: DriverHost["atExit"];
  /** Speaks to a server. */
  connect: (name: string, config: ServerConfig, host: DriverHost) => Driver;
}

export class MountRuntime extends SlotMap implements Mount {
  readonly server: string;
  readonly paths: readonly string[];
  readonly ssePaths: readonly string[];
  readonly transport: Mount["transport"];
  readonly upstream: string;
  readonly era: Mount["era"];
  readonly auth: Mount["auth"];
  readonly headerNames: readonly string[];
  readonly timeouts: Mount["timeouts"];
  /** How header fields go on to it. */
  readonly fields: FieldRules;
  readonly hooks: HookTable;
  readonly driver: Driver;
  readonly maxRequestBytes: number;
  readonly maxMessageBytes: number;
  readonly log: Logger;
  readonly timers: Timers;
  readonly deadlines: Deadlines;
  readonly nextId: () => string;
  readonly clients: ClientMemory;
  /** When clients are cut that stopped reading. */
  readonly stall: { deadlines: Deadlines; ms: number };

  constructor(name: string, config: ServerConfig, root: PenstockConfig["plugins"], shared: Shared) {
    super();
    this.server = name;
    this.paths = [config.path ?? []].flat().map((path) => checkPath(name, path));
    this.ssePaths = [config.ssePath ?? []].flat().map((path) => checkSsePath(name, path));
    this.transport = config.command === undefined ? (config.transport ?? "http") : "stdio";
    this.upstream = config.command === undefined ? checkUrl(name, config.url) : "stdio";
    refuseGuards(name, config.plugins, root);
    this.hooks = compileHooks(orderPlugins(root, config.plugins).filter((plugin) => plugin.applies?.(config) ?? true));
    this.era = config.era ?? "auto";
    this.auth = config.auth;
    this.headerNames = Object.keys(config.headers ?? {}).map((field) => field.toLowerCase());
    this.timeouts = fillTimeouts(config.timeouts);
    this.fields = fieldRules(
      config.auth,
      this.hooks.plugins.flatMap((plugin) => plugin.credentials ?? []),
      shared.via,
    );
    this.driver = shared.connect(name, config, shared);
    this.maxRequestBytes = config.maxRequestBytes ?? MAX_REQUEST_BYTES;
    this.maxMessageBytes = config.maxMessageBytes ?? MAX_MESSAGE_BYTES;
    this.log = shared.log;
    this.timers = shared.timers;
    this.deadlines = shared.deadlines;
    this.stall = { deadlines: shared.deadlines, ms: shared.writeTimeout };
    this.nextId = shared.nextId;
    this.clients = shared.clients;
  }

  /** In order. */
  get plugins(): readonly Plugin[] {
    return this.hooks.plugins;
  }

  get path(): string {
    return this.paths[0]!;
  }
}

/** A guard runs before it is known which server is meant; in a server's list it would never run. */
function refuseGuards(name: string, own: ServerConfig["plugins"], root: PenstockConfig["plugins"]): void {
  const everywhere = new Set(orderPlugins(root));
  const guard = orderPlugins(own).find((plugin) => plugin.guard && !everywhere.has(plugin));
  if (guard)
    throw new ProxyError("BAD_OPTION", {
      plugin: `plugin '${guard.name}'`,
      hint: `It guards the whole proxy: move it from servers.${name}.plugins to the root list of plugins.`,
    });
}

function checkUrl(name: string, text: string): string {
  const where = `servers.${name}.url`;
  if (typeof text !== "string" || !URL.canParse(text))
    throw new ProxyError("BAD_CONFIG", { hint: `${where}: a URL such as "https://docs.example.com/mcp" is needed.` });
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new ProxyError("BAD_CONFIG", { hint: `${where}: only http: and https: are possible.` });
  if (url.username || url.password)
    throw new ProxyError("BAD_CONFIG", {
      hint: `${where}: user and password do not belong into a URL; set an authorization header in servers.${name}.headers.`,
    });
  return `${url.origin}${url.pathname}`;
}

/** What a request may not have in its path: a mount there could not be reached, or would be another one's. */
const AMBIGUOUS = /\/\/|\\|\/\.{1,2}(?:\/|$)|%(?:2f|5c|2e|00)/i;

function checkPath(name: string, path: string, key = "path"): string {
  const refuse = (why: string): never => {
    throw new ProxyError("BAD_CONFIG", { hint: `servers.${name}.${key}: ${JSON.stringify(path)} ${why}` });
  };
  if (typeof path !== "string" || !/^\/[^\s?#]*$/.test(path))
    return refuse('is no path; it must begin with "/" and have no query.');
  const bare = path.replace(/\/+$/, "") || "/";
  if (AMBIGUOUS.test(bare)) refuse("has empty or dot segments, a backslash, or encodes one of these.");
  return bare;
}

function checkSsePath(name: string, path: string): string {
  const bare = checkPath(name, path, "ssePath");
  if (!/\/(?:[:*][^/]*)?$/.test(bare)) return bare;
  throw new ProxyError("BAD_CONFIG", {
    hint: `servers.${name}.ssePath: ${JSON.stringify(path)} must end with a plain segment; messages are posted beside it.`,
  });
}
