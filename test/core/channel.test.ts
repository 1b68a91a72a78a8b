import { afterEach, describe, expect, test } from "vitest";
import { type AnyBody, collect, discard } from "../../core/body/body.ts";
import { Deadlines } from "../../core/deadlines.ts";
import { ProxyError } from "../../core/errors.ts";
import { HeaderList } from "../../core/headers.ts";
import { SILENT } from "../../core/log.ts";
import { fillTimeouts } from "../../core/timeouts.ts";
import type { Answer, RequestTimeouts } from "../../core/types.ts";
import { Channel, type ChannelOptions } from "../../core/upstream/channel.ts";
import type { ChannelSession } from "../../core/upstream/channel-session.ts";
import { journal } from "../_harness/journal.ts";
import { within } from "../_harness/wait.ts";

const deadlines: Deadlines[] = [];
afterEach(() => deadlines.splice(0).forEach((one) => one.close()));

/** A channel whose other end is a list, and a function that speaks for the server. */
function channelFor(kind: ChannelOptions["kind"] = "session", timeouts = {}) {
  const sent = journal<Record<string, any>>((message) => JSON.stringify(message));
  const texts: string[] = [];
  const flow: string[] = [];
  const own = new Deadlines();
  deadlines.push(own);
  const channel = new Channel({
    server: "one",
    link: {
      send(text) {
        texts.push(text.toString());
        sent.add(JSON.parse(text.toString()));
      },
      pause: () => void flow.push("pause"),
      resume: () => void flow.push("resume"),
    },
    log: SILENT,
    deadlines: own,
    timeouts: fillTimeouts(timeouts),
    kind,
  });
  const says = (text: string | object) =>
    channel.receive(Buffer.from(typeof text === "string" ? text : JSON.stringify(text)));
  return { channel, sent, texts, flow, says };
}

const BOTH = "application/json, text/event-stream";

interface Post {
  accept?: string;
  timeouts?: RequestTimeouts;
  leave?: (abort: () => void) => void;
}

function post(session: ChannelSession, text: string, { accept = BOTH, timeouts, leave = () => {} }: Post = {}) {
  const request = { method: "POST" as const, headers: HeaderList.from({ accept }), body: Buffer.from(text), timeouts };
  return session.post(request, leave);
}

const typeOf = (answer: Answer) => answer.headers.get("content-type");
const textOf = async (answer: Answer) => Buffer.from(await within(collect(answer), "the end of an answer")).toString();

/** What an open stream has given so far, and its end. */
function reading(answer: Answer) {
  const got = journal<string>((text) => text);
  const { source } = answer.body as Extract<AnyBody, { kind: "stream" }>;
  source.start({
    data: (chunk) => got.add(Buffer.from(chunk).toString()),
    end: (cancelled) => got.add(cancelled ? "<cancelled>" : "<end>"),
    fail: (error) => got.add(`<${error.code}>`),
  });
  return { got, source };
}

const request = (id: string, method = "tools/list", params = "{}") =>
  `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`;
const result = (id: number, more = "{}") => `{"jsonrpc":"2.0","id":${id},"result":${more}}`;

describe("ids", () => {
  test.each([
    ["a number", "7"],
    ["a text", '"x\\u0041"'],
    ["a number beyond 2^53", "9007199254740993"],
    ["a fraction", "1.0"],
  ])("%s comes back as it was written", async (_, id) => {
    const { channel, sent, says } = channelFor();
    const answer = post(channel.open(), request(id));
    expect(sent.entries[0]!.id).toBe(1);
    says(result(1, '{"big":9007199254740993}'));
    expect(await textOf(await answer)).toBe(`{"jsonrpc":"2.0","id":${id},"result":{"big":9007199254740993}}`);
  });

  test("of two requests with one id each gets its own answer", async () => {
    const { channel, says } = channelFor();
    const session = channel.open();
    const answers = [post(session, request("0")), post(session, request("0"))];
    says({ jsonrpc: "2.0", result: { n: 2 }, id: 2 });
    says({ jsonrpc: "2.0", result: { n: 1 }, id: 1 });
    expect(await Promise.all(answers.map(async (answer) => textOf(await answer)))).toEqual([
      '{"jsonrpc":"2.0","result":{"n":1},"id":0}',
      '{"jsonrpc":"2.0","result":{"n":2},"id":0}',
    ]);
  });

  test.each(["start", "end", "middle"])("of a large response is found at its %s", async (where) => {
    const { channel, says } = channelFor();
    const answer = post(channel.open(), request('"big"'));
    const text = "x".repeat(200_000);
    const members = { id: `"id":1`, result: `"result":{"id":5,"t":"${text}\\"","more":[{"id":6}]}` };
    const [before, after] =
      where === "start"
        ? [`{"jsonrpc":"2.0",`, `,${members.result}}`]
        : where === "end"
          ? [`{${members.result},"jsonrpc":"2.0",`, "}"]
          : [`{${members.result},`, `,"jsonrpc":"2.0"}`];
    says(before + members.id + after);
    expect(await textOf(await answer)).toBe(`${before}"id":"big"${after}`);
  });

  test("a response to nothing, and text that is no message, harm nobody", async () => {
    const { channel, says } = channelFor();
    const answer = post(channel.open(), request("1"));
    expect([says(result(9)), says('{"jsonrpc":"2.0","id":"1","result":{}}')]).toEqual([true, true]);
    for (const noise of [
      "hello",
      "{",
      '{"level":"info"}',
      '{"a":1} x',
      "[1]",
      "[",
      '{"\\x":1}',
      '{"method":"a","id":x}',
      "",
    ])
      expect([noise, says(noise)]).toEqual([noise, false]);
    says(`[${result(1)}]`);
    expect(await textOf(await answer)).toBe(result(1));
  });
});

