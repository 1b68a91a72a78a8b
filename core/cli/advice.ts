/** What the doctor finds, and what to do about it. Sentences for people; nothing in the advice comes from a server. */
import { isLoopbackHost } from "../public-url.ts";
import type { Probe } from "../probe.ts";
import type { Era, Json, ServerConfig } from "../types.ts";
import type { Edge } from "./edges.ts";
import type { Mistake, Step } from "./login/findings.ts";

/** One server, as the doctor saw it. */
export interface Diagnosis {
  server: string;
  upstream: string;
  paths: readonly string[];
  /** `healthy`: probed and listed · `degraded`: it answers, but its tools cannot be listed · the others as a probe tells them. */
  state: "healthy" | "degraded" | "auth-required" | "sse" | "unsupported" | "busy" | "down";
  reason?: string;
  transport: Probe["transport"] | "stdio";
  era?: Probe["verdict"];
  /** All that it speaks; `era` is the latest of them. */
  eras?: readonly Era[];
  /** How each kind of clients is served. */
  clients?: readonly Edge[];
  version?: string;
  serverInfo?: Json;
  /** `none`: it asked for no credential · `accepted`: that of the configuration · `callers`: they log in at the server · `login`: with the login of this user · `refused`: see the advice. */
  auth: "none" | "accepted" | "callers" | "login" | "refused" | "unknown";
  push?: Probe["push"];
  /** What a client finds that wants to log in; of servers that refused. */
  login?: LoginReport;
  /** How many tools it lists; `undefined` where that could not be asked. */
  tools?: number;
  /** The last lines that a server wrote which is started by a command, and is not well. */
  stderr?: readonly string[];
  /** Of the probe's answer, in milliseconds. */
  latencyMs: number;
  advice: readonly string[];
}

/** The way to a login. */
export interface LoginReport {
  /** Whether a client can log in, as far as can be told without doing so. */
  possible: boolean;
  steps: readonly Step[];
  mistakes: readonly Mistake[];
  issuer?: string;
  resource?: string;
  scopes?: readonly string[];
  /** How a client gets its id: it registers by itself · it has a metadata document · somebody registers it beforehand. */
  registration: readonly ("dynamic" | "document" | "beforehand")[];
  /** With `--login`: `done`, or why not. */
  outcome?: string;
}

/** Why a server is of no use as one of HTTP+SSE. */
export const SPEAKS_HTTP = "it speaks Streamable HTTP";
/** An answer that takes longer is felt, in milliseconds. */
const SLOW = 1000;

/** @returns one sentence per thing to do or to know; none where all is well */
export function adviceFor(found: Omit<Diagnosis, "advice">, config: ServerConfig): string[] {
  const { server, state, reason = "", latencyMs, era, push, tools } = found;
  const at = `servers.${server}`;
  const advice: string[] = [];
  if (config.command !== undefined) return adviceForCommand(found, at);
  const url = new URL(config.url);
  if (state === "down") advice.push(...whenDown(reason, at, url));
  if (state === "busy") advice.push("It asked to come back later; run the doctor again.");
  if (state === "sse")
    advice.push(
      `Write transport: "sse" into ${at}; or give ${at}.url its Streamable HTTP endpoint if it has one, often /mcp in place of ${url.pathname}.`,
    );
  if (state === "unsupported" && reason === SPEAKS_HTTP)
    advice.push(`Take transport: "sse" out of ${at}, or give ${at}.url its event stream, often /sse.`);
  else if (state === "unsupported")
    advice.push(
      `Check ${at}.url: an MCP endpoint answers a POST of initialize; its path is often /mcp${url.pathname === "/" ? ", and here there is none" : ""}.`,
    );
  if (state === "auth-required") advice.push(...whenRefused(found, config, at));
  for (const { message, advice: what } of found.login?.mistakes ?? []) advice.push(`${message} ${what}`);
  if (state === "degraded")
    advice.push(
      "It tells what it is, but does not list its tools. Its own log may say why; clients will see the same.",
    );
  if (state === "healthy" && tools === 0) advice.push("It offers no tools; its prompts and resources are relayed.");
  if (era === "legacy" && push?.available === false)
    advice.push(
      `No event stream (${push.reason}): clients are not told of changes. Everything else works, and nothing needs to be done.`,
    );
  if (era !== undefined && latencyMs > SLOW) advice.push(`It took ${latencyMs} ms to tell what it is.`);
  if (url.protocol === "http:" && !isLoopbackHost(url.hostname))
    advice.push(`${at}.url is http: to another machine: calls and credentials can be read on the way. Use https:.`);
  return advice;
}

/** A server that is started by a command. */
function adviceForCommand({ state, latencyMs, era, tools }: Omit<Diagnosis, "advice">, at: string): string[] {
  const advice: string[] = [];
  if (state === "down" || state === "unsupported")
    advice.push(
      `Run ${at}.command with its args by hand: it must go on running, and write nothing but MCP to stdout. Of this environment it gets only HOME, LOGNAME, PATH, SHELL, TERM and USER; what else it needs belongs into ${at}.env.`,
    );
  if (state === "busy") advice.push("It failed several times in a row; run the doctor again.");
  if (state === "degraded") advice.push("It tells what it is, but does not list its tools. Clients will see the same.");
  if (state === "healthy" && tools === 0) advice.push("It offers no tools; its prompts and resources are relayed.");
  if (era !== undefined && latencyMs > SLOW)
    advice.push(
      `It took ${latencyMs} ms to start and to tell what it is; npx and uvx look for a newer version each time.`,
    );
  return advice;
}

function whenDown(reason: string, at: string, url: URL): string[] {
  const target = `${url.hostname}:${url.port || (url.protocol === "https:" ? 443 : 80)}`;
  if (reason.startsWith("cannot be reached"))
    return [`Nothing answers at ${target}. Start the server, or correct ${at}.url.`];
  if (reason.startsWith("no connection"))
    return [`${target} does not accept connections: a firewall, a wrong port, or a machine that is off.`];
  if (reason.startsWith("no secure connection"))
    return [`Its certificate was not accepted, or it does not speak TLS: see ${at}.tls, or use http: on this machine.`];
  if (reason.startsWith("no answer"))
    return [
      "It accepts connections and does not answer. See its log; a slow one gets more time by PENSTOCK_PROBE_TIMEOUT.",
    ];
  if (reason.startsWith("redirects")) return [`Put the URL that it redirects to into ${at}.url.`];
  if (reason.startsWith("HTTP 5")) return ["It fails on its own side, or a proxy in front of it does. See its log."];
  return [`See the server's log, and whether ${at}.url is an MCP endpoint.`];
}

function whenRefused({ upstream, login }: Omit<Diagnosis, "advice">, config: ServerConfig, at: string): string[] {
  if (config.auth === "passthrough") return ["Callers log in at the server themselves; there is nothing to do here."];
  if (Object.keys(config.headers ?? {}).length > 0)
    return [`It refused the credential in ${at}.headers: it may have expired, or belong to something else.`];
  const own = `It wants a credential. Set ${at}.headers.authorization, with the token in a variable such as \${TOKEN}; or, where callers log in themselves, ${at}.auth: "passthrough".`;
  if (!login?.possible) return [own];
  return [
    `Log in, and see its tools: penstock doctor --url ${upstream} --login. Then a client that starts programs reaches it through penstock connect ${upstream}.`,
    own,
  ];
}
