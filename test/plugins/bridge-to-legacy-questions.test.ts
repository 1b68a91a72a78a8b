/** A legacy server asks its modern client: the call waits at the server, and the client finds the question in a result. */
import { describe, expect, test } from "vitest";
import { bridge, standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { front } from "../_harness/wire.ts";
import {
  type AskOptions,
  type LegacyPeerOptions,
  type Posted,
  type Wire,
  ask,
  legacyPeer,
} from "./bridge-legacy-peer.ts";

const use = testScope();

const ALL = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };
const FORM =
  '{"mode":"form","message":"Which?","requestedSchema":{"type":"object","properties":{}},"n":9007199254740993}';
const ACCEPTED = '{"action":"accept","content":{"n":9007199254740993}}';

async function between(
  answer: (posted: Posted, wire: Wire) => void,
  { plugins = standard() as unknown, ...options }: LegacyPeerOptions & { plugins?: unknown } = {},
) {
  const peer = await use(legacyPeer(answer, options));
  const proxy = await use(front(peer.url, plugins, { era: "legacy" }));
  const url = `${proxy.url}/mcp`;
  const call = (more = "", asked: AskOptions = {}) =>
    ask(url, "tools/call", `{"name":"t","arguments":{"a":1,"b":[2]}${more}}`, { capabilities: ALL, ...asked });
  return { peer, url, call };
}

const question = (id: string, method: string, params = "{}") =>
  `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`;
const form = (id = "7") => question(id, "elicitation/create", FORM);
const done = (id: unknown, text = "done") =>
  JSON.stringify({ jsonrpc: "2.0", id, result: { content: [{ type: "text", text }] } });
const retry = (state: string, answers: string) => `,"requestState":"${state}","inputResponses":${answers}`;

/** A server that asks on the stream of a call, and answers when it was told something. */
async function asking(questions: readonly string[], options: Parameters<typeof between>[1] = {}) {
  const calls: { id: unknown; wire: Wire }[] = [];
  const answers: Posted[] = [];
  const made = await between(
    ({ message }, wire) => {
      calls.push({ id: message.id, wire: wire.open() });
      for (const each of questions) wire.event(each);
    },
    {
      ...options,
      aside: (posted, wire) => {
        if (posted.what === "POST response") answers.push(posted);
        wire.accepted();
        if (answers.length === questions.length * calls.length)
          for (const call of calls) call.wire.event(done(call.id)).end();
        return true;
      },
    },
  );
  return { ...made, calls, answers };
}

