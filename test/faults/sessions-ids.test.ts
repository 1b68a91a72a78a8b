/** Session ids: whose they are, what they look like, and what happens to those that are none. */
import { describe, expect, test } from "vitest";
import { connectV1, connectV2 } from "../_harness/clients.ts";
import { apiKeys, standard, toolFilter } from "../_harness/plugins.ts";
import { startCli, startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";
import { folderWith } from "../core/files.ts";

const use = testScope();
const SECRET = "0123456789abcdef-0123456789abcdef";
const [A, B] = ["0123456789abcdef-a", "fedcba9876543210-b"];
const echo = { name: "echo", arguments: { text: "of A" } };
const LIST = { id: 1, method: "tools/list" };
const CALL = { id: 1, method: "tools/call", params: echo };
const INIT = {
  id: 0,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "1" } },
};

/** One HTTP request, and all of its answer. */
async function ask(url: string, message: object | undefined, headers: Record<string, string>, method = "POST") {
  const answer = await fetch(url, {
    method,
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
    ...(message && { body: JSON.stringify({ jsonrpc: "2.0", ...message }) }),
  });
  return { status: answer.status, headers: answer.headers, body: await answer.text() };
}

/** Two mounts of one server behind keys of two callers. */
async function start(more: object = {}) {
  const server = await use(startLegacyServer());
  const { url } = await use(
    startProxy({
      servers: { a: { url: server.url }, b: { url: server.url } },
      plugins: [standard(), apiKeys({ keys: { alice: A, bob: B } })],
      ...more,
    }),
  );
  const alice = await use(connectV1(`${url}/a/mcp`, { headers: { "x-api-key": A } }));
  await server.pushStream();
  // What clients brought about: whether it keeps sessions the proxy asks by itself.
  const count = () => server.requests.filter(({ body }) => !/initialize/.test(JSON.stringify(body ?? ""))).length;
  const session = { "mcp-session-id": alice.transport.sessionId!, "mcp-protocol-version": "2025-11-25" };
  return { server, url, alice, session, count };
}

describe("SE-01 a session in the hands of another caller", () => {
  test("is unknown to them with every method, and its owner notices nothing", async () => {
    const { server, url, alice, session, count } = await start();
    const before = count();
    for (const [method, message, more] of [
      ["POST", LIST, {}],
      ["POST", CALL, {}],
      ["POST", { id: 5, result: {} }, {}],
      ["GET", undefined, {}],
      ["GET", undefined, { "last-event-id": "p000000000000.1-0" }],
      ["DELETE", undefined, {}],
    ] as const) {
      const refused = await ask(`${url}/a/mcp`, message, { ...session, ...more, "x-api-key": B }, method);
      expect([method, refused.status, refused.body]).toEqual([method, 404, expect.not.stringContaining("of A")]);
      expect((await ask(`${url}/a/mcp`, message, { ...session, ...more }, method)).status).toBe(401);
    }
    expect(count()).toBe(before);
    expect(await alice.client.callTool(echo)).toMatchObject({ content: [{ text: "of A" }] });
    expect(server.sessions).toHaveLength(1);
  });
});

describe("SE-02 a session of one mount", () => {
  test("is unknown to another", async () => {
    const { url, session, count } = await start();
    const before = count();
    for (const message of [LIST, CALL])
      expect((await ask(`${url}/b/mcp`, message, { ...session, "x-api-key": A })).status).toBe(404);
    expect(count()).toBe(before);
  });

  test("what was allowed when it began counts no longer: what is allowed now does", async () => {
    const server = await use(startLegacyServer());
    const servers = { a: { url: server.url, path: "/a/mcp" } };
    const proxies = await Promise.all(
      [standard(), [standard(), toolFilter({ deny: ["echo"] })]].map((plugins) =>
        use(startProxy({ servers, plugins, secret: SECRET })),
      ),
    );
    const { client, transport } = await use(connectV1(`${proxies[0]!.url}/a/mcp`));
    expect(await client.callTool(echo)).toMatchObject({ content: [{ text: "of A" }] });
    const session = { "mcp-session-id": transport.sessionId!, "mcp-protocol-version": "2025-11-25" };
    expect((await ask(`${proxies[1]!.url}/a/mcp`, LIST, session)).body).not.toContain('"echo"');
    const refused = await ask(`${proxies[1]!.url}/a/mcp`, CALL, session);
    expect(refused.body).not.toContain("of A");
    expect(server.sessions).toHaveLength(1);
  });
});

