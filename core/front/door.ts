/** Where every HTTP request comes in: what the core refuses, the guards, then routing. And what is said where no exchange answers. */
import type { HTTPError } from "h3";
import type { ServerRequest } from "srvx";
import { jsonText } from "../body/body.ts";
import { errorResponse } from "../body/message.ts";
import { ProxyError, isProxyError } from "../errors.ts";
import { HeaderList } from "../headers.ts";
import type { Logger } from "../log.ts";
import type { PublicOrigin } from "../public-url.ts";
import type { Answer, Awaitable, Plugin } from "../types.ts";
import { Head } from "./head.ts";
import { toResponse } from "./http.ts";
import { createTargetCheck } from "./target.ts";

/** What the core keeps beside a request while h3 routes it. */
export interface RequestContext {
  head: Head;
}

export interface DoorOptions {
  /** Plugins of the root list with a `guard` hook, in order. */
  guards: readonly Plugin[];
  origin: PublicOrigin;
  log: Logger;
  /** Answers a request that may come in. Never rejects. */
  route: (request: ServerRequest, head: Head) => Awaitable<Response>;
}

/** @returns answers one request; never rejects */
export function createDoor({ guards, origin, log, route }: DoorOptions): (request: Request) => Awaitable<Response> {
  const targetError = createTargetCheck();
  const refuse = (error: unknown, request: ServerRequest) => errorToResponse(error, log, request);

  /** The first guard that answers decides. One that fails lets nobody pass, unless it says otherwise. */
  function askGuards(head: Head, added: HeaderList): Answer | Response | undefined {
    for (const plugin of guards) {
      try {
        const early = plugin.guard!(head, added);
        if (early) return early;
      } catch (cause) {
        if (isProxyError(cause)) throw cause;
        const error = new ProxyError("PLUGIN_FAILED", { plugin: plugin.name, hook: "guard", cause });
        if (plugin.onFailure !== "skip") throw error;
        log.warn(() => `${error.toLog()}; skipped`);
      }
    }
  }

  return (request) => {
    const wrong = targetError(request);
    if (wrong !== undefined) return refuse(new ProxyError("INVALID_TARGET", { hint: wrong }), request);
    const head = new Head(request, origin);
    if (guards.length === 0) return route(request, head);
    const added = new HeaderList();
    let response: Awaitable<Response>;
    try {
      const early = askGuards(head, added);
      response = early ? toResponse(early, request) : route(request, head);
    } catch (cause) {
      response = refuse(cause, request);
    }
    if (added.flat.length === 0) return response;
    return response instanceof Promise
      ? response.then((later) => withFields(later, added))
      : withFields(response, added);
  };
}

/** `Vary` adds up (RFC 9110 §12.5.5); other fields are the guard's to decide. */
function withFields(response: Response, added: HeaderList): Response {
  const { headers } = response;
  for (const [name, value] of added) {
    if (name === "vary") headers.append(name, value);
    else headers.set(name, value);
  }
  return response;
}

/** Everything that no exchange answers: unknown paths, malformed URLs, refusals, failures of routes. */
export function errorToResponse(error: unknown, log: Logger, request: ServerRequest): Response {
  const known = isProxyError(error) ? error : fromHttpError(error);
  if (known.code === "INTERNAL" || known.code === "PLUGIN_FAILED") log.error(() => known.toLog());
  else log.debug(() => known.toLog());
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
