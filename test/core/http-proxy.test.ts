import { createServer, type IncomingMessage, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { closeable, listen, stop } from "../_harness/loopback.ts";
import { rawClient, rawServer, within } from "../_harness/peers.ts";
import { startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
/** Reserved by RFC 6761: no resolver knows it, so only a proxy can lead there. */
const HOST = "upstream.test";
const UNSET = {
  http_proxy: undefined,
  https_proxy: undefined,
  no_proxy: undefined,
  HTTP_PROXY: undefined,
  HTTPS_PROXY: undefined,
  NO_PROXY: undefined,
};

/** An HTTP proxy that leads every name to 127.0.0.1, and records what it was asked for. */
async function httpProxy() {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const { port, pathname } = new URL(request.url!);
    const onward = httpRequest(
      { port, path: pathname, method: request.method, headers: request.headers, host: "127.0.0.1" },
      (answer: IncomingMessage) => {
        response.writeHead(answer.statusCode!, answer.rawHeaders);
        response.flushHeaders();
        answer.pipe(response);
        answer.on("error", () => response.destroy());
      },
    );
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    const onward = connect(Number(request.url!.split(":")[1]), "127.0.0.1", () =>
      socket.write("HTTP/1.1 200 OK\r\n\r\n"),
    );
    onward.pipe(socket).pipe(onward);
    for (const end of [socket, onward]) end.on("error", () => (socket.destroy(), onward.destroy()));
  });
  const port = await listen(server);
  return use(closeable({ url: `http://127.0.0.1:${port}`, asked, close: () => stop(server) }));
}

/** A server that answers a GET with a stream that stays open, and a POST with JSON. */
async function server() {
  return use(
    rawServer(async (connection) => {
      for await (const { method, body } of connection.requests())
        connection.send(method === "GET" ? SSE_HEAD + chunk("data: 1\n\n") : jsonAnswer(`{"got":${body}}`));
    }),
  );
}

describe("HTTP_PROXY", () => {
  test.each(["HTTP_PROXY", "http_proxy"])("%s: an http server is asked for in absolute form", async (name) => {
    const [proxy, upstream] = [await httpProxy(), await server()];
    const cli = await use(
      startCli(["--url", `http://${HOST}:${upstream.port}/mcp`, "--port", "0"], {
        env: { ...UNSET, [name]: proxy.url },
      }),
    );
    const client = await use(rawClient(cli.port));
    client.send(post(call()));
    expect(await client.receiveResponse()).toMatchObject({ status: 200, body: `{"got":${call()}}` });
    expect(proxy.asked).toEqual([`POST http://${HOST}:${upstream.port}/mcp`]);
    expect((await upstream.connection()).received).toContain(`host: ${HOST}:${upstream.port}`);
  });

  test("an open stream holds up no other call, and a client that leaves releases it", async () => {
    const [proxy, upstream] = [await httpProxy(), await server()];
    const cli = await use(
      startCli(["--url", `http://${HOST}:${upstream.port}/mcp`, "--port", "0"], {
        env: { ...UNSET, HTTP_PROXY: proxy.url },
      }),
    );
    const [listener, caller] = [await use(rawClient(cli.port)), await use(rawClient(cli.port))];
    listener.send(plain("GET"));
    await listener.receive(/data: 1/);
    for (let id = 1; id < 4; id++) {
      caller.send(post(call(id)));
      expect((await caller.receiveResponse()).body).toBe(`{"got":${call(id)}}`);
    }
    listener.reset();
    const streams = upstream.connections.filter(({ received }) => received.startsWith("GET"));
    expect(streams).toHaveLength(1);
    await within(streams[0]!.closed, "the release of the stream");
  });

  test("NO_PROXY and loopback addresses go straight to the server", async () => {
    const [proxy, upstream] = [await httpProxy(), await server()];
    const env = { ...UNSET, HTTP_PROXY: proxy.url };
    for (const host of ["127.0.0.1", "localhost"]) {
      const cli = await use(startCli(["--url", `http://${host}:${upstream.port}/mcp`, "--port", "0"], { env }));
      const client = await use(rawClient(cli.port));
      client.send(post(call()));
      expect((await client.receiveResponse()).status).toBe(200);
    }
    const cli = await use(
      startCli(["--url", `http://${HOST}:${upstream.port}/mcp`, "--port", "0"], { env: { ...env, NO_PROXY: HOST } }),
    );
    const client = await use(rawClient(cli.port));
    client.send(post(call()));
    // Without the proxy the name leads nowhere.
    const answer = await client.receiveResponse({ timeout: 6000 });
    expect([answer.status, answer.body]).toEqual([502, expect.stringContaining("UPSTREAM_UNREACHABLE")]);
    expect(proxy.asked).toEqual([]);
  });

  test("a proxy that cannot be reached is 502 UPSTREAM_UNREACHABLE", async () => {
    const gone = await httpProxy();
    await gone.close();
    const cli = await use(
      startCli(["--url", `http://${HOST}/mcp`, "--port", "0"], { env: { ...UNSET, HTTP_PROXY: gone.url } }),
    );
    const client = await use(rawClient(cli.port));
    client.send(post(call(1)));
    const answer = await client.receiveResponse();
    expect([answer.status, answer.body]).toEqual([502, expect.stringContaining("UPSTREAM_UNREACHABLE")]);
  });
});

describe("HTTPS_PROXY", () => {
  test("an https server is asked for with CONNECT, and TLS is spoken through the tunnel", async () => {
    const proxy = await httpProxy();
    // It speaks no TLS: the first bytes that arrive tell that the tunnel stands and what it is used for.
    const upstream = await use(
      rawServer(async (connection) => {
        await connection.receive((bytes) => bytes.startsWith("\u0016\u0003"));
        // A request that did not leave is sent again.
        if (upstream.connections.length > 1) connection.reset();
      }),
    );
    const env = { ...UNSET, HTTPS_PROXY: proxy.url };
    const cli = await use(startCli(["--url", `https://${HOST}:${upstream.port}/mcp`, "--port", "0"], { env }));
    const client = await use(rawClient(cli.port));
    client.send(post(call()));
    const connection = await upstream.connection();
    await connection.receive(() => connection.received.length > 200).catch(() => {});
    expect(connection.received).toContain(HOST);
    expect(proxy.asked).toEqual([`CONNECT ${HOST}:${upstream.port}`]);
    connection.reset();
    expect((await client.receiveResponse()).status).toBe(502);
  });
});
