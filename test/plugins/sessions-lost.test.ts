/** Sessions that a server loses, and those that the proxy ends, against a server that counts what runs. */
import { describe, expect, test } from "vitest";
import { type Message, ProxyError, json } from "mcp-penstock";
import { type SessionsOptions, sessions } from "mcp-penstock/plugins/sessions";
import { type Recorded, fakeServer, testPlugin } from "mcp-penstock/testing";
import { gate } from "../_harness/peers.ts";

const INIT = { protocolVersion: "2025-11-25", capabilities: { roots: {} }, clientInfo: { name: "c", version: "1" } };

/** How a server says that it does not know a session. */
const UNKNOWN = {
  "404": () => json({ jsonrpc: "2.0", id: null, error: { code: -32001, message: "Session not found" } }, 404),
  "400, as in the examples of the SDK": () =>
    json(
      { jsonrpc: "2.0", id: null, error: { code: -32000, message: "Bad Request: No valid session ID provided" } },
      400,
    ),
};

/** A server that insists on sessions, and forgets them when told. */
function keeper(unknown: () => ReturnType<typeof json> = UNKNOWN["404"]) {
  const alive = new Set<string>();
  const ran: string[] = [];
  const state = { alive, ran, opened: 0, hold: undefined as Promise<void> | undefined, refuses: false };
  const server = fakeServer(async ({ method, headers, message }: Recorded) => {
    if (message?.method === "initialize") {
      await state.hold;
      if (state.refuses) return json({}, 500);
      const id = `s-${++state.opened}`;
      alive.add(id);
      return json({ jsonrpc: "2.0", id: message.id, result: { ...INIT, serverInfo: INIT.clientInfo } }, 200, {
        "mcp-session-id": id,
      });
    }
    const id = headers.get("mcp-session-id");
    if (id === null) return json({ jsonrpc: "2.0", id: null, error: { code: -32000, message: "no id" } }, 400);
    if (!alive.has(id)) return unknown();
    if (method === "DELETE") alive.delete(id);
    if (message?.method && message.id !== undefined) ran.push(`${message.method} ${id}`);
    if (/^(?:logging|resources)\//.test(message?.method ?? "")) return { result: {} };
  });
  return { server, ...state, state };
}

async function started(options: SessionsOptions = {}, unknown?: () => ReturnType<typeof json>) {
  const { server, alive, ran, state } = keeper(unknown);
  const kit = await testPlugin(sessions(options), { server, mounts: ["alpha", "beta"] });
  const begin = async (principal = "anna") => {
    const answer = await kit.post({ method: "initialize", params: INIT }, { principal });
    return answer.headers.get("mcp-session-id")!;
  };
  const ask = (session: string, message: Partial<Message>, principal = "anna", mount = "alpha") =>
    kit.post(message as never, { principal, mount, headers: { "mcp-session-id": session } });
  const end = (session: string, principal = "anna") =>
    kit.fetch({ method: "DELETE" }, { principal, headers: { "mcp-session-id": session } });
  return { kit, server, alive, ran, state, begin, ask, end };
}

describe.each(Object.entries(UNKNOWN))("a server that says %s", (_how, unknown) => {
  test("gets one new session for twenty calls at once, begun as the client began", async () => {
    const { kit, server, alive, state, begin, ask } = await started({}, unknown);
    const session = await begin();
    alive.clear();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(session, { method: "tools/list" })));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(state.opened).toBe(2);
    const again = server.requests.filter(({ message }) => message?.method === "initialize")[1]!;
    expect(again.message!.params).toEqual(INIT);
    await kit.close();
  });

  test("never runs a call twice: the client is told, and its next call works", async () => {
    const { kit, alive, ran, begin, ask } = await started({}, unknown);
    const session = await begin();
    const call = { method: "tools/call", params: { name: "echo", arguments: {} } };
    alive.clear();
    const refused = await ask(session, call);
    expect(refused.status).toBe(503);
    expect(refused.message?.error).toMatchObject({ code: -31503, data: { code: "SERVER_LOST_SESSION" } });
    expect((await ask(session, call)).status).toBe(200);
    expect(ran).toEqual(["tools/call s-2"]);
    await kit.close();
  });
});

