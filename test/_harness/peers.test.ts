import { describe, expect, test } from "vitest";
import { gate, parseHttpResponse, rawClient, rawServer, within } from "./peers.ts";
import { testScope } from "./scope.ts";

const use = testScope();
const event = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const sseHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

describe("raw peers", () => {
  test("exchange whole messages of both framings on one connection", async () => {
    const server = await use(
      rawServer(async (connection) => {
        const first = await connection.receiveRequest();
        expect(first).toMatchObject({ method: "POST", target: "/a?b=c", body: "hé", headers: { "x-two": "1, 2" } });
        expect(first.rawHeaders.filter(([name]) => name === "X-Two")).toHaveLength(2);
        connection.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        const second = await connection.receiveRequest();
        expect(second).toMatchObject({ framing: "chunked", body: "abcde", target: "/d" });
        connection.send("HTTP/1.1 204 No Content\r\n\r\n");
      }),
    );
    const client = await use(rawClient(server.port));
    client.send("POST /a?b=c HTTP/1.1\r\nhost: x\r\nX-Two: 1\r\nX-Two: 2\r\ncontent-length: 3\r\n\r\nhé");
    expect(await client.receiveResponse()).toMatchObject({ status: 200, body: "ok", interim: [103] });
    client.send(
      "POST /d HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\n",
    );
    expect(await client.receiveResponse()).toMatchObject({ status: 204, complete: true });
    expect(server.requests).toBe(2);
  });

  test("show a streamed answer as far as it has come", async () => {
    const barrier = gate();
    const server = await use(
      rawServer([
        { receive: /\r\n\r\n/ },
        { send: sseHead + event("data: 1\n\n") },
        { wait: barrier.promise },
        { send: event("data: 2\n\n") + event("") },
      ]),
    );
    const client = await use(rawClient(server.port));
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await client.receive(/data: 1\n\n/);
    expect(client.response()).toMatchObject({ status: 200, body: "data: 1\n\n", complete: false, framing: "chunked" });
    barrier.open();
    await client.receive((pending) => pending.endsWith("0\r\n\r\n"));
    expect(client.response()).toMatchObject({ body: "data: 1\n\ndata: 2\n\n", complete: true });
    expect(client.received).toContain("transfer-encoding: chunked");
  });

  test("tell a FIN from a reset, and a message that ends with the connection from a cut one", async () => {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receive(/\r\n\r\n/);
        connection.send("HTTP/1.1 200 OK\r\n\r\nto the end");
        if (connection.index === 0) connection.fin();
        else await connection.receive(/more/);
      }),
    );
    const [first, second] = [await use(rawClient(server.port)), await use(rawClient(server.port))];
    first.send("GET / HTTP/1.1\r\n\r\n");
    expect(await first.receiveResponse()).toMatchObject({ framing: "close", body: "to the end" });
    expect((await first.ended).how).toBe("fin");
    second.send("GET / HTTP/1.1\r\n\r\n");
    await second.receive(/to the end/);
    expect(second.response().complete).toBe(false);
    const before = performance.now();
    second.reset();
    const closed = await within((await server.connection(1)).closed, "the reset");
    expect(closed.how).toBe("reset");
    expect(closed.at).toBeGreaterThan(before);
  });

  test("a client may half-close and still be answered, and a paused one builds up back-pressure", async () => {
    const server = await use(
      rawServer(
        async (connection) => {
          await connection.ended;
          let writable = true;
          while (writable) writable = connection.send("x".repeat(65_536));
          connection.fin();
        },
        { allowHalfOpen: true },
      ),
    );
    const client = await use(rawClient(server.port));
    client.pause();
    client.fin();
    const upstream = await server.connection();
    await upstream.ended;
    expect(client.received).toBe("");
    client.resume();
    expect((await within(client.closed, "the end")).how).toBe("fin");
    expect(client.received.length % 65_536).toBe(0);
  });

  test("a failed wait names what was awaited and what came instead", async () => {
    const server = await use(rawServer([{ send: "HTTP/1.1 500 No\r\n\r\n" }]));
    const client = await use(rawClient(server.port));
    await client.receive(/500/);
    await expect(client.receive(/200/, { timeout: 20 })).rejects.toThrow(/\/200\/; received: "HTTP\/1.1 500 No/);
    (await server.connection()).reset();
    await expect(client.receive(/200/)).rejects.toThrow("the connection ended (reset)");
    expect(() => parseHttpResponse("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n")).toThrow(
      "not followed by CRLF",
    );
  });

  test("a failing script fails the close of its server", async () => {
    const server = await rawServer(() => {
      throw new Error("scripted");
    });
    await use(rawClient(server.port));
    await server.connection();
    await expect(server.close()).rejects.toThrow("scripted");
  });
});