describe("a call that asks", () => {
  test("goes on where it stood, and is asked and answered byte for byte", async () => {
    const { peer, call } = await asking([form('"a"')]);
    const first = await call();
    expect(first.status).toBe(200);
    expect(first.response).toMatchObject({
      id: 1,
      result: {
        resultType: "input_required",
        inputRequests: { q1: { method: "elicitation/create", params: { message: "Which?" } } },
        _meta: { "io.modelcontextprotocol/serverInfo": { name: "old" } },
      },
    });
    expect(first.text).toContain(`"params":${FORM}`);
    const second = await call(retry(first.response.result.requestState, `{"q1":${ACCEPTED}}`), { id: '"two"' });
    expect(second.response).toMatchObject({
      id: "two",
      result: { resultType: "complete", content: [{ text: "done" }] },
    });
    const { body } = await peer.got("POST response");
    expect(body).toBe(`{"jsonrpc":"2.0","id":"a","result":${ACCEPTED}}`);
    expect(peer.seen.entries.filter(({ what }) => what === "POST tools/call")).toHaveLength(1);
  });

  test("what comes together is asked together; ids of pages and tokens are the server's affair", async () => {
    const page =
      '{"mode":"url","url":"https://x.example","message":"Go.","elicitationId":"e","_meta":{"progressToken":1}}';
    const { call } = await asking([question("1", "elicitation/create", page), question("2", "roots/list")]);
    const { response } = await call();
    expect(response.result.inputRequests).toEqual({
      q1: { method: "elicitation/create", params: { mode: "url", url: "https://x.example", message: "Go." } },
      q2: { method: "roots/list", params: {} },
    });
    const answers = '{"q1":{"action":"accept"},"q2":{"roots":[]},"q3":{"action":"accept"}}';
    const second = await call(retry(response.result.requestState, answers));
    expect(second.response.result.content).toEqual([{ type: "text", text: "done" }]);
  });

  test("what was not answered is asked again", async () => {
    const { call, answers } = await asking([form("1"), question("2", "roots/list")]);
    const first = await call();
    const second = await call(retry(first.response.result.requestState, `{"q1":${ACCEPTED}}`));
    expect(Object.keys(second.response.result.inputRequests)).toEqual(["q2"]);
    const third = await call(`,"requestState":"${second.response.result.requestState}"`);
    expect(Object.keys(third.response.result.inputRequests)).toEqual(["q2"]);
    const last = await call(retry(third.response.result.requestState, '{"q2":{"roots":[]}}'));
    expect(last.response.result.resultType).toBe("complete");
    expect(answers).toHaveLength(2);
  });

  test("what the server does meanwhile is there at the retry", async () => {
    const { peer, call, calls } = await asking([form()]);
    const first = await call("", { meta: { progressToken: "one" } });
    const [{ id, wire }] = calls as [(typeof calls)[0]];
    const progress = { jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: id, progress: 5 } };
    const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 7 } };
    wire.event(JSON.stringify(progress)).event(JSON.stringify(cancelled)).event(done(id, "without you")).end();
    const meta = { progressToken: "two" };
    const { messages } = await call(retry(first.response.result.requestState, `{"q1":${ACCEPTED}}`), { meta });
    expect(messages).toMatchObject([
      { method: "notifications/progress", params: { progressToken: "two", progress: 5 } },
      { id: 1, result: { content: [{ text: "without you" }] } },
    ]);
    expect(peer.seen.entries.some(({ what }) => what === "POST response")).toBe(false);
  });

  test("a server that goes away meanwhile is an error at the retry", async () => {
    const { call, calls } = await asking([form()]);
    const first = await call();
    calls[0]!.wire.connection.reset();
    const second = await call(retry(first.response.result.requestState, `{"q1":${ACCEPTED}}`));
    expect(second.response.error).toMatchObject({ code: -32603, data: { code: "UPSTREAM_BROKE" } });
  });
});

