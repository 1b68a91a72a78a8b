import { describe, expect, test } from "vitest";
import { Deadlines } from "../../core/deadlines.ts";
import { Call } from "../../core/upstream/http1/call.ts";
import { writeRequest } from "../../core/upstream/http1/request.ts";
import { gate, rawClient, rawServer, type RawConnection, within } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const AT_ONCE_MS = 250;

/** A server that answers its first call with `bad` and every later one well. */
async function once(bad: (connection: RawConnection) => void) {
  return use(
    rawServer(async (connection) => {
      for await (const _request of connection.requests()) {
        if (connection.index === 0) bad(connection);
        else connection.send(jsonAnswer('"fine"'));
      }
    }),
  );
}

async function clientOf(url: string, server: object = {}) {
  return use(rawClient((await use(front(url, [], server))).port));
}

describe("an answer that two readers could read in two ways", () => {
  const OK = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
  const HIDDEN = jsonAnswer('"smuggled"');
  const BAD: Record<string, string> = {
    "length and chunks": `${OK}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    "two lengths": `${OK}content-length: 0\r\ncontent-length: 40\r\n\r\n${HIDDEN}`,
    "a list of lengths": `${OK}content-length: 0, 40\r\n\r\n${HIDDEN}`,
    "a space before the colon": `${OK}content-length : 0\r\n\r\n${HIDDEN}`,
    "a folded length": `${OK}x: y\r\n content-length: 0\r\n\r\n${HIDDEN}`,
    "a coding before chunked": `${OK}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    "chunks of HTTP/1.0": `${OK.replace("1.1", "1.0")}transfer-encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    "a bare CR": `${OK}x: y\rcontent-length: 0\r\n\r\n${HIDDEN}`,
    "NUL in a value": `${OK}x: \0\r\ncontent-length: 0\r\n\r\n${HIDDEN}`,
    "line ends without CR": `${OK.replaceAll("\r", "")}content-length: 0\n\n${HIDDEN}`,
    "an upgrade": `HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n${HIDDEN}`,
    "no HTTP": "SSH-2.0-OpenSSH_9.9",
    "a head of 100 KB": `${OK}x: ${"a".repeat(100_000)}\r\n\r\n`,
    "interim answers without end": "HTTP/1.1 102 Processing\r\n\r\n".repeat(200),
  };
  test.each(Object.entries(BAD))("%s: 502 at once, and the connection is not used again", async (_name, bad) => {
    const server = await once((connection) => void connection.send(Buffer.from(bad, "latin1")));
    const client = await clientOf(server.url);
    const before = performance.now();
    client.send(post(call(1)));
    const answer = await client.receiveResponse();
    expect([answer.status, answer.body]).toEqual([502, expect.stringContaining("UPSTREAM_INVALID")]);
    expect(performance.now() - before).toBeLessThan(AT_ONCE_MS);
    await within((await server.connection(0)).closed, "the end of the connection");
    client.send(post(call(2)));
    expect((await client.receiveResponse()).body).toBe('"fine"');
    expect([server.requests, server.connections.length]).toEqual([2, 2]);
    expect(client.received).not.toContain("smuggled");
  });

  test.each([
    ["a length", jsonAnswer('"mine"')],
    ["chunks", `${SSE_HEAD}${chunk("data: mine\n\n")}${chunk("")}`],
    ["204", "HTTP/1.1 204 No Content\r\n\r\n"],
  ])("bytes behind %s: the answer is good, the connection is not used again", async (_name, good) => {
    const server = await once((connection) => void connection.send(good + jsonAnswer('"smuggled"')));
    const client = await clientOf(server.url);
    client.send(post(call(1)));
    expect((await client.receiveResponse()).status).toBeLessThan(300);
    await within((await server.connection(0)).closed, "the end of the connection");
    client.send(post(call(2)));
    expect((await client.receiveResponse()).body).toBe('"fine"');
    expect(client.received).not.toContain("smuggled");
  });
});

describe("a connection", () => {
  test.each([
    ["chunks", SSE_HEAD + chunk("data: 1\n\n") + chunk("")],
    ["204", "HTTP/1.1 204 No Content\r\n\r\n"],
    ["interim answers", `HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${jsonAnswer("{}")}`],
    ["HTTP/1.0 with keep-alive", jsonAnswer("{}", "200 OK", "connection: keep-alive\r\n").replace("1.1", "1.0")],
  ])("is used again after %s", async (_name, answer) => {
    const server = await use(
      rawServer(async (connection) => {
        for await (const _request of connection.requests()) connection.send(answer);
      }),
    );
    const client = await clientOf(server.url);
    for (let id = 0; id < 3; id++) {
      client.send(post(call(id)));
      await client.receiveResponse();
    }
    expect(server.connections).toHaveLength(1);
  });

  test.each([
    ["connection: close", jsonAnswer("{}", "200 OK", "connection: close\r\n")],
    ["HTTP/1.0", jsonAnswer("{}").replace("1.1", "1.0")],
    ["a keep-alive of one second", jsonAnswer("{}", "200 OK", "keep-alive: timeout=1\r\n")],
  ])("ends at once after %s", async (_name, answer) => {
    const server = await once((connection) => void connection.send(answer));
    const client = await clientOf(server.url);
    client.send(post(call(1)));
    expect((await client.receiveResponse()).body).toBe("{}");
    await within((await server.connection(0)).closed, "the end of the connection");
    client.send(post(call(2)));
    expect((await client.receiveResponse()).body).toBe('"fine"');
  });

  test("that is idle ends before the server would end it", async () => {
    const server = await once(
      (connection) => void connection.send(jsonAnswer("{}", "200 OK", "keep-alive: timeout=2\r\n")),
    );
    const client = await clientOf(server.url);
    const before = performance.now();
    client.send(post(call(1)));
    await client.receiveResponse();
    const { at } = await within((await server.connection(0)).closed, "the end of the connection");
    expect(at - before).toBeGreaterThan(900);
    expect(at - before).toBeLessThan(2000);
  });

  test("whose body ends with it ends a stream well, and the next call has another one", async () => {
    const server = await once((connection) => {
      connection.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[1]");
      connection.fin();
    });
    const client = await clientOf(server.url);
    client.send(post(call(1)));
    expect(await client.receiveResponse()).toMatchObject({ status: 200, body: "[1]", complete: true });
    client.send(post(call(2)));
    expect((await client.receiveResponse()).body).toBe('"fine"');
  });

  test("that is closed while many calls come is no error for any of them", async () => {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(jsonAnswer("{}"));
        connection.fin();
      }),
    );
    const client = await clientOf(server.url);
    for (let id = 0; id < 50; id++) {
      client.send(post(call(id)));
      expect((await client.receiveResponse()).status).toBe(200);
    }
    expect(server.requests).toBe(50);
  });
});

describe("a large request", () => {
  const SIZE = 24 * 1024 * 1024;
  const body = call(1, "tools/call", `{"x":"${"y".repeat(SIZE)}"}`);
  const limits = { maxRequestBytes: 2 * SIZE };

  test("that is answered before it was read is answered at once, and its connection ends", async () => {
    const server = await use(
      rawServer(async (connection) => {
        if (connection.index === 0) {
          connection.pause();
          return void connection.send(jsonAnswer("{}", "413 Content Too Large"));
        }
        await connection.receiveRequest();
        connection.send(jsonAnswer('"fine"'));
      }),
    );
    const client = await clientOf(server.url, limits);
    client.send(post(body));
    expect((await client.receiveResponse({ timeout: 8000 })).status).toBe(413);
    const first = await server.connection(0);
    first.resume();
    await within(first.closed, "the end of the connection");
    expect(first.received.length).toBeLessThan(SIZE);
    client.send(post(call(2)));
    expect((await client.receiveResponse()).body).toBe('"fine"');
  });

  test("whose client leaves is not sent to its end", async () => {
    const held = gate();
    const server = await use(
      rawServer((connection) => {
        connection.pause();
        held.open();
      }),
    );
    const client = await clientOf(server.url, limits);
    client.send(post(body));
    await within(held.promise, "the connection", { timeout: 8000 });
    client.reset();
    await client.closed;
    const first = await server.connection(0);
    first.resume();
    await within(first.closed, "the end of the connection");
    expect(first.received.length).toBeLessThan(SIZE);
  });
});

test("a client that leaves while the connection is being set up ends that", async () => {
  const server = await use(rawServer());
  const client = await clientOf(server.url.replace("http:", "https:"));
  client.send(post(call(1)));
  const hello = await server.connection(0);
  await hello.receive((bytes) => bytes.startsWith("\u0016\u0003"));
  const before = performance.now();
  client.reset();
  const { at } = await within(hello.closed, "the end of the connection");
  expect(at - before).toBeLessThan(AT_ONCE_MS);
});

test("a client that leaves in the turn between two calls leaves no request behind", async () => {
  const server = await use(
    rawServer(async (connection) => {
      for await (const { method } of connection.requests())
        connection.send(method === "GET" ? SSE_HEAD : jsonAnswer("{}"));
    }),
  );
  const { port } = await use(front(server.url));
  for (let round = 0; round < 20; round++) {
    const [caller, listener] = [await use(rawClient(port)), await use(rawClient(port))];
    caller.send(post(call(round)));
    await caller.receiveResponse();
    // Request and reset arrive together: the proxy may see the one, the other, or both in one turn.
    listener.send(plain("GET"));
    listener.reset();
    await listener.closed;
    caller.send(post(call(round)));
    expect((await caller.receiveResponse()).body).toBe("{}");
  }
  for (const { received, closed } of server.connections)
    if (received.includes("GET ")) await within(closed, "a release");
});

describe("an answer that came before its reader", () => {
  function early(chunks: number) {
    const carried: string[] = [];
    const carrier = {
      pause: () => void carried.push("pause"),
      resume: () => void carried.push("resume"),
      destroy: () => void carried.push("destroy"),
    };
    const request = { method: "GET", path: "/", headers: [], body: null, headersTimeout: 0 };
    const call = new Call("one", request, new Deadlines());
    call.carrier = carrier;
    call.head(200, []);
    for (let i = 0; i < chunks; i++) call.data(Buffer.alloc(40_000, i));
    return { call, carried };
  }

  test("is stopped at 64 KB, and goes on with the reader", () => {
    const { call, carried } = early(2);
    expect(carried).toEqual(["pause"]);
    call.start({ data() {}, end() {}, fail() {} });
    expect(carried).toEqual(["pause", "resume"]);
  });

  test("does not go on when the reader has enough with what came early", () => {
    const { call, carried } = early(2);
    call.start({ data: () => call.pause(), end() {}, fail() {} });
    expect(carried).not.toContain("resume");
    call.resume();
    expect(carried.at(-1)).toBe("resume");
  });

  test("is told once that it was aborted, and says nothing more", () => {
    const { call, carried } = early(3);
    const told: string[] = [];
    call.start({
      data: () => (told.push("data"), call.abort()),
      end: () => told.push("end"),
      fail: () => told.push("fail"),
    });
    expect(told).toEqual(["data", "fail"]);
    expect(carried.at(-1)).toBe("destroy");
  });

  test("can be had whole when it has ended, and only then", () => {
    const { call } = early(2);
    expect(call.whole()).toBeUndefined();
    call.finish();
    expect(call.whole()).toHaveLength(80_000);
  });
});

describe("what is written", () => {
  const origin = { host: "server.test", targetPrefix: "", lines: "" };
  const request = (headers: string[], more: object = {}) =>
    writeRequest(origin, { method: "POST", path: "/mcp", headers, body: null, headersTimeout: 0, ...more })
      .map((piece) => Buffer.from(piece).toString("latin1"))
      .join("");

  test("is framed by the proxy alone", () => {
    const body = Buffer.from("\u00e9");
    expect(
      request(
        [
          "Host",
          "evil",
          "content-length",
          "1",
          "Transfer-Encoding",
          "chunked",
          "connection",
          "x",
          "expect",
          "100-continue",
          "a",
          "\u00e9",
        ],
        { body },
      ),
    ).toBe(
      "POST /mcp HTTP/1.1\r\nhost: server.test\r\nconnection: keep-alive\r\na: \u00e9\r\ncontent-length: 2\r\n\r\n\u00c3\u00a9",
    );
    expect(request([])).toContain("content-length: 0\r\n");
    expect(request([], { method: "GET" })).not.toContain("content-length");
  });

  test.each([
    ["a line break in a value", ["a", "b\r\nc: d"]],
    ["a bare LF in a value", ["a", "b\nc: d"]],
    ["NUL in a value", ["a", "b\0"]],
    ["a character beyond latin1", ["a", "\u{1f600}"]],
    ["a character that latin1 would cut to a line break", ["a", "\u010d\u010a"]],
    ["a line break in a name", ["a: b\r\nc", "d"]],
    ["a space in a name", ["a ", "b"]],
    ["an empty name", ["", "b"]],
  ])("has no %s", (_name, headers) => {
    expect(() => request(headers)).toThrow(expect.objectContaining({ code: "INTERNAL" }));
  });

  test.each([
    ["path", "/a b"],
    ["path", "/a\r\nb: c"],
    ["path", "/\u00e9"],
    ["path", ""],
    ["method", "GET /x"],
    ["method", ""],
  ])("has no bad %s: %j", (key, value) => {
    expect(() => request([], { [key]: value })).toThrow(expect.objectContaining({ code: "INTERNAL" }));
  });

  test("a large body is not copied, a small one leaves with its head", () => {
    const pieces = (size: number) =>
      writeRequest(origin, { method: "POST", path: "/", headers: [], body: Buffer.alloc(size), headersTimeout: 0 });
    expect([pieces(1000).length, pieces(100_000).length]).toEqual([1, 2]);
  });
});
