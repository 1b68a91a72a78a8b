/** Request lines: which path is meant, which method, and what no server should be asked. */
import { describe, expect, test } from "vitest";
import { type RawServer, rawClient, rawServer, within } from "../_harness/peers.ts";
import { fence, onMessage, standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();

/** A server that answers everything. */
function server(answer = jsonAnswer('"reached"')): Promise<RawServer> {
  return use(
    rawServer(async (connection) => {
      for await (const _ of connection.requests()) connection.send(answer);
    }),
  );
}

/** Bytes in latin1, on a connection of their own; the status that came back, and the whole answer. */
async function ask(port: number, bytes: string, method = "GET") {
  const client = await use(rawClient(port));
  client.send(Buffer.from(bytes, "latin1"));
  const answer = await client.receiveResponse({ method });
  return { ...answer, text: client.received };
}

async function expectServed(port: number, path = "/mcp") {
  expect(await ask(port, post(call(), path))).toMatchObject({ status: 200, body: '"reached"' });
}

/** Below `/secret/` is what a guard keeps everybody away from; whatever is written here must not get behind it. */
const AMBIGUOUS = [
  "//secret/mcp",
  "/secret//mcp",
  "///secret///mcp",
  "/secret/mcp//",
  "/secret%2fmcp",
  "/secret%2Fmcp",
  "/%2fsecret/mcp",
  "/secret/mcp%2f",
  "/x/../secret/mcp",
  "/x/%2e%2e/secret/mcp",
  "/x/%2E./secret/mcp",
  "/x/.%2e/secret/mcp",
  "/open/..%2fsecret/mcp",
  "/../secret/mcp",
  "/./secret/mcp",
  "/secret/./mcp",
  "/secret/%2e/mcp",
  "/secret/mcp/.",
  "/secret/mcp/x/..",
  "/secret/mcp/%2e",
  "/secret\\mcp",
  "\\secret\\mcp",
  "/\\secret/mcp",
  "/x\\..\\secret/mcp",
  "/secret%5cmcp",
  "/%73ecret/mcp",
  "/secret/m%63p",
  "/%53ecret/mcp",
  "/secret/%6D%63%70",
  "/x%2dy/open",
  "/x%5Fy/open",
  "/x%7ey/open",
  "/%31/open",
  "/secret/mcp%00",
  "/secret/mcp%00.txt",
  "/secret/mcp#x",
  "/x#/../secret/mcp",
  "/\xC5\xBFecret/mcp",
  "http://localhost//secret/mcp",
  "http://localhost/x/../secret/mcp",
  "http:/secret/mcp",
  "secret/mcp",
  "*",
];
const PLAIN = [
  "/secret/mcp",
  "/secret/mcp/",
  "/secret/mcp?x=/../y",
  "http://localhost/secret/mcp",
  "/SECRET/mcp",
  "/secret/MCP",
  "/secret;a=b/mcp",
  "/secret/mcp;a=b",
  "/;/secret/mcp",
  "/x/..;/secret/mcp",
  "/x/.;/secret/mcp",
  "/secret;/mcp",
  "/secret./mcp",
  "/secret/mcp.",
  "/secret/mcp%20",
  "/secret/mcp%09",
  "/secret%20/mcp",
  "/secret%252fmcp",
  "/%252e%252e/secret/mcp",
  "/x/%252e%252e/secret/mcp",
  "/secret%c0%afmcp",
  "/secret%ef%bc%8fmcp",
  "/%ef%bd%93ecret/mcp",
  "/secret/mcp%3fx",
  "/secret/mcp%23x",
  "/secret/mcp%ff",
  "/secret/mcp%",
  "/secret/mcp%u0041",
  "/secret/mcp/extra",
  "/secret:80/mcp",
  "/secret%3a/mcp",
];

describe("IN-07 a guarded mount", () => {
  /** Two proxies that differ in the guard only. Beside the guarded mount are some that take any name. */
  async function pair() {
    const target = await server();
    const servers = {
      secret: { url: `${target.url}/mcp`, path: "/secret/mcp" },
      any: { url: `${target.url}/mcp`, path: "/:any/open" },
      rest: { url: `${target.url}/mcp`, path: "/rest/**" },
    };
    const port = async (plugins: unknown[]) =>
      Number(new URL((await use(startProxy({ servers, plugins: [...plugins, standard()] }))).url).port);
    return { target, guarded: await port([fence("/secret/")]), open: await port([]) };
  }

  // All rows before one pair: it is the paths that differ.
  test("a path that could be read in two ways is 400 before anybody decides", async () => {
    const { target, guarded, open } = await pair();
    for (const path of AMBIGUOUS)
      for (const port of [guarded, open])
        for (const request of [post(call(), path), plain("GET", path)])
          expect((await ask(port, request)).status, path).toBe(400);
    expect(target.connections).toHaveLength(0);
    await expectServed(guarded, "/x/open");
  });

  test("of any other path the guard sees what the router takes", async () => {
    const { target, guarded, open } = await pair();
    for (const path of PLAIN) {
      const before = target.requests;
      const without = await ask(open, post(call(), path));
      const reached = target.requests - before;
      const behind = await ask(guarded, post(call(), path));
      // Never behind the guard; and what would have got there without it is what it stopped.
      expect(target.requests - before, path).toBe(reached);
      if (reached > 0) expect([without.status, behind.status], path).toEqual([200, 403]);
      else expect([400, 404], path).toContain(without.status);
      expect([without.status, 403], path).toContain(behind.status);
      if (reached > 0) expect(path).toMatch(/^(?:http:\/\/localhost)?\/secret\/mcp\/?(?:\?|$)/);
    }
  });
});

const REQUEST_LINES = ["PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY"];
const MODERN = "MCP-Protocol-Version: 2026-07-28\r\n";

describe("IN-08 HTTP methods", () => {
  describe.each([
    ["the bare core", () => []],
    ["standard()", () => [standard()]],
  ])("with %s", (_plugins, plugins) => {
    test("none but GET, POST and DELETE is served on a mount: 405 with Allow, and the server is never called", async () => {
      const target = await server();
      const { port } = await use(front(target.url, plugins()));
      for (const method of REQUEST_LINES)
        for (const headers of ["", MODERN, "accept: text/event-stream\r\nmax-forwards: 1\r\nx-secret: echo-me\r\n"]) {
          const answer = await ask(port, plain(method, "/mcp", headers), method);
          expect(answer, method).toMatchObject({ status: 405, headers: { allow: "GET, POST, DELETE" } });
          if (method === "HEAD") expect(answer.text).toMatch(/\r\n\r\n$/);
          else expect(JSON.parse(answer.body)).toMatchObject({ error: { code: -31_405 } });
          expect(answer.text).not.toContain("echo-me");
        }
      expect(target.connections).toHaveLength(0);
      await expectServed(port);
    });

    test.each(["GET", "DELETE"])(
      "a modern %s is 405 with Allow: POST, and the server is never called",
      async (method) => {
        const target = await server();
        const { port } = await use(front(target.url, plugins()));
        for (const headers of [MODERN, `${MODERN}mcp-session-id: s-1\r\nlast-event-id: 7\r\n`]) {
          const answer = await ask(port, plain(method, "/mcp", `accept: text/event-stream\r\n${headers}`));
          expect(answer).toMatchObject({ status: 405, headers: { allow: "POST" } });
          expect(JSON.parse(answer.body)).toMatchObject({ id: null, error: { code: -31_405 } });
        }
        expect(target.connections).toHaveLength(0);
        await expectServed(port);
      },
    );

    test("a modern server's own 405 reaches a client that names no revision, with Allow", async () => {
      const target = await server(jsonAnswer("{}", "405 Method Not Allowed", "allow: POST\r\n"));
      const { port } = await use(front(target.url, plugins()));
      expect(await ask(port, plain("DELETE"))).toMatchObject({ status: 405, headers: { allow: "POST" } });
      const get = await ask(port, plain("GET", "/mcp", "accept: text/event-stream\r\n"));
      expect([get.status, get.headers.allow]).toEqual([405, expect.stringMatching(/^POST(?:, DELETE)?$/)]);
    });
  });

  test("a method that nobody knows is refused, and the server is never called", async () => {
    const target = await server();
    const { port } = await use(front(target.url, [standard()]));
    for (const method of ["get", "Post", "GETT", "BREW"])
      expect([400, 405, 501], method).toContain((await ask(port, plain(method))).status);
    expect(target.connections).toHaveLength(0);
    await expectServed(port);
  });

  test.each([
    ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n"],
    ["OPTIONS * with an Origin", "OPTIONS * HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\n\r\n"],
    ["CONNECT of another host", "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n"],
    ["CONNECT of this host", "CONNECT localhost:80 HTTP/1.1\r\nhost: localhost:80\r\n\r\n"],
    ["CONNECT of a mount", "CONNECT /mcp HTTP/1.1\r\nhost: localhost\r\n\r\n"],
    ["TRACE *", "TRACE * HTTP/1.1\r\nhost: localhost\r\n\r\n"],
    ["TRACE of another host", "TRACE http://example.com/ HTTP/1.1\r\nhost: example.com\r\n\r\n"],
    ["GET of another host", "GET http://example.com/mcp HTTP/1.1\r\nhost: example.com\r\n\r\n"],
    [
      "a WebSocket",
      "GET /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\nsec-websocket-version: 13\r\nMCP-Protocol-Version: 2026-07-28\r\n\r\n",
    ],
  ])("%s is refused, and no server is called", async (_what, bytes) => {
    const target = await server();
    const { port } = await use(front(target.url, [standard()]));
    const client = await use(rawClient(port));
    client.send(bytes);
    const { status } = await client.receiveResponse();
    expect([400, 403, 404, 405, 421, 501]).toContain(status);
    // A tunnel would take what follows for its own.
    client.send("GET /mcp HTTP/1.1\r\nhost: localhost\r\nx-hidden: 1\r\nconnection: close\r\n\r\n");
    await within(client.ended, "the end of the connection");
    for (const { received } of target.connections) expect(received).toMatch(/^GET \/mcp HTTP\/1\.1\r\n/);
    await expectServed(port);
  });

  test("routes tell their methods, and serve HEAD like GET, without its content", async () => {
    const target = await server();
    const { port } = await use(front(target.url, [standard()]));
    const get = await ask(port, plain("GET", "/healthz"));
    const head = await ask(port, plain("HEAD", "/healthz"), "HEAD");
    expect([get.status, head.status]).toEqual([200, 200]);
    expect(head.headers["content-length"]).toBe(String(get.bytes.length));
    expect(head.text).toMatch(/\r\n\r\n$/);
    for (const method of ["POST", "PUT", "DELETE", "TRACE", "OPTIONS"])
      expect(await ask(port, plain(method, "/healthz"))).toMatchObject({
        status: 405,
        headers: { allow: "GET, HEAD" },
      });
    for (const method of [...REQUEST_LINES.filter((one) => one !== "HEAD"), "GET", "DELETE"])
      expect((await ask(port, plain(method, "/nowhere"))).status).toBe(404);
    expect(target.connections).toHaveLength(0);
  });

  const envelope =
    '{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}';
  const unknown = '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}';
  const notification = '{"jsonrpc":"2.0","method":"notifications/of-nobody"}';

  test.each([
    [
      "modern, 404",
      call(1, "of/nobody", envelope),
      `${MODERN}Mcp-Method: of/nobody\r\n`,
      jsonAnswer(unknown, "404 Not Found"),
    ],
    ["legacy, 200", call(1, "of/nobody"), "MCP-Protocol-Version: 2025-11-25\r\n", jsonAnswer(unknown)],
    [
      "legacy, 200 on a stream",
      call(1, "of/nobody"),
      "",
      `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n${chunk(`data: ${unknown}\n\n`)}${chunk("")}`,
    ],
    [
      "modern notification, 202",
      notification,
      `${MODERN}Mcp-Method: notifications/of-nobody\r\n`,
      "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
    ],
    ["legacy notification, 202", notification, "", "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"],
  ])("an unknown JSON-RPC method is the server's to answer: %s", async (_what, body, headers, answer) => {
    const look = (["request", "notification"] as const).map((kind) => onMessage("up", kind, "pass"));
    const down = onMessage("down", "response", "pass");
    for (const plugins of [[], [standard()], [standard(), ...look, down]]) {
      const target = await server(answer);
      const { port } = await use(front(target.url, plugins));
      const got = await ask(port, post(body, "/mcp", `content-type: application/json\r\n${headers}`), "POST");
      expect(got.status).toBe(Number(answer.slice(9, 12)));
      expect(got.body).toBe(body === notification ? "" : answer.includes("data: ") ? `data: ${unknown}\n\n` : unknown);
      expect((await target.connection()).received).toContain(body);
    }
  });
});

describe("IN-09 targets and fields that break readers", () => {
  test.each<[string, string, readonly number[]]>([
    ["//", plain("GET", "//"), [400]],
    ["// and a host", plain("GET", "//example.com/mcp"), [400]],
    ["/%", plain("GET", "/%"), [400, 404]],
    ["/%ff", plain("GET", "/%ff"), [400, 404]],
    ["/mcp/%ff", plain("GET", "/mcp/%ff"), [400, 404]],
    ["/%c0%ae%c0%ae/mcp", plain("GET", "/%c0%ae%c0%ae/mcp"), [400, 404]],
    ["/%00", plain("GET", "/%00"), [400]],
    ["an empty target", plain("GET", ""), [400]],
    ["a lone ?", plain("GET", "?"), [400]],
    ["a lone #", plain("GET", "#"), [400]],
    ["a lone :", plain("GET", ":"), [400]],
    ["http://", plain("GET", "http://"), [400]],
    ["http:///mcp", plain("GET", "http:///mcp"), [400]],
    ["http://[", plain("GET", "http://[/mcp"), [400]],
    ["a target of 70 KB", plain("GET", `/${"a".repeat(70_000)}`), [414, 431]],
    ["a query of 70 KB", plain("GET", `/mcp?${"%ff".repeat(23_000)}`), [414, 431]],
    ["70 KB of slashes", plain("GET", "/".repeat(70_000)), [400, 414, 431]],
    ["2,000 fields", plain("GET", "/mcp", Array.from({ length: 2000 }, (_, i) => `x-${i}: 1\r\n`).join("")), [431]],
    ["2,000 fields of one name", plain("GET", "/mcp", "x-one: 1234\r\n".repeat(2000)), [431]],
  ])("%s is refused, and the next request is fine", async (_what, request, statuses) => {
    const target = await server();
    const { port } = await use(front(target.url, [standard()]));
    expect(statuses).toContain((await ask(port, request)).status);
    expect(target.connections).toHaveLength(0);
    await expectServed(port);
  });

  test("fields with the names of Object.prototype are fields like any other", async () => {
    const target = await server();
    const { port } = await use(front(target.url, [standard(), onMessage("up", "request", "pass")]));
    for (const name of [
      "__proto__",
      "constructor",
      "hasOwnProperty",
      "toString",
      "prototype",
      "__defineGetter__",
      "then",
    ]) {
      const fields = `content-type: application/json\r\n${name}: a\r\n${name}: b\r\n`;
      expect(await ask(port, post(call(), "/mcp", fields))).toMatchObject({ status: 200, body: '"reached"' });
      expect(await ask(port, plain("GET", "/healthz", fields))).toMatchObject({ status: 200 });
      // Names with _ do not go on.
      const got = target.connections.map(({ received }) => received).join("");
      expect(got.toLowerCase().includes(`\r\n${name.toLowerCase()}: a\r\n`)).toBe(!name.includes("_"));
    }
    await expectServed(port);
  });

  test("a query that cannot be decoded is nobody's affair", async () => {
    const target = await server();
    const { port } = await use(front(target.url, [standard()]));
    for (const query of ["%", "%ff", "a=%zz", "&&==&", "__proto__=1", "a[]=1&a[b]=2"])
      await expectServed(port, `/mcp?${query}`);
  });

  test("the names of Object.prototype are no paths, no servers and no sessions", async () => {
    const target = await server();
    const { port } = await use(front(target.url, [standard()]));
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"])
      for (const path of [`/${name}`, `/${name}/mcp`, `/.well-known/oauth-protected-resource/${name}/mcp`])
        expect((await ask(port, plain("GET", path))).status).toBe(404);
    expect(target.connections).toHaveLength(0);
    await expectServed(port);
  });
});
