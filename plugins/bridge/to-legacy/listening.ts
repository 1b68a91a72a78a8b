/**
 * `subscriptions/listen` at a legacy server (MCP 2026-07-28, Subscriptions): what it says on the GET stream of a session, and
 * `resources/subscribe` for each resource.
 *
 *   request ▶ a session and its GET stream ▶ resources/subscribe ▶ what of it can be told is acknowledged ▶ changes, each with the
 *   subscription's id ▶ the client leaves, or the proxy stops ▶ resources/unsubscribe
 */
import { type Answer, type Json, events } from "../../../core/index.ts";
import { listenResult } from "../../_listen-result.ts";
import { ChangeStream } from "../change-stream.ts";
import { ACKNOWLEDGED, ChangeFilter, stamp } from "../changes.ts";
import { errorAnswer } from "./errors.ts";
import type { ServerLease } from "./lease.ts";
import { LeaseChanges, type Subscriber } from "./lease-changes.ts";

/** Subscriptions at one server, as many as the SDK's servers have. */
const MAX_LISTENS = 1024;
/** Resources of one of them. */
const MAX_URIS = 1000;

export class Listening {
  readonly #server: string;
  readonly #changes = new Map<ServerLease, LeaseChanges>();
  readonly #open = new Set<Listen>();
  #count = 0;

  /** @param server its name */
  constructor(server: string) {
    this.#server = server;
  }

  get size(): number {
    return this.#count;
  }

  /**
   * @param idText of the request, as it was posted
   * @param wish its `notifications`
   * @param session gives one for the client
   * @throws ProxyError
   */
  async listen(idText: string, wish: unknown, session: () => Promise<ServerLease>): Promise<Answer> {
    const filter = ChangeFilter.read(wish);
    if (!filter || filter.uris.length > MAX_URIS)
      return errorAnswer(idText, 200, {
        code: -32602,
        message: filter
          ? `More than ${MAX_URIS} resources cannot be subscribed to at a time.`
          : "`notifications` is missing, or does not say what to tell.",
      });
    if (this.#count >= MAX_LISTENS)
      return errorAnswer(idText, 200, {
        code: -32603,
        message: `Server '${this.#server}' has ${MAX_LISTENS} subscriptions already.`,
      });
    this.#count++;
    let listen: Listen | undefined;
    try {
      listen = await this.#begin(idText, filter, await session());
      return listen.answer ?? nothing(idText);
    } finally {
      if (!listen?.answer) this.#count--;
    }
  }

  /** The proxy closes. */
  close(): void {
    for (const listen of this.#open) listen.end();
  }

  async #begin(idText: string, filter: ChangeFilter, lease: ServerLease): Promise<Listen> {
    const letGo = await lease.hold();
    // Without a stream nothing of it could ever come.
    const possible = lease.hasStream ? filter.within(lease.capabilities) : new ChangeFilter([], []);
    const listen = new Listen(idText, possible);
    const changes = this.#changesOf(lease);
    const left = async () => {
      if (this.#open.delete(listen)) this.#count--;
      await changes.remove(listen, possible.uris);
      letGo();
    };
    const taken = await changes.add(listen);
    listen.filter = possible.with(taken);
    if (listen.filter.isEmpty) await left();
    else {
      this.#open.add(listen);
      listen.open(() => void left());
    }
    return listen;
  }

  #changesOf(lease: ServerLease): LeaseChanges {
    let changes = this.#changes.get(lease);
    if (!changes) this.#changes.set(lease, (changes = new LeaseChanges(lease, () => this.#changes.delete(lease))));
    return changes;
  }
}

/** One subscription. */
class Listen implements Subscriber {
  filter: ChangeFilter;
  /** Once there is something to tell. */
  answer: Answer | undefined;
  readonly #idText: string;
  readonly #stream = new ChangeStream();

  constructor(idText: string, filter: ChangeFilter) {
    this.#idText = idText;
    this.filter = filter;
  }

  /** @param left the client has gone */
  open(left: () => void): void {
    this.answer = this.#stream.open(left, acknowledgement(this.#idText, this.filter));
  }

  tell(subject: string, text: Buffer): void {
    this.#stream.push(subject, stamp(text, this.#idText));
  }

  end(): void {
    this.#stream.end(Buffer.from(listenResult(this.#idText)));
  }
}

/** Acknowledged, and over: there would never be anything to tell. */
function nothing(idText: string): Answer {
  const messages = [acknowledgement(idText, new ChangeFilter([], [])).toString(), listenResult(idText)];
  return events(Buffer.from(messages.map((text) => `event: message\ndata: ${text}\n\n`).join("")));
}

function acknowledgement(idText: string, filter: ChangeFilter): Buffer {
  const message: Json = { jsonrpc: "2.0", method: ACKNOWLEDGED, params: { notifications: filter } };
  return stamp(Buffer.from(JSON.stringify(message)), idText);
}