describe("a requestState", () => {
  test("is good once, for one request, and unchanged", async () => {
    const { call, url } = await asking([form()]);
    const first = await call();
    const state = first.response.result.requestState as string;
    const refused = async (told: Promise<{ status: number; response: any }>) => {
      const { status, response } = await told;
      expect([status, response.error.code]).toEqual([400, -32602]);
      expect(response.error.message).toContain("Call again without requestState");
    };
    await refused(call(`,"requestState":"${state.slice(1)}"`));
    await refused(call(`,"requestState":7`));
    await refused(
      ask(url, "tools/call", `{"name":"t","arguments":{"a":2},"requestState":"${state}"}`, { capabilities: ALL }),
    );
    await refused(ask(url, "prompts/get", `{"name":"t","arguments":{"a":1,"b":[2]},"requestState":"${state}"}`));
    const reordered = `{"arguments":{"b":[2],"a":1},"name":"t"${retry(state, `{"q1":${ACCEPTED}}`)}}`;
    const good = await ask(url, "tools/call", reordered, { capabilities: ALL });
    expect(good.response.result.resultType).toBe("complete");
    await refused(call(retry(state, `{"q1":${ACCEPTED}}`)));
  });

  test("of a call that nobody came back for: the server is told, and the state is worth nothing", async () => {
    const plugins = [bridge({ questionTimeout: 50 })];
    const { peer, call } = await asking([form("1"), question("2", "roots/list")], { plugins });
    const { response } = await call();
    const cancelled = await peer.got("POST notifications/cancelled");
    const { message } = await peer.got("POST tools/call");
    expect(cancelled.message.params.requestId).toBe(message.id);
    const answers = peer.seen.entries.filter(({ what }) => what === "POST response").map(({ message }) => message);
    expect(answers).toMatchObject([
      { id: 1, result: { action: "cancel" } },
      { id: 2, error: { code: -32603 } },
    ]);
    const late = await call(`,"requestState":"${response.result.requestState}"`);
    expect(late.response.error.code).toBe(-32602);
  });

  test("of another process says so", async () => {
    const peer = await use(legacyPeer((_posted, wire) => void wire.open().event(form())));
    const config = { servers: { one: { url: `${peer.url}/mcp`, path: "/mcp", era: "legacy" } }, plugins: standard() };
    const secret = "0123456789abcdefghijklmnopqrstuvwxyz";
    const proxies = [
      await use(startProxy({ ...config, secret })),
      await use(startProxy({ ...config, plugins: standard(), secret })),
    ];
    const params = '{"name":"t"}';
    const first = await ask(`${proxies[0]!.url}/mcp`, "tools/call", params, { capabilities: ALL });
    const state = first.response.result.requestState as string;
    const other = await ask(`${proxies[1]!.url}/mcp`, "tools/call", `{"name":"t","requestState":"${state}"}`, {
      capabilities: ALL,
    });
    expect(other.response.error).toMatchObject({ code: -32602, data: { code: "INVALID_REQUEST_STATE" } });
    expect(other.response.error.message).toContain("another process");
  });
});

describe("what cannot be asked", () => {
  test.each([
    ["a form", {}, form(), -32601],
    ["a page of a client of forms", { elicitation: {} }, question("7", "elicitation/create", '{"mode":"url"}'), -32601],
    ["a sample with tools", { sampling: {} }, question("7", "sampling/createMessage", '{"tools":[]}'), -32601],
    ["something unknown", ALL, question("7", "tasks/list"), -32601],
  ])("%s that the client did not declare is refused at once", async (_what, capabilities, text, code) => {
    const { call, answers } = await asking([text]);
    const { response } = await call("", { capabilities });
    expect(response.result.resultType).toBe("complete");
    expect(answers[0]!.message).toMatchObject({ id: 7, error: { code } });
  });

  test("a question during a list is refused, a ping is answered", async () => {
    const { url, answers } = await asking([form(), question('"p"', "ping")]);
    const { response } = await ask(url, "tools/list", "{}", { capabilities: ALL });
    expect(response.result.resultType).toBe("complete");
    expect(answers.map(({ message }) => message)).toMatchObject([
      { id: 7, error: { code: -32603 } },
      { id: "p", result: {} },
    ]);
  });

  test("there is an end to rounds", async () => {
    const { call, answers } = await asking([form("1")], { plugins: [bridge({ maxRounds: 1 })] });
    const first = await call();
    const second = await call(`,"requestState":"${first.response.result.requestState}"`);
    expect(second.response.result).toMatchObject({ resultType: "complete" });
    expect(answers[0]!.message).toMatchObject({ id: 1, result: { action: "cancel" } });
  });

  test("and to calls that wait", async () => {
    const { call, calls, answers } = await asking([form("1")], { plugins: [bridge({ maxParked: 1 })] });
    await call();
    const second = call();
    await expect.poll(() => answers.length).toBe(1);
    expect(answers[0]!.message).toMatchObject({ id: 1, error: { code: -32603 } });
    calls[1]!.wire.event(done(calls[1]!.id)).end();
    expect((await second).response.result.resultType).toBe("complete");
  });
});