test("a driver that has no such session says so before a byte leaves: the call itself goes to the new one", async () => {
  const { kit, alive, ran, begin, ask } = await started({}, () => {
    throw new ProxyError("SESSION_NOT_FOUND");
  });
  const session = await begin();
  alive.clear();
  expect((await ask(session, { method: "tools/call", params: { name: "echo" } })).status).toBe(200);
  expect(ran).toEqual(["tools/call s-2"]);
  await kit.close();
});

test("a new session is told the log level and the resources that its client wants to hear of, before anything else", async () => {
  const { kit, server, alive, begin, ask } = await started();
  const session = await begin();
  const told: [string, object][] = [
    ["logging/setLevel", { level: "debug" }],
    ["logging/setLevel", { level: "error" }],
    ["resources/subscribe", { uri: "note://a" }],
    ["resources/subscribe", { uri: "note://b" }],
    ["resources/unsubscribe", { uri: "note://a" }],
  ];
  for (const [method, params] of told) await ask(session, { method, params: params as never });
  alive.clear();
  const before = server.requests.length;
  expect((await ask(session, { method: "tools/list" })).status).toBe(200);
  const again = server.requests.slice(before).map(({ message }) => [message?.method, message?.params]);
  expect(again.slice(1)).toEqual([
    ["initialize", INIT],
    ["notifications/initialized", undefined],
    ["logging/setLevel", { level: "error" }],
    ["resources/subscribe", { uri: "note://b" }],
    ["tools/list", undefined],
  ]);
  await kit.close();
});

test("a server that opens no new session is asked again, but not by every request", async () => {
  const { kit, server, alive, state, begin, ask } = await started();
  const session = await begin();
  alive.clear();
  state.refuses = true;
  for (let i = 0; i < 5; i++) expect((await ask(session, { method: "tools/list" })).status).toBe(502);
  expect(server.requests.filter(({ message }) => message?.method === "initialize")).toHaveLength(2);
  state.refuses = false;
  await expect.poll(async () => (await ask(session, { method: "tools/list" })).status).toBe(200);
  await kit.close();
});

test.each([
  ["names no session", "Unknown cursor"],
  ["names one, which the server still knows", "No such entry in this session"],
])("a 400 that %s is the client's", async (_what, text) => {
  const refusal = { jsonrpc: "2.0", id: 2, error: { code: -32602, message: text } };
  const server = fakeServer(({ message }) =>
    message?.method === "prompts/get"
      ? json(refusal, 400, { "content-length": String(JSON.stringify(refusal).length) })
      : undefined,
  );
  const kit = await testPlugin(sessions(), { server });
  const session = (await kit.post({ method: "initialize", params: INIT })).headers.get("mcp-session-id")!;
  const answer = await kit.request("prompts/get", { name: "x" }, { headers: { "mcp-session-id": session } });
  expect([answer.status, JSON.parse(answer.text)]).toEqual([400, refusal]);
  expect(server.requests.filter(({ message }) => message?.method === "initialize")).toHaveLength(1);
  await kit.close();
});

test("an idle session ends at the server; its id stays good, and a call waits for the new one", async () => {
  const { kit, alive, ran, begin, ask } = await started({ idleTimeout: 60 });
  const session = await begin();
  expect(alive.size).toBe(1);
  await expect.poll(() => alive.size).toBe(0);
  expect((await ask(session, { method: "tools/call", params: { name: "echo" } })).status).toBe(200);
  expect(ran).toEqual(["tools/call s-2"]);
  await kit.close();
});

test("DELETE ends it for good, however often it is said", async () => {
  const { kit, alive, begin, ask, end } = await started();
  const session = await begin();
  expect((await end(session)).status).toBe(200);
  expect(alive.size).toBe(0);
  expect((await end(session)).status).toBe(404);
  expect((await ask(session, { method: "tools/list" })).status).toBe(404);
  await kit.close();
});

