import { sseRelay } from "../_harness/plugins.ts";
import { standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { type RawConnection, rawClient, rawServer, within } from "../_harness/peers.ts";
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

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
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

describe("stallTimeout", () => {
  /** Sends until every buffer on the way is full, and goes on whenever there is room. */
  async function flood(connection: RawConnection): Promise<void> {
    await connection.receiveRequest();
    connection.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
    const piece = `data: ${"x".repeat(65_000)}\n\n`;
    const fill = () => {
      while (!connection.socket.destroyed && connection.send(piece));
    };
    connection.socket.on("drain", fill);
    fill();
  }

  test("cuts a client that reads nothing while something waits for it, and lets the server go", async () => {
    const server = await use(rawServer(flood));
    const client = await use(rawClient((await use(front(server.url, [sseRelay({ stallTimeout: 200 })]))).port));
    client.send(plain("GET"));
    await client.receive(/data/);
    client.pause();
    const before = performance.now();
    const closed = await within((await server.connection()).closed, "the cut");
    expect(closed.at - before).toBeGreaterThan(150);
  });

  test("leaves a client alone that reads, and one for whom nothing waits", async () => {
    const server = await use(
      rawServer((connection) =>
        connection.index === 0
          ? flood(connection)
          : connection.receiveRequest().then(() => void connection.send(SSE_HEAD + chunk("data: 1\n\n"))),
      ),
    );
    const { port } = await use(front(server.url, [sseRelay({ stallTimeout: 60, keepAlive: 0 })]));
    const [reader, idle] = [await use(rawClient(port)), await use(rawClient(port))];
    reader.socket.removeAllListeners("data");
    let bytes = 0;
    reader.socket.on("data", (data) => (bytes += data.length));
    reader.send(plain("GET"));
    await server.connection(0);
    idle.send(plain("GET"));
    await idle.receive(/data: 1/);
    idle.pause();
    // Time is the subject: several limits go by.
    await pause(300);
    expect(server.connections.map(({ socket }) => socket.destroyed)).toEqual([false, false]);
    expect(bytes).toBeGreaterThan(1_000_000);
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
