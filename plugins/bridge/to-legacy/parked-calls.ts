/**
 * Calls whose server asked something, and whose clients have gone to find the answer (MCP 2026-07-28, Multi Round-Trip Requests).
 * The call stays open at the server; the client holds a reference to it in `requestState`, which is good for this caller, this
 * request and one time.
 */
import { type Message, ProxyError } from "../../../core/index.ts";
import type { BridgeHost } from "../host.ts";
import { lastingPart } from "../request-state.ts";
import type { Caller } from "./caller.ts";

/** A call that waits for its client. */
export interface ParkedCall {
  readonly caller: Caller;
  /** What its `requestState` belongs to. */
  readonly binding: readonly string[];
  /** Nobody came back for it. */
  expire(): void;
}

const PURPOSE = "bridge-parked";
/** What servers said meanwhile, of all calls with one server, in bytes. */
const MAX_KEPT = 64 * 1024 * 1024;

export class ParkedCalls<Call extends ParkedCall> {
  readonly #host: BridgeHost;
  /** Says whether a reference was made here. */
  readonly #process: string = crypto.randomUUID();
  readonly #calls = new Map<string, { call: Call; since: number }>();
  #kept = 0;

  constructor(host: BridgeHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#calls.size;
  }

  hasRoom({ principal }: Caller): boolean {
    let own = 0;
    for (const { call } of this.#calls.values()) if (call.caller.principal.id === principal.id) own++;
    return own < this.#host.settings.maxParked;
  }

  /** @returns the `requestState` with which it is taken out again */
  park(call: Call): string {
    const key = crypto.randomUUID();
    this.#calls.set(key, { call, since: performance.now() });
    const expiresAt = Date.now() + this.#host.settings.questionTimeout;
    return this.#host.app.sealer.seal(PURPOSE, `${this.#process} ${key}`, call.binding, expiresAt);
  }

  /** @param state as the client sent it @param binding of its request @throws ProxyError `INVALID_REQUEST_STATE` */
  take(state: unknown, binding: readonly string[]): Call {
    const { app, mount } = this.#host;
    const text = typeof state === "string" ? app.sealer.open(PURPOSE, state, binding) : undefined;
    const [process, key = ""] = text?.split(" ") ?? [];
    const found = this.#calls.get(key);
    if (process === this.#process && found) {
      this.#calls.delete(key);
      return found.call;
    }
    throw new ProxyError("INVALID_REQUEST_STATE", {
      server: mount.server,
      ...(text !== undefined &&
        process !== this.#process && {
          hint: "The call waited in another process of this proxy, or in one that has ended.",
        }),
    });
  }

  /** Counts bytes that are kept for clients that are away. @returns false where that is too much */
  keep(bytes: number): boolean {
    if (bytes > 0 && this.#kept + bytes > MAX_KEPT) return false;
    this.#kept += bytes;
    return true;
  }

  /** Called now and then. */
  look(): void {
    const { questionTimeout } = this.#host.settings;
    for (const [key, { call, since }] of this.#calls) {
      if (performance.now() - since < questionTimeout) continue;
      this.#calls.delete(key);
      call.expire();
    }
  }

  close(): void {
    for (const { call } of this.#calls.values()) call.expire();
    this.#calls.clear();
  }
}

/** To what a `requestState` belongs: who asks, and the request without what a retry adds. */
export function bindingOf(caller: Caller, server: string, message: Message): readonly string[] {
  return [caller.principal.id, caller.credential, server, message.method!, lastingPart(message)];
}