describe("pages to be opened first (-32042)", () => {
  const data = { elicitations: [{ mode: "url", elicitationId: "e", url: "https://x.example", message: "Go." }] };

  test("are asked for, and the same call is sent again", async () => {
    let isOpen = false;
    const { peer, call } = await between((_posted, wire) => {
      if (isOpen) return wire.result('{"content":[]}');
      isOpen = true;
      wire.error(-32042, data);
    });
    const first = await call();
    expect(first.response.result).toMatchObject({
      resultType: "input_required",
      inputRequests: {
        page1: { method: "elicitation/create", params: { mode: "url", url: "https://x.example", message: "Go." } },
      },
    });
    expect(first.text).not.toContain("elicitationId");
    const second = await call(',"inputResponses":{"page1":{"action":"accept"}}');
    expect(second.response.result.resultType).toBe("complete");
    const calls = peer.seen.entries.filter(({ what }) => what === "POST tools/call");
    expect(calls.map(({ message }) => message.params)).toEqual([
      { name: "t", arguments: { a: 1, b: [2] } },
      { name: "t", arguments: { a: 1, b: [2] } },
    ]);
  });

  test("are an error for clients that open none, and for users that do not want to", async () => {
    const { call } = await between((_posted, wire) => wire.error(-32042, data));
    const unable = await call("", { capabilities: { elicitation: {} } });
    expect(unable.status).toBe(400);
    expect(unable.response.error).toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { elicitation: { url: {} } } },
    });
    const unwilling = await call(',"inputResponses":{"page1":{"action":"decline"}}');
    expect(unwilling.response.error).toMatchObject({ code: -32603, data: { original: { code: -32042 } } });
  });
});

describe("questions on the stream of no call", () => {
  /** A server that asks on the GET stream while calls hang. */
  async function aside() {
    const calls: { id: unknown; wire: Wire }[] = [];
    const made = await between(({ message }, wire) => void calls.push({ id: message.id, wire: wire.open() }));
    return { ...made, calls };
  }

  test("belong to the only call", async () => {
    const { peer, call, calls } = await aside();
    const first = call();
    const stream = await peer.streams.find(() => true, "a stream");
    await peer.got("POST tools/call");
    stream.event(form());
    const { response } = await first;
    expect(response.result.resultType).toBe("input_required");
    const second = call(retry(response.result.requestState, `{"q1":${ACCEPTED}}`));
    expect((await peer.got("POST response")).message).toMatchObject({ id: 7, result: { action: "accept" } });
    calls[0]!.wire.event(done(calls[0]!.id)).end();
    expect((await second).response.result.resultType).toBe("complete");
  });

  test("are refused when there are several, and from then on each has a session of its own", async () => {
    const { peer, call, calls } = await aside();
    const both = [call(), call("", { id: "2" })];
    const stream = await peer.streams.find(() => true, "a stream");
    await peer.got("POST tools/call", 2);
    stream.event(form());
    expect((await peer.got("POST response")).message).toMatchObject({ id: 7, error: { code: -32603 } });
    for (const { id, wire } of calls) wire.event(done(id)).end();
    await Promise.all(both);
    const more = [call(), call("", { id: "2" })];
    const calledIn = async (nth: number) => (await peer.got("POST tools/call", nth)).headers["mcp-session-id"];
    expect([await calledIn(3), await calledIn(4)].sort()).toEqual(["s1", "s2"]);
    for (const { id, wire } of calls.slice(2)) wire.event(done(id)).end();
    await Promise.all(more);
  });

  test("are answered without the client when nothing runs", async () => {
    const { peer, url } = await aside();
    await ask(url, "server/discover", "{}", { capabilities: ALL });
    const stream = await peer.streams.find(() => true, "a stream");
    for (const [i, method] of ["elicitation/create", "sampling/createMessage", "roots/list", "ping"].entries())
      stream.event(question(String(i), method));
    await peer.got("POST response", 4);
    const answers = peer.seen.entries.filter(({ what }) => what === "POST response").map(({ message }) => message);
    expect(answers.sort((a, b) => Number(a.id) - Number(b.id))).toMatchObject([
      { id: 0, result: { action: "decline" } },
      { id: 1, error: { code: -32601 } },
      { id: 2, error: { code: -32601 } },
      { id: 3, result: {} },
    ]);
  });
});
