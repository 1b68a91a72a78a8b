/** Where every HTTP request comes in: what the core refuses, the guards, then routing. And what is said where no exchange answers. */
import type { HTTPError } from "h3";
import { jsonText } from "../body/body.ts";
import { errorResponse } from "../body/message.ts";
import type { Outgoing } from "../down.ts";
import { ProxyError, isProxyError } from "../errors.ts";
import { HeaderList } from "../headers.ts";
import type { Logger } from "../log.ts";
import type { Answer, Awaitable, Plugin } from "../types.ts";
import { toOutgoing } from "./http.ts";
import type { Inbound } from "./inbound.ts";
import { createTargetCheck } from "./target.ts";

/** What the core keeps beside a request while h3 routes it. */
export interface RequestContext {
  readonly inbound: Inbound;
  outgoing?: Outgoing;
}

export interface DoorOptions {
  /** Plugins of the root list with a `guard` hook, in order. */
  guards: readonly Plugin[];
  log: Logger;
  /** Path prefix that proxies in front may have left before every path; none: `""`. */
  prefix(): string;
  /** Answers a request that may come in. Never rejects. */
  route: (inbound: Inbound) => Awaitable<Outgoing>;
}

/** RFC 9112 §3.2, §11.2: who sends what can be read in two ways may have sent more of it. */
const CLOSE = { connection: "close" };

/** @returns answers one request; never rejects */
export function createDoor({ guards, log, prefix, route }: DoorOptions): (inbound: Inbound) => Awaitable<Outgoing> {
  const targetError = createTargetCheck();

  /** The first guard that answers decides. One that fails lets nobody pass, unless it says otherwise. */
  function askGuards(inbound: Inbound, added: HeaderList): Answer | Response | undefined {
    for (const plugin of guards) {
      try {
        const early = plugin.guard!(inbound, added);
        if (early) return early;
      } catch (cause) {
        if (isProxyError(cause)) throw cause;
        const error = new ProxyError("PLUGIN_FAILED", { plugin: plugin.name, hook: "guard", cause });
        if (plugin.onFailure !== "skip") throw error;
        log.warn(() => `${error.toLog()}; skipped`);
      }
    }
  }

  return (inbound) => {
    const wrong = targetError(inbound);
    if (wrong !== undefined)
      return refusal(new ProxyError("INVALID_TARGET", { hint: wrong, headers: CLOSE }), log, inbound);
    // Guards and the router see the same path.
    if (prefix() !== "") inbound.dropPrefix(prefix());
    if (guards.length === 0) return route(inbound);
    const added = new HeaderList();
    let outgoing: Awaitable<Outgoing>;
    try {
      const early = askGuards(inbound, added);
      outgoing = early ? toOutgoing(early, inbound) : route(inbound);
    } catch (cause) {
      outgoing = refusal(cause, log, inbound);
    }
    if (added.flat.length === 0) return outgoing;
    return outgoing instanceof Promise
      ? outgoing.then((later) => withFields(later, added))
      : withFields(outgoing, added);
  };
}

/** `Vary` adds up (RFC 9110 §12.5.5); other fields are the guard's to decide. */
function withFields(outgoing: Outgoing, added: HeaderList): Outgoing {
  for (const [name, value] of added) {
    if (name === "vary") outgoing.headers.append(name, value);
    else outgoing.headers.set(name, value);
  }
  return outgoing;
}

/** Everything that no exchange answers: unknown paths, malformed requests, refusals, failures of routes. */
export function refusal(error: unknown, log: Logger, inbound?: Inbound): Outgoing {
  const known = isProxyError(error) ? error : fromHttpError(error);
  if (known.code === "INTERNAL" || known.code === "PLUGIN_FAILED") log.error(() => known.toLog());
  else log.debug(() => known.toLog());
  const body = errorResponse(null, { code: known.rpcCode, message: known.message, data: { code: known.code } });
  return toOutgoing(jsonText(JSON.stringify(body), known.status, known.details.headers), inbound);
}

function fromHttpError(error: unknown): ProxyError {
  const { status, cause } = error as HTTPError;
  if (isProxyError(cause)) return cause;
  if (status === 404) return new ProxyError("NOT_FOUND");
  if (status === 400) return new ProxyError("INVALID_REQUEST", { hint: "The URL is malformed." });
  return new ProxyError("INTERNAL", { cause: cause ?? error });
}
