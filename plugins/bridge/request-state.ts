/**
 * `requestState` of a server whose requests a hook changes (MCP 2026-07-28, Multi Round-Trip Requests). The server binds it to the
 * request that it was sent, and two requests of clients may have become the same one: here it is bound to what was posted.
 */
import {
  type Answer,
  EventSplitter,
  type Exchange,
  JsonObject,
  type Message,
  type Next,
  ProxyError,
  type Source,
  type UpstreamRequest,
  fromSource,
  isEventStream,
  jsonText,
  mediaType,
  onOneLine,
  parseEvent,
  sourceOf,
  writeEvent,
} from "../../core/index.ts";
import type { BridgeHost } from "./host.ts";
import { peek } from "./peek.ts";
import { MAY_ASK } from "./to-legacy/asking.ts";
import { canonical } from "./to-legacy/caller.ts";

const PURPOSE = "bridge-request-state";
const QUESTION = "input_required";

/** What is the same in a request and its retries. */
export function lastingPart({ params }: Message): string {
  const { inputResponses: _answers, requestState: _state, _meta, ...rest } = params ?? {};
  return canonical(rest);
}

export class RequestStates {
  readonly #host: BridgeHost;

  constructor(host: BridgeHost) {
    this.#host = host;
  }

  /** Sends a modern request to a modern server. @throws ProxyError `INVALID_REQUEST_STATE` */
  relay(exchange: Exchange, request: UpstreamRequest, next: Next): Promise<Answer> {
    const { postedBody } = exchange;
    // Nothing was changed: whatever the server said is between it and the client.
    if (postedBody === undefined || request.body === null || request.body === postedBody) return next(request);
    const sent = sentBy(exchange, request.body);
    if (!MAY_ASK.has(String(sent?.value("method")))) return next(request);
    return this.#exchange({ exchange, request, next, postedBody, sent: sent! });
  }

  async #exchange({ exchange, request, next, postedBody, sent }: Changed): Promise<Answer> {
    const { mount } = this.#host;
    const posted = JSON.parse(new TextDecoder().decode(postedBody)) as Message;
    const binding = [exchange.principal.id, mount.server, String(posted.method), lastingPart(posted)];
    const answer = await next(this.#opened(request, sent, binding));
    if (answer.status >= 300 || answer.headers.has("content-encoding")) return answer;
    if (isEventStream(answer.headers)) return this.#sealEvents(answer, binding);
    return mediaType(answer.headers) === "application/json" ? this.#sealJson(answer, binding) : answer;
  }

  /** The request with the server's own `requestState`, where it is a retry. */
  #opened(request: UpstreamRequest, sent: JsonObject, binding: readonly string[]): UpstreamRequest {
    const params = sent.object("params");
    if (!params?.has("requestState")) return request;
    const state = params.value("requestState");
    const opened = typeof state === "string" ? this.#host.app.sealer.open(PURPOSE, state, binding) : undefined;
    if (opened === undefined) throw new ProxyError("INVALID_REQUEST_STATE", { server: this.#host.mount.server });
    return { ...request, body: sent.set("params", params.set("requestState", JSON.stringify(opened))).toBytes() };
  }

  async #sealJson(answer: Answer, binding: readonly string[]): Promise<Answer> {
    const [peeked, bytes] = await peek(answer, this.#host.mount.maxMessageBytes);
    const sealed = bytes && this.#sealed(bytes, binding);
    if (!sealed) return peeked;
    answer.headers.delete("content-length");
    return { ...answer, body: jsonText(sealed.toString()).body };
  }

  #sealEvents(answer: Answer, binding: readonly string[]): Answer {
    answer.headers.delete("content-length");
    const source = rewritten(sourceOf(answer), this.#host.mount.maxMessageBytes, (event) => {
      if (!event.includes(QUESTION)) return event;
      const { data, others } = parseEvent(event.toString(), false);
      const sealed = data === undefined ? undefined : this.#sealed(Buffer.from(data), binding);
      return sealed ? Buffer.from(writeEvent(onOneLine(sealed).toString(), others)) : event;
    });
    return fromSource(source, answer.headers, answer.status);
  }

  /** @returns `undefined` for what is no question, or has no `requestState` */
  #sealed(text: Buffer, binding: readonly string[]): Buffer | undefined {
    if (!text.includes(QUESTION)) return undefined;
    const message = JsonObject.read(text);
    const result = message?.object("result");
    if (result?.value("resultType") !== QUESTION) return undefined;
    const state = result.value("requestState");
    if (typeof state !== "string") return undefined;
    const { app, settings } = this.#host;
    const sealed = app.sealer.seal(PURPOSE, state, binding, Date.now() + settings.questionTimeout);
    return message!.set("result", result.set("requestState", JSON.stringify(sealed))).toBytes();
  }
}

/** A request that is not what was posted. */
interface Changed {
  exchange: Exchange;
  request: UpstreamRequest;
  next: Next;
  postedBody: Uint8Array;
  sent: JsonObject;
}

/** @returns `undefined` for what is no object */
function sentBy({ posted }: Exchange, body: Message | Uint8Array): JsonObject | undefined {
  if (body instanceof Uint8Array) return JsonObject.read(body);
  const sent = JsonObject.read(Buffer.from(JSON.stringify(body)));
  // A number beyond 2^53 is another one once it was parsed.
  return body.id !== undefined && posted?.idText !== undefined ? sent?.set("id", posted.idText) : sent;
}

/** The same event stream, each event as `rewrite` returns it. @param limit of one event, in bytes */
function rewritten(source: Source, limit: number, rewrite: (event: Buffer) => Buffer): Source {
  const splitter = new EventSplitter(limit);
  let over = false;
  return {
    start(receiver) {
      source.start({
        data(chunk) {
          if (over) return;
          const events: Buffer[] = [];
          try {
            splitter.write(chunk, (event) => void events.push(rewrite(event)));
          } catch (cause) {
            over = true;
            receiver.fail(cause instanceof ProxyError ? cause : new ProxyError("UPSTREAM_INVALID", { cause }));
            return source.abort();
          }
          if (events.length > 0) receiver.data(Buffer.concat(events));
        },
        end(cancelled) {
          if (over) return;
          over = true;
          if (splitter.rest.length > 0) receiver.data(splitter.rest);
          receiver.end(cancelled);
        },
        fail(error) {
          if (over) return;
          over = true;
          receiver.fail(error);
        },
      });
    },
    pause: () => source.pause(),
    resume: () => source.resume(),
    abort: () => source.abort(),
  };
}
