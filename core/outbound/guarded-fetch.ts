/**
 * Fetches whose URL a stranger may have chosen: discovery, keys, tokens, metadata of clients. What is refused and what fails
 * looks the same, so that nobody learns by it what this machine can reach.
 */
import { Deadlines } from "../deadlines.ts";
import { ProxyError, isProxyError } from "../errors.ts";
import type { TlsOptions } from "../types.ts";
import type { WireRequest } from "../upstream/wire.ts";
import { redirectOf, toResponse, wantsBody } from "./answer.ts";
import { type DialAddress, type Fetched, dialAddress, requestOnce } from "./one-request.ts";
import { toWire } from "./request.ts";
import { type Lookup, resolve } from "./resolve.ts";
import { type Trust, trustOf } from "./trusted.ts";

/** At a time: nobody makes this proxy hold many sockets, or flood somebody else. */
const MAX_STRANGERS = 64;
const MAX_REDIRECTS = 3;

/** What a fetch can be told; a part of `RequestInit`, the rest of which is ignored. */
export interface GuardedFetchInit {
  /** @default "GET" */
  method?: string;
  headers?: HeadersInit;
  /** A `URLSearchParams` is sent as a form. */
  body?: string | URLSearchParams | Uint8Array | null;
  /** Ends the fetch, which then rejects with the signal's reason. */
  signal?: AbortSignal | null;
}

/**
 * Fetches within the rules of {@link createGuardedFetch}. The body of the answer is JSON, or after a `POST` a form, or empty: of
 * an answer that is no success, and neither of these, the status and the fields are given.
 *
 * @throws ProxyError `OUTBOUND_FAILED`, with one text for whatever went wrong; the log has the cause
 */
export type GuardedFetch = (url: string | URL, init?: GuardedFetchInit) => Promise<Response>;

/** Options of {@link createGuardedFetch}. */
export interface GuardedFetchOptions {
  /**
   * Origins, and hosts with or without a port, that the operator named himself; of another URL the origin counts. Only they may be
   * in a private network or on this machine, and only on this machine may they be `http:`.
   *
   * @default none
   */
  trusted?: readonly string[];
  /** For everything, from the look-up to the last byte, in milliseconds. @default 5000 */
  timeout?: number;
  /** The largest body of an answer, in bytes. @default 262144 */
  maxBytes?: number;
  /** Redirects that a `GET` follows, within the origin; 3 at most. @default 0 */
  maxRedirects?: number;
  /** Towards the trusted ones, for an authority that the system does not know. @default what the runtime trusts */
  tls?: TlsOptions;
  /** Gives all addresses of a host, in place of DNS. */
  lookup?: (host: string) => Promise<readonly string[]>;
}

/**
 * Makes a `fetch` for URLs that others chose: `https:` only, public addresses only, and exactly those that were checked are
 * dialled; no redirects to elsewhere, no cookies, no content codings, no proxy variables; small answers, in time; 64 at a time.
 * It fits the `customFetch` of oauth4webapi and jose.
 *
 * @throws ProxyError `BAD_OPTION` for an entry of `trusted` that is neither an origin nor a host
 */
export function createGuardedFetch(options: GuardedFetchOptions = {}): GuardedFetch {
  return guardedFetch(options, dialAddress);
}

