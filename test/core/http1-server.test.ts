import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { SocketOutlet } from "../../core/front/http1/outlet.ts";
import { closeable } from "../_harness/loopback.ts";
import { gate, rawClient, within } from "../_harness/peers.ts";
import { health } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { scripted } from "../_harness/scripted.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const HEAD = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

/** A proxy in front of a server that answers every call with the id and the parameters that it got. */
async function echo(plugins: unknown = [], config: object = {}) {
  const { server, requests } = await scripted(({ body }) => {
    const { id, params } = JSON.parse(body) as { id: unknown; params: unknown };
    return jsonAnswer(JSON.stringify({ jsonrpc: "2.0", id, result: { params } }));
  });
  await use(Promise.resolve(server));
  const url = `${server.url}/mcp`;
  const proxy = await use(startProxy({ servers: { one: { url, path: "/mcp" } }, plugins, ...config }));
  const port = Number(new URL(proxy.url).port);
  return { port, requests, connect: () => use(rawClient(port)) };
}

test("200 requests at once on one connection are answered one after the other, each once", async () => {
  const { connect, requests } = await echo();
  const client = await connect();
  client.send(Array.from({ length: 200 }, (_, i) => post(call(i))).join(""));
  for (let i = 0; i < 200; i++) {
    const { status, body } = await client.receiveResponse({ method: "POST" });
    expect([status, (JSON.parse(body) as { id: number }).id]).toEqual([200, i]);
  }
  expect(requests.map(({ body }) => (JSON.parse(body) as { id: number }).id)).toEqual([...Array(200).keys()]);
});

test("a body in chunks reaches the server as it is, and the next request on the connection too", async () => {
  const { connect, requests } = await echo();
  const client = await connect();
  const [first, second] = [call(1), call(2)];
  const pieces = [first.slice(0, 1), first.slice(1, 9), first.slice(9)].map((piece) => chunk(piece)).join("");
  client.send(`${HEAD}transfer-encoding: chunked\r\n\r\n${pieces}0\r\nx-trailer: no\r\n\r\n${post(second)}`);
  expect((await client.receiveResponse({ method: "POST" })).status).toBe(200);
  expect((await client.receiveResponse({ method: "POST" })).status).toBe(200);
  expect(requests.map(({ body }) => body)).toEqual([first, second]);
  expect(JSON.stringify(requests[0]!.headers)).not.toContain("trailer");
});

