/**
 * The connections to one server. A call takes a connection out of a last-in-first-out list and puts it back, so there is no
 * need to know beforehand which call becomes a stream, and thousands of open streams do not slow the others down.
 *
 * Nothing is ever sent twice: once a byte of a request may have left, its fate is that of its connection (RFC 9110 §9.2.2).
 */
import { setImmediate } from "node:timers";
import { Bag } from "../../bag.ts";
import { ProxyError } from "../../errors.ts";
import type { Call } from "./call.ts";
import type { Dial, Dialing } from "./connect.ts";
import { Connection, type ConnectionOwner } from "./connection.ts";
import type { Origin } from "./request.ts";

/** Idle connections kept; more are closed as they come back. */
const MAX_IDLE = 256;
/** How long an idle connection is kept, in milliseconds: less than servers keep it, so that they rarely close it first. */
const IDLE_TIME = 4000;
/** A server's own limit counts from earlier than ours, and its FIN needs time. */
const MARGIN = 1000;
const SWEEP = 500;

export class Pool implements ConnectionOwner {
  readonly origin: Origin;
  readonly #dial: Dial;
  readonly #open = new Bag<Connection>();
  readonly #dialing = new Bag<Dialing>();
  readonly #idle: Connection[] = [];
  #due: Call[] = [];
  #dueOn: Connection[] = [];
  #sweep: ReturnType<typeof setInterval> | undefined;
  #closed = false;
  readonly #sendDue = (): void => {
    const calls = this.#due;
    const connections = this.#dueOn;
    this.#due = [];
    this.#dueOn = [];
    for (let i = 0; i < calls.length; i++) {
      const call = calls[i]!;
      const connection = connections[i]!;
      // Closed before a byte of this request was written: another one may carry it.
      if (call.over) continue;
      if (connection.dead) this.send(call);
      else connection.send(call);
    }
  };

  constructor(origin: Origin, dial: Dial) {
    this.origin = origin;
    this.#dial = dial;
  }

  send(call: Call): void {
    if (call.over) return;
    if (this.#closed) return call.fail(new ProxyError("STOPPING"));
    const connection = this.#take();
    if (!connection) return this.#connect(call);
    call.carrier = connection;
    // A turn of the event loop: what the server has already done to the connection, a FIN or bytes that nobody asked for,
    // is seen before the request is written.
    if (this.#due.length === 0) setImmediate(this.#sendDue);
    this.#due.push(call);
    this.#dueOn.push(connection);
  }

  free(connection: Connection): void {
    const { keptFor } = connection;
    const time = keptFor === undefined ? IDLE_TIME : Math.min(IDLE_TIME, keptFor - MARGIN);
    if (this.#closed || time <= 0 || this.#idle.length >= MAX_IDLE) return connection.destroy();
    connection.freshUntil = performance.now() + time;
    this.#idle.push(connection);
    this.#sweep ??= this.#startSweep();
  }

  gone(connection: Connection): void {
    if (connection.entry) this.#open.remove(connection.entry);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  /** Ends every connection and every call. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
    for (const dialing of this.#dialing.values()) dialing.fail(new ProxyError("STOPPING"));
    for (const call of this.#due) call.fail(new ProxyError("STOPPING"));
    for (const connection of this.#open.values()) connection.cut(new ProxyError("STOPPING"));
  }

  #take(): Connection | undefined {
    const now = this.#idle.length > 0 ? performance.now() : 0;
    for (;;) {
      const connection = this.#idle.pop();
      if (!connection || (connection.freshUntil > now && !connection.dead)) return connection;
      connection.destroy();
    }
  }

  #connect(call: Call): void {
    const dialing = this.#dial((error, socket) => {
      this.#dialing.remove(entry);
      if (!socket) return call.fail(error);
      const connection = new Connection(socket, this);
      connection.entry = this.#open.add(connection);
      if (call.over) this.free(connection);
      else connection.send(call);
    });
    const entry = this.#dialing.add(dialing);
    call.carrier = dialing;
  }

  #startSweep(): ReturnType<typeof setInterval> {
    const handle = setInterval(() => {
      const now = performance.now();
      for (const connection of this.#idle.filter(({ freshUntil }) => freshUntil <= now)) connection.destroy();
      if (this.#idle.length > 0) return;
      clearInterval(handle);
      this.#sweep = undefined;
    }, SWEEP);
    handle.unref?.();
    return handle;
  }
}
