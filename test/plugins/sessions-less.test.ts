/** Clients without a session, before servers that insist on one and servers that keep none. */
import { describe, expect, test } from "vitest";
import { type Frame, type LogText, type Message, createPenstock, json } from "mcp-penstock";
import { sessions } from "mcp-penstock/plugins/sessions";
import { unsupported } from "mcp-penstock/plugins/unsupported";
import { type Recorded, fakeServer, testPlugin } from "mcp-penstock/testing";
import { gate } from "../_harness/peers.ts";

const INIT = { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: { name: "s", version: "1" } };
const JSON_ONLY = { accept: "application/json" };

/** A server that insists on sessions; a call answers with progress, then with the session and the arguments that it got. */
function keeper(first: (message: Message) => AsyncIterable<Frame> | undefined = () => undefined) {
  let opened = 0;
  const ended: string[] = [];
  const server = fakeServer(({ method, headers, message }: Recorded) => {
    const id = headers.get("mcp-session-id");
    if (message?.method === "initialize")
      return json({ jsonrpc: "2.0", id: message.id, result: INIT }, 200, { "mcp-session-id": `s-${++opened}` });
    if (id === null) return json({ jsonrpc: "2.0", id: null, error: { code: -32000, message: "no id" } }, 400);
    if (method === "DELETE") ended.push(id);
    if (message?.method !== "tools/call") return;
    return first(message) ?? progressThenResult(message, id);
  });
  return {
    server,
    ended,
    handshakes: () => server.requests.filter(({ message }) => message?.method === "initialize").length,
  };
}

async function* progressThenResult(message: Message, session: string): AsyncGenerator<Frame> {
  const { _meta, arguments: args } = message.params as { _meta?: { progressToken?: unknown }; arguments?: object };
  if (_meta)
    yield {
      message: {
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { progressToken: _meta.progressToken, progress: 1 },
      },
    };
  const text = JSON.stringify({ session, args });
  yield { message: { jsonrpc: "2.0", id: message.id!, result: { content: [{ type: "text", text }] } } };
}

function call(params: object = {}) {
  return { method: "tools/call", params: { name: "echo", ...params } };
}