test("DELETE is done where the server refuses it, or has lost the session before", async () => {
  const { kit, alive, begin, ask, end } = await started();
  const session = await begin();
  alive.clear();
  expect((await end(session)).status).toBe(204);
  expect((await ask(session, { method: "tools/list" })).status).toBe(404);
  await kit.close();
});

test("as many sessions as may be: 429 for the caller, 503 for all", async () => {
  const { kit, alive, begin, end, state } = await started({ maxPerPrincipal: 2, maxSessions: 3 });
  const first = await begin("anna");
  await begin("anna");
  const more = await kit.post({ method: "initialize", params: INIT }, { principal: "anna" });
  expect([more.status, more.headers.get("retry-after")]).toEqual([429, "10"]);
  await begin("bert");
  const others = await kit.post({ method: "initialize", params: INIT }, { principal: "carl" });
  expect([others.status, others.headers.get("retry-after")]).toEqual([503, "10"]);
  // What was refused has not reached the server.
  expect([state.opened, alive.size]).toEqual([3, 3]);
  await end(first);
  expect((await kit.post({ method: "initialize", params: INIT }, { principal: "anna" })).status).toBe(200);
  await kit.close();
});

test("a client that leaves before the answer to initialize leaves no session behind", async () => {
  const held = gate();
  const { kit, alive, state } = await started();
  state.hold = held.promise;
  const leaving = new AbortController();
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params: INIT });
  const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
  const left = kit.fetch({ method: "POST", body, headers }, { signal: leaving.signal }).catch(() => "left");
  await expect.poll(() => kit.server.requests.length).toBe(1);
  leaving.abort();
  held.open();
  await left;
  await expect.poll(() => kit.server.requests.at(-1)!.method).toBe("DELETE");
  expect([state.opened, alive.size]).toEqual([1, 0]);
  await kit.close();
});

test("a session belongs to its caller and its server", async () => {
  const { kit, ran, begin, ask, end } = await started();
  const session = await begin("anna");
  for (const [principal, mount] of [
    ["bert", "alpha"],
    ["anna", "beta"],
  ] as const) {
    expect((await ask(session, { method: "tools/list" }, principal, mount)).status).toBe(404);
    expect((await ask(session, { method: "tools/call", params: { name: "echo" } }, principal, mount)).status).toBe(404);
  }
  expect((await end(session, "bert")).status).toBe(404);
  expect(ran).toEqual([]);
  expect((await ask(session, { method: "tools/list" })).status).toBe(200);
  await kit.close();
});

test.each([
  ["a space", "a b", 400],
  ["a comma of two fields", "a, b", 400],
  ["8 KiB and one", "x".repeat(8193), 400],
  ["nothing", "", 400],
  ["letters beyond ASCII", "sess\u00efon", 400],
  ["an @", "a@b", 404],
  ["8 KiB", "x".repeat(8192), 404],
])("a session id with %s", async (_what, id, status) => {
  const { kit, begin, ask, server } = await started();
  await begin();
  expect((await ask(id, { method: "tools/list" })).status).toBe(status);
  expect(server.requests.filter(({ message }) => message?.method === "tools/list")).toHaveLength(0);
  await kit.close();
});

test("what a client declares at length is kept beside its id, which stays short", async () => {
  for (const length of [200, 3000, 20_000]) {
    const { kit, alive, ask, server } = await started();
    const params = { ...INIT, capabilities: { experimental: { x: "x".repeat(length) } } };
    const begun = await kit.post({ method: "initialize", params });
    const session = begun.headers.get("mcp-session-id")!;
    expect(session).toMatch(/^[\x21-\x7e]{50,2047}$/);
    alive.clear();
    const { status } = await ask(session, { method: "tools/list" });
    // Without the handshake there is no new session, and the client is told to begin again.
    expect(status).toBe(length > 16_000 ? 404 : 200);
    if (status === 200)
      expect(server.requests.findLast(({ message }) => message?.method === "initialize")!.message!.params).toEqual(
        params,
      );
    await kit.close();
  }
});
