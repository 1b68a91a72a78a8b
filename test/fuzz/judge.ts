/** Compares what a client got with what should have arrived. */
import { isDeepStrictEqual } from "node:util";
import type { WireAnswer } from "./answers.ts";
import { change } from "./changes.ts";
import { type Response, field } from "./http-reader.ts";
import type { Posted } from "./messages.ts";
import type { Lane } from "./proxy.config.ts";
import { type Item, itemsOf, itemsOfStream } from "./reference.ts";
import { show } from "./socket.ts";

/** One request and the answer that the server has for it. */
export interface Asked {
  lane: Lane;
  /** `undefined`: a GET. */
  posted: Posted | undefined;
  answer: WireAnswer;
}

type Verdict = string | undefined;

/** @returns what is wrong */
export function judge(asked: Asked, got: Response): Verdict {
  const { answer } = asked;
  if (answer.whole !== undefined) return judgeOne(asked, got);
  const as = (whole: boolean) => judgeOne({ ...asked, answer: { ...answer, whole } }, got);
  return as(true) && as(false);
}

function judgeOne(asked: Asked, got: Response): Verdict {
  const { lane, posted, answer } = asked;
  const isStream = /^text\/event-stream/i.test(answer.type);
  const mayBeReset = answer.ending === "rst";
  if (lane === "standard" && !posted && got.status === 405 && !answer.whole) return undefined;
  if (!answer.headFits) return refusal(asked, got, /^UPSTREAM_(?:INVALID|BROKE)$/);
  // A reset overtakes what was sent before it.
  if (mayBeReset && got.status === 502) return refusal(asked, got, /^UPSTREAM_(?:INVALID|BROKE)$/);
  const isRead = !isStream && (lane === "noop" || lane === "change") && posted?.id !== undefined;
  if (isRead && isWithheld(asked)) return refusal(asked, got, answer.whole ? /^UPSTREAM_INVALID$/ : /^UPSTREAM_BROKE$/);
  if (got.status !== answer.status) return `status ${got.status} in place of ${answer.status}`;
  if (field(got, "x-kept") !== "\u00c3\u00a9" && field(got, "x-kept") !== "é") return `x-kept: ${field(got, "x-kept")}`;
  if (isStream) return lane === "raw" ? sameBytes(asked, got) : stream(asked, got);
  return isRead ? json(asked, got) : sameBytes(asked, got);
}

/** Before the answer began: a JSON-RPC error with the id of the request. */
function refusal({ posted }: Asked, got: Response, codes: RegExp): Verdict {
  if (got.status !== 502 || !got.whole) return `HTTP ${got.status} (whole: ${got.whole}) in place of an error`;
  return isError(itemsOf(got.body.toString())[0], posted?.id ?? "null", codes) ? undefined : "not the documented error";
}

function isError(item: Item | undefined, id: string, codes = /^UPSTREAM_/): boolean {
  const data = item?.message?.error?.data as { code?: unknown } | undefined;
  if (item?.id !== id || typeof data?.code !== "string" || !codes.test(data.code)) return false;
  return item.message!.error!.message.includes("'fuzzed'");
}

function sameBytes({ answer }: Asked, got: Response): Verdict {
  if (got.whole !== answer.whole) return `whole: ${got.whole} in place of ${answer.whole}`;
  const expected = answer.ending === "rst" ? answer.body.subarray(0, got.body.length) : answer.body;
  return got.body.equals(expected) ? undefined : differ(expected, got.body);
}

function itemsOfJson({ body }: WireAnswer): Item[] {
  return body.length === 0 ? [] : itemsOf(new TextDecoder("utf-8", { ignoreBOM: true }).decode(body));
}

/** Hooks must read it and cannot. An error page has no message to hide. */
function isWithheld({ answer }: Asked): boolean {
  return !answer.whole || (answer.status < 400 && itemsOfJson(answer).some(({ broken }) => broken));
}

/** A JSON answer that hooks read. */
function json(asked: Asked, got: Response): Verdict {
  const { lane, posted, answer } = asked;
  const sent = itemsOfJson(answer);
  if (sent.length === 0 || sent.some(({ broken }) => broken)) return sameBytes(asked, got);
  if (lane === "noop" && !sent.some(({ ambiguous }) => ambiguous)) return sameBytes(asked, got);
  if (!got.whole) return "cut";
  const items = itemsOf(got.body.toString());
  const wanted = sent.flatMap((item) => changed(item, lane, posted!));
  if (items.length !== wanted.length) return `${items.length} messages in place of ${wanted.length}`;
  return items.every((item, i) => same(wanted[i]!, item)) ? undefined : "not the messages that were sent";
}