test("100 Continue is said when somebody wants the body, and not where the request is refused", async () => {
  const { connect } = await echo();
  const client = await connect();
  const body = call(1);
  client.send(`${HEAD}expect: 100-continue\r\ncontent-length: ${body.length}\r\n\r\n`);
  await client.receive(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  client.send(body);
  expect((await client.receiveResponse({ method: "POST" })).status).toBe(200);
  const refused = await connect();
  refused.send(`${HEAD}expect: 100-continue\r\ncontent-length: ${64 * 1024 * 1024}\r\n\r\n`);
  expect(await refused.receive(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 413 /);
  const other = await connect();
  other.send(`${HEAD}expect: 200-ok\r\ncontent-length: ${body.length}\r\n\r\n`);
  expect((await other.receiveResponse({ method: "POST" })).status).toBe(417);
});

test("HTTP/1.0: a stream ends with its connection, which goes on only where the client asks", async () => {
  const { server } = await scripted(({ body }) =>
    body.includes("stream") ? `${SSE_HEAD}${chunk("data: 1\n\n")}${chunk("data: 2\n\n")}0\r\n\r\n` : jsonAnswer("{}"),
  );
  await use(Promise.resolve(server));
  const { port } = await use(front(server.url));
  const ask = (method: string, headers = "") =>
    post(call(1, method), "/mcp", `content-type: application/json\r\n${headers}`).replace("HTTP/1.1", "HTTP/1.0");
  const client = await use(rawClient(port));
  client.send(ask("a", "connection: keep-alive\r\n"));
  expect((await client.receiveResponse({ method: "POST" })).headers.connection).toBe("keep-alive");
  client.send(ask("stream", "connection: keep-alive\r\n"));
  await client.ended;
  expect(client.received).toMatch(/connection: close\r\n\r\ndata: 1\n\ndata: 2\n\n$/);
  const single = await use(rawClient(port));
  single.send(ask("a"));
  await single.ended;
  expect(single.received).toMatch(/^HTTP\/1\.1 200 [\s\S]*connection: close[\s\S]*\{\}$/);
});

test("a refused body is read on for a while, so that the refusal arrives, and nothing after it is a request", async () => {
  const { connect, requests } = await echo();
  const client = await connect();
  client.send(`${HEAD}content-length: 5000000\r\n\r\n${"x".repeat(3_000_000)}${post(call(2))}`);
  await client.ended;
  expect(client.response()).toMatchObject({ status: 413, complete: true });
  expect(client.response().headers.connection).toBe("close");
  expect(requests).toEqual([]);
});

test("a chunk that is none fails its own request, and what follows is no request", async () => {
  const { connect, requests } = await echo();
  const client = await connect();
  client.send(`${HEAD}transfer-encoding: chunked\r\n\r\n5\r\nabcdeX\r\n${post(call(2))}`);
  await client.ended;
  expect(client.response().status).toBe(400);
  expect(client.received.match(/HTTP\/1\.1 /g)).toHaveLength(1);
  expect(requests).toEqual([]);
});

test("a client that half-closes while it waits is gone", async () => {
  const [asked, left] = [gate(), gate()];
  const { server } = await scripted((_request, connection) => {
    asked.open();
    void connection.closed.then(left.open);
    return "hang";
  });
  await use(Promise.resolve(server));
  const { port } = await use(front(server.url));
  const client = await use(rawClient(port));
  client.send(post(call(1)));
  await asked.promise;
  client.fin();
  await left.promise;
});

test("a body that is longer or shorter than its head says is cut", () => {
  const sent: string[] = [];
  const ends: boolean[] = [];
  const owner = {
    write: (bytes: Uint8Array) => sent.push(Buffer.from(bytes).toString("latin1")) > 0,
    answered: (whole: boolean) => void ends.push(whole),
  };
  const outlet = () => new SocketOutlet(owner, "head ", false, 5);
  outlet().end(Buffer.from("12345"));
  outlet().end(Buffer.from("1234"));
  outlet().write(Buffer.from("123456"));
  expect(sent).toEqual(["head 12345", "head 1234"]);
  expect(ends).toEqual([true, false, false]);
});

test("limits towards clients: a head that stops, a connection without one, an idle one, a body that stops", async () => {
  const { connect } = await echo([], { clientLimits: { headers: 200, body: 200, idle: 300 } });
  const [silent, half, idle, slow] = [await connect(), await connect(), await connect(), await connect()];
  half.send("GET /mcp HT");
  idle.send(post(call(1)));
  slow.send(`${HEAD}content-length: 50\r\n\r\n{`);
  await Promise.all([silent.ended, half.ended, idle.ended, slow.ended]);
  expect(silent.received).toBe("");
  expect(half.response().status).toBe(408);
  expect(idle.response().status).toBe(200);
  expect(slow.response().status).toBe(408);
});

test("more connections than allowed are told to come back, and find room when others have left", async () => {
  const { connect } = await echo([], { clientLimits: { connections: 2 } });
  const [first, second, third] = [await connect(), await connect(), await connect()];
  await third.ended;
  expect(third.response()).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
  for (const client of [first, second]) {
    client.send(post(call(1)));
    expect((await client.receiveResponse({ method: "POST" })).status).toBe(200);
  }
  await first.close();
  const answered = async () => {
    const client = await connect();
    client.send(post(call(1)));
    return (await client.receiveResponse({ method: "POST" })).status;
  };
  await expect.poll(answered).toBe(200);
});

test("HEAD of a route is its GET without a body; a target that is a whole URL is understood", async () => {
  const { connect } = await echo([health()]);
  const client = await connect();
  client.send(plain("HEAD", "/healthz"));
  const head = await client.receiveResponse({ method: "HEAD" });
  expect([head.status, head.body]).toEqual([200, ""]);
  client.send(plain("GET", "http://localhost/healthz"));
  const get = await client.receiveResponse();
  expect([get.status, String(get.body.length)]).toEqual([200, head.headers["content-length"]]);
});

test("a client that takes a large answer slowly gets all of it, past the limit of an idle connection", async () => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, result: { text: "x".repeat(24 * 1024 * 1024) } });
  const { server } = await scripted(() => jsonAnswer(body));
  await use(Promise.resolve(server));
  const url = `${server.url}/mcp`;
  const limits = { clientLimits: { idle: 200, write: 5000 }, plugins: [] };
  const proxy = await use(startProxy({ servers: { one: { url, path: "/mcp" } }, ...limits }));
  const socket = connect(Number(new URL(proxy.url).port), "127.0.0.1");
  await use(Promise.resolve(closeable({ close: async () => void socket.destroy() })));
  socket.write(post(call(1)));
  let [bytes] = ((await once(socket, "data")) as [Buffer]).map(({ length }) => length) as [number];
  socket.pause();
  // Longer than the limit, which counts from the last byte of the answer.
  await new Promise((resolve) => setTimeout(resolve, 800));
  const all = new Promise<void>((resolve) =>
    socket.on("data", ({ length }: Buffer) => (bytes += length) > body.length && resolve()),
  );
  socket.resume();
  await within(all, "all bytes", { timeout: 8000 });
});