describe("SE-03 session ids", () => {
  test("of client and server never meet; two hundred are different, visible ASCII, and short", async () => {
    const { server, url, session } = await start({ secret: SECRET });
    const ids = new Set<string>();
    for (let i = 0; i < 200; i++)
      ids.add((await ask(`${url}/a/mcp`, INIT, { "x-api-key": A })).headers.get("mcp-session-id")!);
    expect(ids.size).toBe(200);
    for (const id of ids) expect(id).toMatch(/^[\x21-\x7e]{64,2047}$/);
    const answer = await ask(`${url}/a/mcp`, CALL, { ...session, "x-api-key": A });
    expect([answer.status, answer.headers.has("mcp-session-id")]).toEqual([200, false]);
    const own = new Set(server.sessions);
    for (const { headers } of server.requests) {
      const id = headers["mcp-session-id"];
      if (id !== undefined) expect(own.has(id as string)).toBe(true);
    }
    expect([...own].some((id) => [...ids].some((token) => token.includes(id)))).toBe(false);
  });

  test.each([
    ["a space", "a b", 400],
    ["8 KiB and one", "x".repeat(8193), 400],
    ["a letter beyond ASCII", "sess\u00efon", 400],
    ["an @", "user@host", 404],
    ["a number", "1", 404],
  ])("with %s", async (_what, id, status) => {
    const { url, alice, count } = await start();
    const before = count();
    const headers = { "x-api-key": A, "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" };
    expect((await ask(`${url}/a/mcp`, LIST, headers)).status).toBe(status);
    expect(count()).toBe(before);
    expect((await alice.client.listTools()).tools).not.toEqual([]);
  });

  test("changed in one character, or sealed with another secret", async () => {
    const { url, session, count } = await start();
    const before = count();
    const id = session["mcp-session-id"];
    for (const at of [0, 30, id.length >> 1, id.length - 1]) {
      const forged = `${id.slice(0, at)}${id[at] === "A" ? "B" : "A"}${id.slice(at + 1)}`;
      const headers = { ...session, "x-api-key": A, "mcp-session-id": forged };
      expect((await ask(`${url}/a/mcp`, LIST, headers)).status).toBe(404);
    }
    const other = await start();
    expect((await ask(`${other.url}/a/mcp`, LIST, { ...session, "x-api-key": A })).status).toBe(404);
    expect(count()).toBe(before);
  });
});

describe("SE-05 sessions that are over, missing or unasked for", () => {
  test("ended: 404 however often it is said, and nothing breaks", async () => {
    const { server, url, alice, session } = await start();
    const headers = { ...session, "x-api-key": A };
    await alice.transport.terminateSession();
    expect(server.sessions).toEqual([]);
    const statuses: number[] = [];
    for (const [method, message] of [
      ["DELETE", undefined],
      ["DELETE", undefined],
      ["POST", LIST],
      ["POST", CALL],
      ["GET", undefined],
    ] as const)
      statuses.push((await ask(`${url}/a/mcp`, message, headers, method)).status);
    expect(statuses).toEqual([404, 404, 404, 404, 404]);
    expect(server.sessions).toEqual([]);
    expect((await ask(`${url}/a/mcp`, INIT, { "x-api-key": A })).status).toBe(200);
  });

  test("missing: what is asked is answered; GET and DELETE are refused", async () => {
    const { url } = await start();
    const key = { "x-api-key": A };
    expect((await ask(`${url}/a/mcp`, CALL, key)).status).toBe(200);
    expect((await ask(`${url}/a/mcp`, undefined, key, "GET")).status).toBeOneOf([400, 405]);
    expect((await ask(`${url}/a/mcp`, undefined, key, "DELETE")).status).toBeOneOf([400, 405]);
  });

  test("a server without sessions does not care about ids, nor does a modern request", async () => {
    const server = await use(startLegacyServer({ sessions: false }));
    const { url } = await use(startProxy({ servers: { a: { url: server.url } }, plugins: standard() }));
    for (const message of [CALL, LIST]) {
      const answer = await ask(`${url}/a/mcp`, message, { "mcp-session-id": "stray" });
      expect([answer.status, answer.headers.has("mcp-session-id")]).toEqual([200, false]);
    }
    expect(server.requests.some(({ headers }) => "mcp-session-id" in headers)).toBe(false);
  });
});

describe("SE-05 a proxy that is killed and started again with its secret", () => {
  test.each([
    ["v1", (url: string) => use(connectV1(url))],
    ["v2", (url: string) => use(connectV2(url, { mode: "legacy" }))],
  ])("has the session of a client of SDK %s, which goes on with its id", async (_sdk, connect) => {
    const server = await use(startLegacyServer());
    const cwd = folderWith({ "penstock.config.json": { servers: { a: { url: server.url } } } });
    const options = { cwd, env: { PENSTOCK_SECRET: SECRET } };
    const first = await use(startCli(["--port", "0"], options));
    const { client, transport } = await connect(`${first.url}/a/mcp`);
    const id = transport.sessionId;
    expect(await client.callTool(echo)).toMatchObject({ content: [{ text: "of A" }] });
    first.kill("SIGKILL");
    await first.exited;
    await use(startCli(["--port", String(first.port)], options));
    // The first attempt may still find the old connection.
    const once = () => client.callTool(echo).then(({ content }) => ({ content }));
    const again = await once().catch(once);
    expect(again).toMatchObject({ content: [{ text: "of A" }] });
    expect([transport.sessionId, server.sessions.length]).toEqual([id, 1]);
  });
});
