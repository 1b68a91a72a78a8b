/**
 * The stream of a GET, on which a server says what belongs to no request (MCP 2025-11-25, Transports, "Listening for Messages from
 * the Server"). It is optional: that there is none is no failure, and one that was there comes back.
 */
import { Pipe } from "../body/pipe.ts";
import type { Deadline } from "../deadlines.ts";
import { ExchangeRun } from "../exchange.ts";
import { isEventStream } from "../headers.ts";
import { type AnswerTaker, readAnswer } from "./channel-answer.ts";
import type { ChannelClient } from "./channel.ts";

/** Before the stream is opened again, in milliseconds. */
const SHORTEST_WAIT = 100;
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30_000;

export class ChannelListener {
  readonly #channel: ChannelClient;
  #exchange: ExchangeRun | undefined;
  #reopen: Deadline | undefined;
  #lastId: string | undefined;
  /** Streams in a row that ended, or could not be opened, and on which nothing came. */
  #failures = 0;
  #wasOpen = false;
  #closed = false;

  constructor(channel: ChannelClient) {
    this.#channel = channel;
    void this.#open();
  }

  close(): void {
    this.#closed = true;
    this.#reopen?.cancel();
    this.#exchange?.closed(false);
  }

  async #open(): Promise<void> {
    const own = ["accept", "text/event-stream"];
    if (this.#lastId !== undefined) own.push("last-event-id", this.#lastId);
    const { mount } = this.#channel;
    const exchange = new ExchangeRun(mount, this.#channel.listenWith(own));
    this.#exchange = exchange;
    const outgoing = await exchange.run();
    const { status, headers, body } = outgoing;
    if (status !== 200 || !isEventStream(headers)) {
      if (body instanceof Pipe) body.abort();
      exchange.closed(true);
      // What is refused stays refused; a server that is starting again will be there in a while.
      if (this.#wasOpen && status >= 500) this.#again();
      return;
    }
    this.#wasOpen = true;
    const taker: AnswerTaker = {
      message: (line) => {
        this.#failures = 0;
        this.#channel.send(line);
      },
      end: (whole, _body, events) => {
        if (body instanceof Pipe) this.#channel.forget(body);
        exchange.closed(whole);
        this.#lastId = events?.lastId ?? this.#lastId;
        this.#again(events?.retry);
      },
      isFull: (pipe) => this.#channel.isFull(pipe),
    };
    readAnswer(outgoing, mount.maxMessageBytes, taker);
  }

  /** @param retry what the server asked to wait, in milliseconds */
  #again(retry: number = FIRST_WAIT): void {
    if (this.#closed) return;
    const wait = Math.max(retry, this.#failures === 0 ? SHORTEST_WAIT : FIRST_WAIT * 2 ** this.#failures);
    this.#failures++;
    this.#reopen = this.#channel.mount.deadlines.after(Math.min(wait, LONGEST_WAIT), () => void this.#open());
  }
}