describe("a server that insists on sessions", () => {
  test("has one for all calls of a caller, none of whom sees another's ids", async () => {
    const { server, handshakes } = keeper();
    const kit = await testPlugin(sessions(), { server });
    const ids = ["1", "1", '"1"', "9007199254740993", '"a\\u0062"', "1"];
    const answers = await Promise.all(
      ids.map(async (id, i) => {
        const body = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo","_meta":{"progressToken":${id}},"arguments":{"n":${i},"big":12345678901234567890}}}`;
        const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
        return (await kit.fetch({ method: "POST", body, headers })).text();
      }),
    );
    answers.forEach((text, i) => {
      expect(text).toContain(`"progressToken":${ids[i]},"progress":1`);
      expect(text).toContain(`"id":${ids[i]},"result"`);
      expect(text).toContain(`\\"n\\":${i}`);
      expect(text).not.toContain("penstock");
    });
    const sent = server.requests.filter(({ message }) => message?.method === "tools/call");
    expect(new Set(sent.map(({ message }) => message!.id)).size).toBe(ids.length);
    expect(sent.every(({ text }) => text.includes('"big":12345678901234567890'))).toBe(true);
    expect(handshakes()).toBe(1);
    await kit.close();
  });

  test("has another for another caller", async () => {
    const { server, handshakes } = keeper();
    const kit = await testPlugin(sessions(), { server });
    const seen: string[] = [];
    for (const principal of ["anna", "bert", "anna"])
      seen.push(/s-\d+/.exec((await kit.post(call(), { principal })).text)![0]);
    expect([seen[0] === seen[2], seen[0] === seen[1], handshakes()]).toEqual([true, false, 2]);
    await kit.close();
  });

  test("fresh: has one for each call, which ends with it", async () => {
    const { server, ended } = keeper();
    const kit = await testPlugin(sessions({ sessionless: "fresh" }), { server });
    const seen = await Promise.all([1, 2, 3].map(async () => /s-\d+/.exec((await kit.post(call())).text)![0]));
    expect(new Set(seen).size).toBe(3);
    await expect
      .poll(() => ended.length)
      .toBe(server.requests.filter((r) => r.message?.method === "initialize").length);
    await kit.close();
  });

  test("is known after a list that it refused, and the list is asked for again", async () => {
    const { server, handshakes } = keeper();
    const kit = await testPlugin(sessions(), { server });
    expect((await kit.request("tools/list")).message?.result).toMatchObject({ tools: expect.any(Array) });
    expect((await kit.request("tools/list")).status).toBe(200);
    expect(handshakes()).toBe(1);
    await kit.close();
  });

  test("gets what a client cancels, where it is clear what is meant", async () => {
    const held = gate();
    const { server } = keeper((message) =>
      (async function* () {
        await held.promise;
        yield* progressThenResult(message, "");
      })(),
    );
    const kit = await testPlugin(sessions(), { server });
    const calls = [7, 8, 8].map((id) => kit.post({ ...call(), id }));
    const sent = () => server.requests.filter(({ message }) => message?.method === "tools/call");
    await expect.poll(() => sent().length).toBe(3);
    for (const requestId of [7, 8, 9])
      expect((await kit.post({ method: "notifications/cancelled", params: { requestId } })).status).toBe(202);
    const cancelled = server.requests.filter(({ message }) => message?.method === "notifications/cancelled");
    expect(cancelled.map(({ message }) => message!.params)).toEqual([{ requestId: sent()[0]!.message!.id }]);
    held.open();
    await Promise.all(calls);
    await kit.close();
  });

  test("hears that nobody can answer what it asks", async () => {
    const answered = gate();
    const { server } = keeper((message) =>
      (async function* () {
        yield { message: { jsonrpc: "2.0", id: 77, method: "roots/list" } };
        await answered.promise;
        yield* progressThenResult(message, "");
      })(),
    );
    const kit = await testPlugin([unsupported(), sessions()], { server });
    const asked = kit.post(call());
    const isAnswer = ({ message }: Recorded) => message?.id === 77;
    await expect.poll(() => server.requests.some(isAnswer)).toBe(true);
    const answer = server.requests.find(isAnswer)!;
    expect([answer.message!.error!.code, answer.headers.get("mcp-session-id")]).toEqual([-32601, "s-1"]);
    answered.open();
    expect((await asked).message?.result).toBeDefined();
    // What clients post without a session answers nobody.
    expect((await kit.post({ id: 77, result: {} })).status).toBe(202);
    await kit.close();
  });

  test.each([
    ["application/json", "application/json"],
    ["*/*", "text/event-stream"],
    ["text/event-stream, application/json", "text/event-stream"],
  ])("answers a client that accepts %s", async (accept, type) => {
    const { server } = keeper();
    const kit = await testPlugin(sessions(), { server });
    const answer = await kit.post({ ...call({ _meta: { progressToken: 1 } }), id: 5 }, { headers: { accept } });
    expect([answer.status, answer.headers.get("content-type"), answer.message?.id]).toEqual([200, type, 5]);
    expect(answer.messages).toHaveLength(type === "application/json" ? 1 : 2);
    expect(server.requests.at(-1)!.headers.get("accept")).toContain("text/event-stream");
    await kit.close();
  });

  test("is told when its session is no longer needed: after a while, and when the proxy closes", async () => {
    const { server, ended } = keeper();
    const kit = await testPlugin(sessions({ idleTimeout: 60 }), { server });
    await kit.post(call());
    await expect.poll(() => ended).toEqual(["s-1"]);
    await kit.post(call());
    await kit.close();
    expect(ended).toEqual(["s-1", "s-2"]);
  });
});

