import { sseRelay } from "../_harness/plugins.ts";
import { standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { type RawClient, type RawConnection, rawClient, rawServer } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, plain, post } from "../_harness/wire.ts";

const use = testScope();
const COMMENT = ": keep-alive\n\n";

/** A server that sends its head, and then what the test makes it send. */
async function streamServer(head = SSE_HEAD) {
  return use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(head);
    }),
  );
}

/** A client that listens to it through the given plugins. */
async function listening(server: Awaited<ReturnType<typeof streamServer>>, plugins: unknown, request = plain("GET")) {
  const client = await use(rawClient((await use(front(server.url, plugins))).port));
  client.send(request);
  await client.receive(/\r\n\r\n/);
  return { client, upstream: await server.connection() };
}

describe("headers of an event stream", () => {
  test.each([
    ["GET", plain("GET")],
    ["POST", post(call())],
  ])("%s: no length and no coding, nothing buffers or caches it", async (_method, request) => {
    // The server compresses only for clients that accept it, as every correct one does.
    const server = await use(
      rawServer(async (connection) => {
        const { headers } = await connection.receiveRequest();
        const coding = /gzip|br|\*/.test(headers["accept-encoding"] ?? "") ? "content-encoding: gzip\r\n" : "";
        connection.send(
          `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n${coding}content-length: 9\r\ncache-control: public\r\n\r\ndata: 1\n\n`,
        );
      }),
    );
    const client = await use(rawClient((await use(front(server.url, [standard()]))).port));
    client.send(request.replace("host:", "accept-encoding: gzip, br\r\nhost:"));
    await client.receive(/data: 1\n\n/);
    const { headers } = client.response();
    expect(headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
    expect(headers).not.toHaveProperty("content-length");
    expect(headers).not.toHaveProperty("content-encoding");
  });

  test("a JSON answer keeps its headers", async () => {
    const server = await streamServer(
      "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: public\r\ncontent-length: 2\r\n\r\n{}",
    );
    const client = await use(rawClient((await use(front(server.url, [standard()]))).port));
    client.send(post(call()));
    const { headers } = await client.receiveResponse();
    expect(headers).toMatchObject({ "cache-control": "public", "content-length": "2" });
    expect(headers).not.toHaveProperty("x-accel-buffering");
  });
});

describe("keepAlive", () => {
  test("comments come while the stream is silent, and stop with it", async () => {
    const { client, upstream } = await listening(await streamServer(), [sseRelay({ keepAlive: 40 })]);
    for (let i = 0; i < 3; i++) await client.receive(/: keep-alive\n\n/);
    upstream.send(chunk("data: 1\n\n") + chunk(""));
    await client.receive(/0\r\n\r\n$/);
    expect(client.response().body).toMatch(/^(: keep-alive\n\n){3,}data: 1\n\n$/);
  });

  // Every way to end a line, cut at every place: a comment inside of an event would tear it.
  test.each([
    ["CRLF", "event: message\r\ndata: 1\r\ndata: 2\r\n\r\n"],
    ["LF", "event: message\ndata: 1\ndata: 2\n\n"],
    ["CR", "event: message\rdata: 1\rdata: 2\r\r"],
  ])("a comment never stands inside an event with %s", async (_ends, event) => {
    const cuts = Array.from({ length: event.length - 1 }, (_, i) => i + 1);
    const server = await streamServer();
    const { port } = await use(front(server.url, [sseRelay({ keepAlive: 40 })]));
    const pairs: { client: RawClient; upstream: RawConnection; cut: number }[] = [];
    for (const cut of cuts) {
      const client = await use(rawClient(port));
      client.send(plain("GET"));
      await client.receive(/\r\n\r\n/);
      pairs.push({ client, upstream: await server.connection(cut - 1), cut });
    }
    const witness = await listening(await streamServer(), [sseRelay({ keepAlive: 40 })]);
    for (const { upstream, cut } of pairs) upstream.send(chunk(event.slice(0, cut)));
    // Comments that somebody else gets show that they were due meanwhile.
    for (let i = 0; i < 4; i++) await witness.client.receive(/: keep-alive\n\n/);
    for (const { upstream, cut } of pairs) upstream.send(chunk(event.slice(cut)));
    for (const { client, cut } of pairs) {
      await client.receive((pending) => pending.endsWith(`${COMMENT}\r\n`) && pending.includes(event.slice(cut)));
      expect(client.response().body.replaceAll(COMMENT, "")).toBe(event);
      expect(client.response().body).toContain(event);
    }
  });

  test.each([0, Number.NaN, -1, Number.POSITIVE_INFINITY])("%s turns comments off", async (keepAlive) => {
    const server = await streamServer();
    const { client, upstream } = await listening(server, [sseRelay({ keepAlive })]);
    const witness = await listening(await streamServer(), [sseRelay({ keepAlive: 20 })]);
    for (let i = 0; i < 5; i++) await witness.client.receive(/: keep-alive\n\n/);
    upstream.send(chunk("data: 1\n\n") + chunk(""));
    await client.receive(/0\r\n\r\n$/);
    expect(client.response().body).toBe("data: 1\n\n");
  });
});

describe("removal", () => {
  test("without the plugin a stream still comes at once: only its headers and the comments are missing", async () => {
    const server = await streamServer();
    const bare = await listening(server, []);
    const witness = await listening(await streamServer(), [sseRelay({ keepAlive: 20 })]);
    for (let i = 0; i < 3; i++) await witness.client.receive(/: keep-alive\n\n/);
    bare.upstream.send(chunk("data: 1\n\n"));
    await bare.client.receive(/data: 1\n\n/);
    expect(bare.client.response()).toMatchObject({ body: "data: 1\n\n", complete: false });
    expect(bare.client.received).not.toContain(COMMENT);
    const own = (headers: Record<string, string>) => Object.keys(headers).sort();
    const added = own(witness.client.response().headers).filter(
      (name) => !own(bare.client.response().headers).includes(name),
    );
    expect(added).toEqual(["cache-control", "x-accel-buffering"]);
  });
});