describe("the form of an answer", () => {
  test("an event stream as soon as something else comes first", async () => {
    const { channel, says } = channelFor();
    const answer = post(channel.open(), request("5", "tools/call", '{"name":"x","_meta":{"progressToken":"t\\/1"}}'));
    says({ jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: 1, progress: 1 } });
    expect(typeOf(await answer)).toBe("text/event-stream");
    says(result(1));
    expect(await textOf(await answer)).toBe(
      'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t\\/1","progress":1}}\n\n' +
        'event: message\ndata: {"jsonrpc":"2.0","id":5,"result":{}}\n\n',
    );
  });

  test("an event stream after a second, so that whoever waits is kept company", async () => {
    const { channel, says } = channelFor();
    const answer = await within(post(channel.open(), request("5")), "the head of the answer");
    expect(typeOf(answer)).toBe("text/event-stream");
    says(result(1));
    expect(await textOf(answer)).toBe('event: message\ndata: {"jsonrpc":"2.0","id":5,"result":{}}\n\n');
  });

  test("JSON for a handshake, however late it comes: its end says of which era the server is", async () => {
    const { channel, says } = channelFor();
    const answer = post(channel.open(), request("0", "initialize"));
    setTimeout(() => says({ jsonrpc: "2.0", id: 1, error: { code: -32022, message: "no" } }), 1100);
    expect(typeOf(await within(answer, "the head of the answer"))).toBe("application/json");
  });

  test("JSON for a client that takes nothing else, without what came before", async () => {
    const { channel, says } = channelFor();
    const answer = post(channel.open(), request("5"), { accept: "application/json" });
    says({ jsonrpc: "2.0", method: "notifications/message", params: {} });
    says(result(1));
    expect(await textOf(await answer)).toBe('{"jsonrpc":"2.0","id":5,"result":{}}');
  });
});