describe("a server without sessions", () => {
  /** Says so when it is asked. */
  const keepsNone = () =>
    fakeServer(({ message }) =>
      message?.method === "initialize" ? json({ jsonrpc: "2.0", id: message.id, result: INIT }) : undefined,
    );
  const asked = (server: ReturnType<typeof fakeServer>) =>
    server.requests.map(({ message, method }) => message?.method ?? method);

  test("is asked once, and not at all where a list showed it", async () => {
    const [server, listed] = [keepsNone(), keepsNone()];
    const kits = await Promise.all([server, listed].map((each) => testPlugin(sessions(), { server: each })));
    await kits[1]!.request("tools/list");
    for (const kit of kits) for (let i = 0; i < 3; i++) expect((await kit.post(call())).status).toBe(200);
    const calls = Array(3).fill("tools/call");
    expect(asked(server)).toEqual(["initialize", "notifications/initialized", ...calls]);
    expect(asked(listed)).toEqual(["tools/list", ...calls]);
    await Promise.all(kits.map((kit) => kit.close()));
  });

  test("gets calls byte for byte, and ids of sessions mean nothing", async () => {
    const server = keepsNone();
    const kit = await testPlugin(sessions(), { server });
    for (const id of ["stray", undefined]) {
      const answer = await kit.post(
        { ...call(), id: 3 },
        { headers: id === undefined ? {} : { "mcp-session-id": id } },
      );
      expect([answer.status, answer.headers.has("mcp-session-id")]).toEqual([200, false]);
    }
    expect(server.requests.at(-1)!.text).toBe(JSON.stringify({ jsonrpc: "2.0", id: 3, ...call() }));
    expect(server.requests.some(({ headers }) => headers.has("mcp-session-id"))).toBe(false);
    await kit.close();
  });

  test("answers a client that takes JSON only", async () => {
    const server = fakeServer(({ message }) =>
      message?.method === "tools/call" ? progressThenResult(message, "") : undefined,
    );
    const kit = await testPlugin(sessions(), { server });
    await kit.request("tools/list");
    const answer = await kit.post({ ...call(), id: 9 }, { headers: JSON_ONLY });
    expect([answer.headers.get("content-type"), answer.message?.id]).toEqual(["application/json", 9]);
    await kit.close();
  });
});

test("a modern request with a session id: it is ignored, not sent on and not echoed", async () => {
  const server = fakeServer(({ message }) =>
    json({ jsonrpc: "2.0", id: message!.id, result: { resultType: "complete" } }, 200, {
      "mcp-session-id": "of the server",
    }),
  );
  const kit = await testPlugin(sessions(), { server });
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "c", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  for (const version of [{ "mcp-protocol-version": "2026-07-28" }, {}] as Record<string, string>[]) {
    const headers = { ...version, "mcp-session-id": "stale" };
    const answer = await kit.post({ method: "tools/list", params: { _meta } }, { headers });
    expect([answer.status, answer.headers.has("mcp-session-id")]).toEqual([200, false]);
  }
  expect(server.requests.map(({ message, headers }) => [message!.method, headers.has("mcp-session-id")])).toEqual([
    ["tools/list", false],
    ["tools/list", false],
  ]);
  await kit.close();
});

test("where no plugin tells callers apart, the log says once that they share", async () => {
  const { server } = keeper();
  const lines: string[] = [];
  const note = (text: LogText) => void lines.push(typeof text === "function" ? text() : text);
  const logger = { debug() {}, info: note, warn: note, error: note };
  const servers = { one: { url: "http://fake.invalid/mcp", path: "/mcp" } };
  const proxy = createPenstock({ servers, plugins: [sessions()] }, { logger, connect: server.connect });
  for (let i = 0; i < 3; i++) {
    const body = JSON.stringify({ jsonrpc: "2.0", id: i, ...call() });
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    await (await proxy.fetch(new Request("http://localhost/mcp", { method: "POST", body, headers }))).text();
  }
  expect(lines).toEqual([expect.stringMatching(/share one per server.*"fresh"/)]);
  await proxy.close();
});

test.each([
  [{ idleTimeout: 1 }, /idleTimeout must be a time/],
  [{ maxAge: 5 }, /maxAge must be/],
  [{ maxPerPrincipal: 0 }, /maxPerPrincipal must be/],
  [{ maxSessions: 1.5 }, /maxSessions must be/],
  [{ sessionless: "never" }, /sessionless must be/],
])("refuses %o", (options, message) => {
  expect(() => sessions(options as never)).toThrow(message);
});
