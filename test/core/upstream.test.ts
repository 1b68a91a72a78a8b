import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { closeable, stop } from "../_harness/loopback.ts";
import { gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { call, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();

describe("redirects", () => {
  const redirecting = (status: string, location: string) =>
    use(
      rawServer(async (connection) => {
        for await (const { target, body, method } of connection.requests()) {
          if (target === "/mcp") connection.send(jsonAnswer("", status, `location: ${location}\r\n`));
          else connection.send(jsonAnswer(JSON.stringify({ target, body, method })));
        }
      }),
    );

  test.each(["307 Temporary Redirect", "308 Permanent Redirect"])(
    "a %s within the origin is followed once, with method and body",
    async (status) => {
      const server = await redirecting(status, "/mcp/");
      const client = await use(rawClient((await use(front(server.url))).port));
      client.send(post(call()));
      const answer = await client.receiveResponse();
      expect(JSON.parse(answer.body)).toEqual({ target: "/mcp/", body: call(), method: "POST" });
      expect(answer.headers.location).toBeUndefined();
      expect(server.requests).toBe(2);
    },
  );

  test.each([
    ["307 Temporary Redirect", "http://127.0.0.1:1/mcp"],
    ["307 Temporary Redirect", "//evil.test/mcp"],
    ["308 Permanent Redirect", "https://127.0.0.1/mcp"],
    // These may turn a POST into a GET, which loses the message.
    ["301 Moved Permanently", "/mcp/"],
    ["302 Found", "/mcp/"],
    ["303 See Other", "/mcp/"],
    ["307 Temporary Redirect", "http://[bad"],
  ])("a %s to %s is 502 UPSTREAM_REDIRECT, and the target stays inside", async (status, location) => {
    const server = await redirecting(status, location);
    const client = await use(rawClient((await use(front(server.url))).port));
    client.send(post(call(5)));
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 502 });
    expect(JSON.parse(answer.body)).toMatchObject({ id: 5, error: { data: { code: "UPSTREAM_REDIRECT" } } });
    expect(client.received.toLowerCase()).not.toContain("location");
    expect(client.received).not.toContain("evil");
    expect(server.requests).toBe(1);
  });

  test("a loop ends with 502 after a few requests", async () => {
    const server = await redirecting("307 Temporary Redirect", "/mcp");
    const client = await use(rawClient((await use(front(server.url))).port));
    client.send(post(call()));
    expect((await client.receiveResponse()).status).toBe(502);
    expect(server.requests).toBeLessThanOrEqual(4);
  });
});

describe("localhost", () => {
  test.each(["127.0.0.1", "::1"])("reaches a server that listens on %s only", async (host) => {
    const server = createServer((_request, response) => response.end("{}"));
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    await use(closeable({ close: () => stop(server) }));
    const { url } = await use(front(`http://localhost:${(server.address() as AddressInfo).port}`));
    expect(
      await (
        await fetch(`${url}/mcp`, { method: "POST", body: call(), headers: { "content-type": "application/json" } })
      ).text(),
    ).toBe("{}");
  });
});

describe("kept connections", () => {
  test("an idle connection is used again, and its close by the server is no error for later calls", async () => {
    const server = await use(
      rawServer(async (connection) => {
        for await (const _request of connection.requests()) connection.send(jsonAnswer("{}"));
      }),
    );
    const client = await use(rawClient((await use(front(server.url))).port));
    for (let i = 0; i < 3; i++) {
      client.send(post(call()));
      expect((await client.receiveResponse()).status).toBe(200);
    }
    expect(server.connections).toHaveLength(1);
    const first = await server.connection(0);
    first.fin();
    // The proxy's own close is the proof that it knows.
    await within(first.closed, "the proxy to let go");
    for (let i = 0; i < 3; i++) {
      client.send(post(call()));
      expect((await client.receiveResponse()).status).toBe(200);
    }
    expect(server.connections).toHaveLength(2);
  });

  test("twenty calls at once have twenty connections, so that no answer waits for another", async () => {
    const barrier = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        await barrier.promise;
        connection.send(jsonAnswer("{}"));
      }),
    );
    const { port } = await use(front(server.url));
    const clients = await Promise.all(Array.from({ length: 20 }, () => use(rawClient(port))));
    for (const client of clients) client.send(plain("GET"));
    await server.connection(19);
    barrier.open();
    for (const client of clients) expect((await client.receiveResponse()).status).toBe(200);
  });
});
