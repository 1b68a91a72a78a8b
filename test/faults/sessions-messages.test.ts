/** Streams of HTTP+SSE clients belong to whoever opened them, and to the mount where that happened. */
import { describe, expect, test } from "vitest";
import { apiKeys, mounts, standard } from "../_harness/plugins.ts";
import { gate } from "../_harness/peers.ts";
import { startCli, startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { INITIALIZE, INITIALIZED, type RawSseClient, rawSse } from "../_harness/sse-client.ts";
import { vitals } from "../_harness/vitals.ts";
import { call, jsonAnswer } from "../_harness/wire.ts";
import { folderWith } from "../core/files.ts";

const use = testScope();
const [A, B] = ["0123456789abcdef-a", "fedcba9876543210-b"];
const JSON_TYPE = "content-type: application/json";
const as = (key: string) => [JSON_TYPE, `x-api-key: ${key}`];

/** Two mounts of one server behind keys of two callers. */
async function start() {
  const held = gate();
  const server = await scripted(async (request) => {
    if (request.method !== "POST") return jsonAnswer("{}", request.method === "GET" ? "405 No" : "200 OK");
    const method = methodOf(request)!;
    if (method.startsWith("notifications/")) return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
    if (method === "tools/call") await held.promise;
    return jsonAnswer(
      `{"jsonrpc":"2.0","id":${idOf(request)},"result":{"protocolVersion":"2025-06-18","secret":"of A"}}`,
      "200 OK",
      method === "initialize" ? "mcp-session-id: session-1\r\n" : "",
    );
  });
  await use(server.server);
  const { url } = server.server;
  const proxy = await use(
    startProxy({
      servers: { a: { url: `${url}/mcp` }, b: { url: `${url}/mcp` } },
      plugins: [mounts(), apiKeys({ keys: { alice: A, bob: B } })],
    }),
  );
  const port = Number(new URL(proxy.url).port);
  const open = (path: string, key: string) => rawSse(use, port, { path, fields: [`x-api-key: ${key}`] });
  return { server, held, port, open, proxy };
}

describe("SE-01 the stream of one caller", () => {
  test("messages with another caller's key, with none, or with two are refused; nothing reaches the stream or the server", async () => {
    const { server, open, held, port } = await start();
    const alice = await open("/a/sse", A);
    const anybody = await rawSse(use, port, { path: "/a/sse", fields: [`x-api-key: ${A}`] });
    await alice.post(INITIALIZE);
    await alice.message('"id":0');
    await alice.post(INITIALIZED);
    await alice.post(call(1, "tools/call", '{"name":"x"}'));
    const bob = await open("/a/sse", B);
    // 202 comes before the server has it.
    await expect.poll(() => server.seen).toContain("POST tools/call");
    const before = server.seen.length;
    for (const body of [call(2), INITIALIZE, '{"jsonrpc":"2.0","id":1,"result":{}}', "{", INITIALIZED]) {
      const refused = await bob.post(body, [JSON_TYPE], alice.endpoint);
      expect([refused.status, refused.body]).toEqual([404, expect.not.stringContaining("of A")]);
      expect(refused.headers).not.toHaveProperty("mcp-session-id");
    }
    // The answer to an id that nobody has is the same.
    const unknown = await bob.post(call(2), [JSON_TYPE], "/a/messages?sessionId=AAAAAAAAAAAAAAAAAAAAAAAA");
    const foreign = await bob.post(call(2), [JSON_TYPE], alice.endpoint);
    expect([foreign.status, foreign.body]).toEqual([unknown.status, unknown.body]);
    expect((await anybody.post(call(2), [JSON_TYPE, `x-api-key: ${B}`], alice.endpoint)).status).toBe(401);
    expect(server.seen.slice(before).filter((one) => one !== "GET session-1")).toEqual([]);
    expect(bob.stream.received).not.toContain("of A");
    held.open();
    expect(await alice.message('"id":1')).toMatchObject({ result: { secret: "of A" } });
    await alice.post(call(3));
    expect(await alice.message('"id":3')).toMatchObject({ result: {} });
  });

  test("a caller whose key is wrong on the next message is refused there", async () => {
    const { server, port } = await start();
    const client = await rawSse(use, port, { path: "/a/sse", fields: [`authorization: Bearer ${A}`] });
    const refused = await client.post(call(), [...as(B)]);
    expect(refused.status).toBe(401);
    expect(server.seen).toEqual([]);
  });
});

describe("SE-02 the stream of one mount", () => {
  test("is unknown to another mount", async () => {
    const { server, open } = await start();
    const alice = await open("/a/sse", A);
    const elsewhere = alice.endpoint.replace("/a/", "/b/");
    expect((await alice.post(call(), [JSON_TYPE], elsewhere)).status).toBe(404);
    expect(server.seen).toEqual([]);
    await alice.post(call(4));
    await alice.message('"id":4');
  });
});

describe("LC-01 SIGTERM with an HTTP+SSE client", () => {
  test("its call is answered, its stream ends with a time to come back, its session is ended, exit 0", async () => {
    const [called, held] = [gate(), gate()];
    const server = await scripted(async (request) => {
      if (request.method !== "POST") return jsonAnswer("{}", request.method === "GET" ? "405 No" : "200 OK");
      if (methodOf(request) === "tools/call") {
        called.open();
        await held.promise;
      }
      return jsonAnswer(
        `{"jsonrpc":"2.0","id":${idOf(request)},"result":{"protocolVersion":"2025-06-18"}}`,
        "200 OK",
        "mcp-session-id: session-1\r\n",
      );
    });
    await use(server.server);
    const cwd = folderWith({ "penstock.config.json": { servers: { a: { url: `${server.server.url}/mcp` } } } });
    const cli = await use(startCli(["--port", "0"], { cwd }));
    const [busy, idle] = [await rawSse(use, cli.port), await rawSse(use, cli.port)];
    await busy.post(INITIALIZE);
    await busy.message('"id":0');
    await busy.post(call(1, "tools/call", '{"name":"x"}'));
    await called.promise;
    cli.kill();
    await idle.stream.receive(/retry: 1000\n\n\r\n0\r\n\r\n$/);
    expect(busy.stream.received).not.toContain("retry");
    held.open();
    await busy.message('"id":1');
    await busy.stream.receive(/retry: 1000\n\n\r\n0\r\n\r\n$/);
    expect(await cli.exited).toMatchObject({ code: 0 });
    expect(server.seen).toContain("DELETE session-1");
  });
});

describe("SE-08 streams of HTTP+SSE clients that are opened and dropped", () => {
  test("with nothing said, refused, during the handshake, during a call, after all of it: nothing stays", async () => {
    const late = gate();
    const server = await scripted(async (request) => {
      if (request.method !== "POST") return jsonAnswer("{}", request.method === "GET" ? "405 No" : "200 OK");
      const method = methodOf(request)!;
      if (method === "tools/call") return "hang";
      if (method === "initialize" && request.body!.includes("slow")) await late.promise;
      if (method === "initialize" && request.body!.includes("refuse"))
        return jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"error":{"code":-32602,"message":"no"}}`);
      if (method.startsWith("notifications/")) return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
      return jsonAnswer(
        `{"jsonrpc":"2.0","id":${idOf(request)},"result":{"protocolVersion":"2025-06-18"}}`,
        "200 OK",
        method === "initialize" ? "mcp-session-id: session-1\r\n" : "",
      );
    });
    await use(server.server);
    const servers = { a: { url: `${server.server.url}/mcp`, path: "/mcp", ssePath: "/sse" } };
    const proxy = await use(startProxy({ servers, plugins: [standard()] }));
    const port = Number(new URL(proxy.url).port);
    const rounds = [
      async () => {},
      async (client: RawSseClient) => void (await client.post("{")),
      async (client: RawSseClient) => void (await client.post(INITIALIZE.replace("raw", "slow"))),
      async (client: RawSseClient) => {
        await client.post(INITIALIZE.replace("raw", "refuse"));
        await client.message('"id":0');
      },
      async (client: RawSseClient) => {
        await client.post(INITIALIZE);
        await client.message('"id":0');
        await client.post(INITIALIZED);
        await client.post(call(1, "tools/call", '{"name":"x"}'));
      },
      async (client: RawSseClient) => {
        await client.post(INITIALIZE);
        await client.message('"id":0');
        await client.post(INITIALIZED);
        await client.post(call(1));
        await client.message('"id":1');
      },
    ];
    const round = async (i: number) => {
      const client = await rawSse(use, port);
      await rounds[i % rounds.length]!(client);
      if (i % 2 === 0) client.stream.reset();
      await client.stream.close();
    };
    for (let i = 0; i < rounds.length; i++) await round(i);
    const net = await vitals(proxy);
    for (let i = 0; i < 60; i++) await round(i);
    // Who leaves a handshake cannot name its session: it is ended once its id is known.
    late.open();
    await net.backToBaseline();
    await expect.poll(() => server.seen.filter((one) => one === "DELETE session-1").length).toBe(33);
  });
});