/** The same with another way to connect. */
export function guardedFetch(options: GuardedFetchOptions, dial: DialAddress): GuardedFetch {
  const { timeout = 5000, maxBytes = 256 * 1024, maxRedirects = 0, tls, lookup } = options;
  const rules: Rules = {
    trusts: trustOf(options.trusted ?? []),
    dial,
    deadlines: new Deadlines(),
    timeout,
    maxBytes,
    maxRedirects: Math.min(maxRedirects, MAX_REDIRECTS),
    tls,
    lookup,
  };
  let strangers = 0;
  return async (input, init = {}) => {
    const { signal } = init;
    signal?.throwIfAborted();
    const limit = new AbortController();
    const giveUp = () => limit.abort(signal?.reason);
    signal?.addEventListener("abort", giveUp, { once: true });
    const timer = setTimeout(() => limit.abort(new Error(`not at its end after ${timeout} ms`)), timeout);
    let isCounted = false;
    try {
      const url = allowed(String(input), rules.trusts);
      isCounted = !rules.trusts(url);
      if (isCounted && ++strangers > MAX_STRANGERS) throw new Error(`${MAX_STRANGERS} others are under way`);
      return await Promise.race([follow(url, toWire(url, init), rules, limit.signal), aborted(limit.signal)]);
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      throw failure(input, limit.signal.aborted ? limit.signal.reason : cause);
    } finally {
      if (isCounted) strangers--;
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    }
  };
}

interface Rules extends Pick<GuardedFetchOptions, "tls"> {
  trusts: Trust;
  dial: DialAddress;
  deadlines: Deadlines;
  timeout: number;
  maxBytes: number;
  maxRedirects: number;
  lookup: Lookup | undefined;
}

async function follow(start: URL, request: WireRequest, rules: Rules, signal: AbortSignal): Promise<Response> {
  let url = start;
  for (let hops = 0; ; hops++) {
    const addresses = await resolve(url, rules.trusts(url), rules.lookup, signal);
    signal.throwIfAborted();
    const path = url.pathname + url.search;
    const fetched = await requestAny(url, addresses, { ...request, path }, rules, signal);
    const target = redirectOf(fetched, url, request.method, rules.maxRedirects - hops);
    if (!target) return toResponse(fetched);
    url = target;
  }
}

/** The next address is tried where no byte has left for the one before. */
async function requestAny(
  url: URL,
  addresses: readonly string[],
  request: WireRequest,
  rules: Rules,
  signal: AbortSignal,
): Promise<Fetched> {
  const { timeout, maxBytes, deadlines } = rules;
  const tls = rules.trusts(url) ? rules.tls : undefined;
  for (let i = 0; ; i++) {
    const isLast = i === addresses.length - 1;
    const dial = rules.dial(url, isLast ? timeout : timeout / addresses.length, tls, addresses[i]!);
    const wants = (head: Pick<Fetched, "status" | "headers">) => wantsBody(head, request.method, maxBytes);
    try {
      return await requestOnce(url, request, dial, wants, maxBytes, deadlines, signal);
    } catch (error) {
      const isUnsent = isProxyError(error) && /^UPSTREAM_(?:UNREACHABLE|CONNECT_TIMEOUT)$/.test(error.code);
      if (isLast || signal.aborted || !isUnsent) throw error;
    }
  }
}

/** @throws Error one sentence for the log */
function allowed(input: string, trusts: Trust): URL {
  if (!URL.canParse(input)) throw new Error("not a URL");
  const url = new URL(input);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && trusts(url)))
    throw new Error("https: is needed; http: is for hosts of this machine that the configuration names");
  if (url.username || url.password) throw new Error("it has a user or a password in it");
  return url;
}

/** Rejects as soon as the signal says so: not everything that is waited for can be stopped. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, fail) => signal.addEventListener("abort", () => fail(signal.reason), { once: true }));
}

function failure(input: string | URL, cause: unknown): ProxyError {
  const why = isProxyError(cause)
    ? [cause.code, cause.details.detail, textOf(cause.details.cause)].filter(Boolean).join(", ")
    : textOf(cause);
  return new ProxyError("OUTBOUND_FAILED", { detail: `${nameOf(String(input))}: ${why}` });
}

function textOf(cause: unknown): string | undefined {
  if (cause === undefined) return undefined;
  return cause instanceof Error ? ((cause as { code?: string }).code ?? cause.message) : String(cause);
}

/** For the log: without user and query, which may be secret. */
function nameOf(text: string): string {
  if (!URL.canParse(text)) return "a URL that is none";
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`;
}