/** An event stream that hooks read. */
function stream(asked: Asked, got: Response): Verdict {
  const { lane, posted, answer } = asked;
  const { ending } = answer;
  const whole = answer.whole === true;
  const sent = itemsOfStream(answer.body, whole);
  const wanted = lane === "change" ? sent.flatMap((item) => changed(item, lane, posted)) : sent;
  const items = itemsOfStream(got.body, got.whole);
  let [i, j] = [0, 0];
  let gaveUp = false;
  while (i < wanted.length && j < items.length && same(wanted[i]!, items[j]!)) [i, j] = [i + 1, j + 1];
  // A batch may go on as its messages, or as it is.
  if (i < wanted.length) {
    gaveUp = wanted[i]!.broken && !got.whole;
    if (!gaveUp && ending !== "rst") return `item ${i} of ${wanted.length} is missing or another one`;
  }
  const own = items.slice(j);
  const passed = items.slice(0, j);
  if (got.whole !== (whole && !gaveUp)) return `whole: ${got.whole}, but it was ${whole ? "" : "not "}whole`;
  // The default preset reads no responses: it takes what looks like one for one, since parsing large ones would cost too much,
  // and none that has no id.
  const isVague = ({ broken, kind, message, text }: Item) =>
    broken ? /"(?:result|error)"/.test(text) : kind === "response" && message!.id === undefined;
  const looksAnswered = lane === "standard" && passed.some(isVague);
  const answered = passed.some((item) => item.kind === "response" && !(lane === "standard" && isVague(item)));
  const pending = posted?.id !== undefined && !answered;
  // A stream that can be resumed may end before its answer.
  const mayResume = got.whole && /^(?:\uFEFF)?id/m.test(answer.body.toString().replaceAll("\r", "\n"));
  if (own.length > 1 || (own.length === 1 && !(pending && isError(own[0], posted!.id!))))
    return `invented: ${own[0]!.text}`;
  if (pending && own.length === 0 && !mayResume && !looksAnswered) return "the pending request got no answer";
  if (pending && own.length === 0) return undefined;
  if (answered && whole && !looksAnswered && !itemsOfStream(got.body, false).some(({ kind }) => kind === "response"))
    return "the answer stands in an event that never ends";
  if (lane === "change" || sent.some(({ ambiguous }) => ambiguous)) return undefined;
  const kept = own.length === 0 ? got.body : got.body.subarray(0, got.body.lastIndexOf("data: "));
  return sameAsFar(kept, answer.body) ? undefined : differ(answer.body, got.body);
}

/** Byte for byte, but for the end of an event that was added. */
function sameAsFar(kept: Buffer, sent: Buffer): boolean {
  const isPrefix = (bytes: Buffer) => bytes.equals(sent.subarray(0, bytes.length));
  return isPrefix(kept) || (kept.subarray(-2).toString() === "\n\n" && isPrefix(kept.subarray(0, -2)));
}

function changed(item: Item, lane: Lane, posted: Posted | undefined): Item[] {
  if (!item.kind || lane !== "change") return [item];
  const to = change(item.message!, posted?.method);
  if (to === null) return [];
  return to === undefined ? [item] : [{ ...item, message: to, text: "" }];
}

function same(wanted: Item, got: Item): boolean {
  if (wanted.event?.type !== got.event?.type || wanted.event?.lastEventId !== got.event?.lastEventId) return false;
  if (wanted.text === got.text) return true;
  if (!wanted.message || !got.message) return false;
  // What `JSON.stringify` cannot say (1e999) is gone where a message was written anew; its id is not.
  if (!isDeepStrictEqual(JSON.parse(JSON.stringify(wanted.message)), JSON.parse(JSON.stringify(got.message))))
    return false;
  return wanted.id === undefined || wanted.id === got.id;
}

function differ(expected: Buffer, got: Buffer): string {
  let at = 0;
  while (at < expected.length && expected[at] === got[at]) at++;
  return `differs at byte ${at}: ${show(expected.subarray(at), 200)} became ${show(got.subarray(at), 200)}`;
}