describe("what the server says by itself", () => {
  const note = { jsonrpc: "2.0", method: "notifications/message", params: { n: 1 } };
  const question = { jsonrpc: "2.0", id: "q", method: "roots/list" };

  test("belongs to the only request, to the GET stream beside several, and without that to the newest", async () => {
    const { channel, says } = channelFor();
    const session = channel.open();
    const first = post(session, request("1"));
    says(note);
    const one = reading(await first);
    await one.got.find((text) => text.includes('"n":1'), "the notification");
    const second = post(session, request("2"));
    says({ ...note, params: { n: 2 } });
    const two = reading(await second);
    await two.got.find((text) => text.includes('"n":2'), "the notification");
    const get = reading(session.get(() => {}));
    says({ ...note, params: { n: 3 } });
    await get.got.find((text) => text.includes('"n":3'), "the notification");
    expect(one.got.entries.join("") + two.got.entries.join("")).not.toContain('"n":3');
  });

  test("is kept for a GET stream that is about to be opened, within bounds", async () => {
    const { channel, says } = channelFor();
    const session = channel.open();
    for (let n = 0; n < 40; n++) says({ ...note, params: { n } });
    const { got } = reading(session.get(() => {}));
    expect(got.entries.join("").match(/"n":\d+/g)).toEqual(Array.from({ length: 32 }, (_, i) => `"n":${i + 8}`));
  });

  test("a request goes to a client that listens, and only its answer goes up, once", async () => {
    const { channel, sent, says, texts } = channelFor();
    const session = channel.open();
    const { got } = reading(session.get(() => {}));
    says(question);
    await got.find((text) => text.includes("roots/list"), "the request");
    expect((await post(session, '{"jsonrpc":"2.0","id":"other","result":{}}')).status).toBe(202);
    for (let i = 0; i < 2; i++) await post(session, '{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}');
    expect(texts).toEqual(['{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}']);
    expect(sent.entries).toHaveLength(1);
  });

  test("a request that nobody could answer is refused, a ping is answered", () => {
    const { channel, sent, says } = channelFor();
    channel.open();
    says(question);
    says({ jsonrpc: "2.0", id: 8, method: "ping" });
    expect(sent.entries).toEqual([
      {
        jsonrpc: "2.0",
        id: "q",
        error: { code: -32603, message: expect.stringMatching(/Penstock.*'one'.*no client/) },
      },
      { jsonrpc: "2.0", id: 8, result: {} },
    ]);
  });

  test("in a shared channel requests are refused while there are several, and lists that changed are told to all", async () => {
    const { channel, sent, says } = channelFor("shared");
    const sessions = [channel.open(), channel.open()];
    const streams = sessions.map((session) => reading(session.get(() => {})).got);
    says(question);
    expect(sent.entries[0]).toMatchObject({ id: "q", error: { message: expect.stringContaining("several clients") } });
    says({ jsonrpc: "2.0", method: "notifications/tools/list_changed" });
    for (const got of streams) await got.find((text) => text.includes("list_changed"), "the notification");
    says(note);
    const own = post(sessions[1]!, request("1"));
    says({ ...note, params: { n: 4 } });
    expect(typeOf(await own)).toBe("text/event-stream");
    expect(streams.map(({ entries }) => entries.join("").includes("notifications/message"))).toEqual([false, false]);
    discard(await own);
    sessions[1]!.close();
    says(question);
    await streams[0]!.find((text) => text.includes("roots/list"), "the request");
    sessions[0]!.close();
    expect(sent.entries.at(-1)).toMatchObject({ id: "q", error: { message: expect.stringContaining("has left") } });
  });

  test("progress of a task goes on after its request was answered", async () => {
    const { channel, says } = channelFor();
    const session = channel.open();
    const answer = post(session, request("1", "tools/call", '{"task":{"ttl":1},"_meta":{"progressToken":"t"}}'));
    says(result(1));
    await answer;
    const { got } = reading(session.get(() => {}));
    says({ jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: 1 } });
    await got.find((text) => text.includes('"progressToken":"t"'), "the progress");
  });
});

describe("the end of a request", () => {
  const cancelled = (id: string) =>
    `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id},"reason":"r"}}`;

  test("a client that takes it back gets no late reply, and the server its own number", async () => {
    const { channel, sent, says } = channelFor();
    const session = channel.open();
    const answer = post(session, request('"a"'));
    void post(session, request('"b"'));
    await post(session, cancelled('"a"'));
    expect(sent.entries.at(-1)).toMatchObject({ params: { requestId: 1, reason: "r" } });
    const { got } = reading(await answer);
    says(result(1));
    expect(got.entries).toEqual(["<cancelled>"]);
    expect(channel.pending).toBe(1);
    await post(session, cancelled('"unknown"'));
    expect(sent.entries).toHaveLength(3);
  });

  test("initialize is not cancelled", async () => {
    const { channel, sent } = channelFor();
    const session = channel.open();
    void post(session, request("0", "initialize"));
    await post(session, cancelled("0"));
    expect(sent.entries).toHaveLength(1);
  });

  test("a legacy client that leaves cancels nothing; its answer is dropped", async () => {
    const { channel, sent, says } = channelFor();
    let leave!: () => void;
    const answer = post(channel.open(), request("1"), { leave: (abort) => (leave = abort) });
    leave();
    await expect(answer).rejects.toMatchObject({ code: "CLIENT_GONE" });
    expect([sent.entries.length, channel.pending]).toEqual([1, 1]);
    says(result(1));
    expect(channel.pending).toBe(0);
  });

  test("what a modern server logs is of the request that asked for it, and of none where two did", async () => {
    const { channel, says } = channelFor("modern");
    const logs = '{"_meta":{"io.modelcontextprotocol/logLevel":"info"}}';
    const note = (n: number) => says({ jsonrpc: "2.0", method: "notifications/message", params: { n } });
    const [session, other] = [channel.open(), channel.open()];
    const quiet = [post(session, request("1", "subscriptions/listen")), post(other, request("2", "tools/call"))];
    const asked = post(session, request("3", "tools/call", logs));
    note(1);
    const second = post(other, request("4", "tools/call", logs));
    note(2);
    for (const id of [1, 2, 3, 4]) says(result(id));
    const heard = await textOf(await asked);
    expect(heard).toContain('"n":1');
    expect(heard).not.toContain('"n":2');
    for (const answer of [...quiet, second]) expect(await textOf(await answer)).not.toContain("notifications/message");
  });

  test("a modern client that leaves cancels", async () => {
    const { channel, sent } = channelFor("modern");
    let leave!: () => void;
    const answer = post(channel.open(), request("1"), { leave: (abort) => (leave = abort) });
    leave();
    await expect(answer).rejects.toMatchObject({ code: "CLIENT_GONE" });
    expect(sent.entries.at(-1)).toMatchObject({ method: "notifications/cancelled", params: { requestId: 1 } });
    expect(channel.pending).toBe(0);
  });

  test("the server that is too slow is told to stop, before and after the head", async () => {
    const { channel, sent, says } = channelFor("session", { call: 60, stream: 60 });
    const session = channel.open();
    await expect(post(session, request("1", "tools/call"))).rejects.toMatchObject({ code: "UPSTREAM_TIMEOUT" });
    expect(sent.entries.at(-1)).toMatchObject({ method: "notifications/cancelled", params: { requestId: 1 } });
    const answer = post(session, request("2", "tools/call"), { timeouts: { headers: 0 } });
    says({ jsonrpc: "2.0", method: "notifications/message", params: {} });
    const { got } = reading(await answer);
    await got.find((text) => text === "<UPSTREAM_SILENT>", "the end");
    expect(sent.entries.at(-1)).toMatchObject({ method: "notifications/cancelled", params: { requestId: 2 } });
  });

  test("a pipe that breaks fails everything, once", async () => {
    const { channel, says } = channelFor();
    const session = channel.open();
    const get = reading(session.get(() => {}));
    const quiet = post(session, request("1"));
    const streaming = post(session, request("2", "tools/call", '{"_meta":{"progressToken":0}}'));
    says({ jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: 2 } });
    const { got } = reading(await streaming);
    channel.fail(new ProxyError("UPSTREAM_BROKE", { server: "one" }));
    await expect(quiet).rejects.toMatchObject({ code: "UPSTREAM_BROKE" });
    expect([get.got.entries, got.entries.at(-1)]).toEqual([["<UPSTREAM_BROKE>"], "<UPSTREAM_BROKE>"]);
    await expect(post(session, request("3"))).rejects.toMatchObject({ code: "UPSTREAM_BROKE" });
  });
});

