/** Tokens that were had for what callers presented: each caller's own, in memory only, and few. */
import { decodeJwt } from "jose";
import type { Exchange, Principal } from "../core/index.ts";
import type { TokenSource } from "./_token-source.ts";

/** What a caller presented. */
export interface Subject {
  token: string;
  /** When it ends, in milliseconds since the epoch. */
  end: number;
}

interface Caller {
  last: Subject | undefined;
  /** By the presented token: two of one caller may allow different things. */
  readonly sources: Map<string, TokenSource>;
  /** `performance.now()` */
  usedAt: number;
}

const MAX_CALLERS = 1000;
const MAX_SOURCES = 8;
/** A caller that nothing was heard of for so long is forgotten, in milliseconds. */
const IDLE = 3_600_000;
/** RFC 6750 §2.1, RFC 9449 §7.1. */
const PRESENTED = /^(?:bearer|dpop) +([\x21-\x7e]+)$/i;

/** Of one mount: a token that was presented here is for nobody else. */
export class CallerTokens {
  readonly #make: (subject: Subject) => TokenSource;
  readonly #callers = new Map<string, Caller>();

  /** @param make a source of tokens for what was presented */
  constructor(make: (subject: Subject) => TokenSource) {
    this.#make = make;
  }

  /** Remembers what a caller presents, for what the proxy will ask on its behalf. */
  note({ principal, request }: Exchange): void {
    const subject = presented(principal, request.headers);
    if (subject) this.#of(principal.id).last = subject;
  }

  /** @returns nothing where the caller has presented no token that could be exchanged, or it has ended */
  of({ principal, request, origin }: Exchange): TokenSource | undefined {
    const subject = origin === "client" ? presented(principal, request.headers) : this.#callers.get(principal.id)?.last;
    if (!subject || subject.end <= Date.now()) return undefined;
    const { sources } = this.#of(principal.id);
    const source = sources.get(subject.token) ?? this.#make(subject);
    touch(sources, subject.token, source, MAX_SOURCES);
    return source;
  }

  /** A caller has logged out. */
  forget(principal: string): void {
    this.#callers.delete(principal);
  }

  /** Called now and then. */
  sweep(): void {
    const [now, idle] = [Date.now(), performance.now() - IDLE];
    for (const [id, { last, usedAt }] of this.#callers)
      if (usedAt < idle || (last !== undefined && last.end <= now)) this.#callers.delete(id);
  }

  get size(): number {
    return this.#callers.size;
  }

  #of(id: string): Caller {
    const caller = this.#callers.get(id) ?? { last: undefined, sources: new Map(), usedAt: 0 };
    caller.usedAt = performance.now();
    touch(this.#callers, id, caller, MAX_CALLERS);
    return caller;
  }
}

/**
 * What a request carries, where it is what its caller is known by: only who was told claims has read a token. An API key that
 * stands in the same field is nothing that could be exchanged, and goes to nobody.
 */
function presented({ claims }: Principal, headers: Headers): Subject | undefined {
  const token = PRESENTED.exec(headers.get("authorization") ?? "")?.[1];
  if (token === undefined || claims === undefined) return undefined;
  const ends = [claims.exp, expiryOf(token)].filter((end) => typeof end === "number");
  return { token, end: Math.min(...ends, Number.POSITIVE_INFINITY) * 1000 };
}

/** Not checked: it can only end something sooner. */
function expiryOf(token: string): number | undefined {
  try {
    return decodeJwt(token).exp;
  } catch {
    return undefined;
  }
}

/** The one that was used last goes last, and the first one goes where there are too many. */
function touch<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value!);
}
