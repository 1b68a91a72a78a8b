import { sseRelay } from "../_harness/plugins.ts";
import { standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { rawClient, rawServer } from "../_harness/peers.ts";
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