describe("a subscription (2026-07-28)", () => {
  const key = "io.modelcontextprotocol/subscriptionId";

  test("is known to the client by its own id", async () => {
    const { channel, says } = channelFor("modern");
    const answer = post(channel.open(), request('"listen:0"', "subscriptions/listen"));
    says({ jsonrpc: "2.0", method: "notifications/subscriptions/acknowledged", params: { _meta: { [key]: 1 } } });
    says({ jsonrpc: "2.0", method: "notifications/tools/list_changed", params: { _meta: { [key]: 1 } } });
    says({ jsonrpc: "2.0", id: 1, result: { resultType: "complete", _meta: { [key]: 1 } } });
    const text = await textOf(await answer);
    expect(text.match(/subscriptionId":[^}]+/g)).toEqual(Array(3).fill('subscriptionId":"listen:0"'));
    expect(text).toContain('"id":"listen:0"');
  });

  test("that is over tells nothing to whoever has a call under way", async () => {
    const { channel, says } = channelFor("modern");
    let leave!: () => void;
    const listens = post(channel.open(), request('"l"', "subscriptions/listen"), { leave: (abort) => (leave = abort) });
    leave();
    await expect(listens).rejects.toMatchObject({ code: "CLIENT_GONE" });
    const call = post(channel.open(), request("2", "tools/call"));
    says({ jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri: "a:b", _meta: { [key]: 1 } } });
    says(result(2));
    expect(await textOf(await call)).not.toContain("a:b");
  });

  test("ends with the server's notification", async () => {
    const { channel, says } = channelFor("modern");
    const answer = post(channel.open(), request('"l"', "subscriptions/listen"));
    says({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } });
    const { got } = reading(await answer);
    expect(got.entries).toEqual([expect.stringContaining('"requestId":"l"'), "<cancelled>"]);
  });
});

test("a stream that is not read holds the server up, and others never for long", async () => {
  const { channel, flow, says } = channelFor();
  const session = channel.open();
  const answer = post(session, request("1", "tools/call", '{"_meta":{"progressToken":0}}'));
  const progress = { progressToken: 1, message: "x".repeat(100_000) };
  for (let i = 0; i < 3; i++) says({ jsonrpc: "2.0", method: "notifications/progress", params: progress });
  expect(flow).toEqual(["pause"]);
  const { got, source } = reading(await answer);
  expect(flow).toEqual(["pause", "resume"]);
  source.pause();
  for (let i = 0; i < 3; i++) says({ jsonrpc: "2.0", method: "notifications/progress", params: progress });
  expect(flow).toHaveLength(3);
  const other = post(session, request("2"));
  source.resume();
  says(result(1));
  await got.find((text) => text === "<end>", "the end");
  expect(flow).toEqual(["pause", "resume", "pause", "resume"]);
  says(result(2));
  expect(await textOf(await other)).toBe(result(2));
});
