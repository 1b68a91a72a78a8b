import { type Plugin, createPenstock } from "mcp-penstock";
import { describe, expect, test } from "vitest";
import { gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { stopping, wrapping } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();

test("a slow message handler is back-pressure: the server is stopped, and goes on later", async () => {
  const entered = gate();
  const release = gate();
  const blocked = gate();
  const slow: Plugin = {
    name: "slow",
    message: {
      filter: { direction: "down", kind: "notification", method: "n" },
      async handler() {
        entered.open();
        await release.promise;
      },
    },
  };
  const piece = `data: ${"x".repeat(65_000)}\n\n`;
  const pieces = 1000;
  let sent = 0;
  const server = await use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(
        `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {"jsonrpc":"2.0","method":"n"}\n\n`,
      );
      await entered.promise;
      for (; sent < pieces; sent++) {
        if (connection.send(piece)) continue;
        const drained = new Promise<void>((resolve) => connection.socket.once("drain", () => resolve()));
        const turns = (async () => {
          for (let turn = 0; turn < 1000; turn++) await new Promise((resolve) => setImmediate(resolve));
          return "still full";
        })();
        if ((await Promise.race([drained, turns])) === "still full") blocked.open();
        await drained;
      }
      connection.fin();
    }),
  );
  const client = await use(rawClient((await use(front(server.url, [slow]))).port));
  // The client's own record of so many bytes as text would take longer than their way.
  client.socket.removeAllListeners("data");
  let bytes = 0;
  let tail = "";
  const whole = gate();
  client.socket.on("data", (data) => {
    bytes += data.length;
    tail = (tail + data.subarray(-5).toString("latin1")).slice(-5);
    if (tail === "0\r\n\r\n") whole.open();
  });
  client.send(plain("GET"));
  await within(blocked.promise, "the server to be stopped");
  // Socket buffers alone hold some megabytes; 65 MB they do not.
  expect(sent).toBeLessThan(pieces / 2);
  release.open();
  await within(whole.promise, "the end of the stream", { timeout: 5000 });
  expect(bytes).toBeGreaterThan(pieces * piece.length);
});

describe("body transforms", () => {
  test.each([
    ["a stream", SSE_HEAD + chunk("x\n\n") + chunk("")],
    ["a JSON answer", jsonAnswer("x\n\n")],
  ])("chain, the last plugin first, on %s; the length is taken back", async (_what, text) => {
    const server = await use(rawServer([{ receive: /\r\n\r\n/ }, { send: text }]));
    const client = await use(rawClient((await use(front(server.url, [wrapping("a"), wrapping("b")]))).port));
    client.send(plain("GET"));
    await client.receive(/0\r\n\r\n$/);
    const { body, headers } = client.response();
    expect(headers).not.toHaveProperty("content-length");
    expect(body.replaceAll("a(<b>)", "").replaceAll("<a>", "")).toBe("a(b(x\n\n))a(</b>)</a>");
  });

  test("a transform that only watches passes everything, and is closed once, also after a cut", async () => {
    const closes: string[] = [];
    const watch = (name: string): Plugin => ({ name, body: () => ({ close: () => void closes.push(name) }) });
    const server = await use(rawServer([{ receive: /\r\n\r\n/ }, { send: SSE_HEAD + chunk("data: 1\n\n") }]));
    const client = await use(rawClient((await use(front(server.url, [watch("a"), watch("b")]))).port));
    client.send(plain("GET"));
    await client.receive(/data: 1\n\n/);
    (await server.connection()).reset();
    await client.ended;
    expect(closes).toEqual(["b", "a"]);
  });

  test("a transform may cut or end the answer itself, and the server is released", async () => {
    for (const how of ["cut", "end"] as const) {
      const server = await use(rawServer([{ receive: /\r\n\r\n/ }, { send: SSE_HEAD + chunk("data: 1\n\n") }]));
      const client = await use(rawClient((await use(front(server.url, [stopping(how)]))).port));
      client.send(plain("GET"));
      await client.receive(how === "end" ? /0\r\n\r\n$/ : /data: 1\n\n/);
      if (how === "cut") await within(client.ended, "the cut");
      expect(client.response()).toMatchObject({ body: "data: 1\n\n", complete: how === "end" });
      await within((await server.connection()).closed, "the release");
    }
  });
});

describe("two proxies in one process", () => {
  test("share nothing, even with one plugin object: closing one leaves the other's streams and server alone", async () => {
    const plugin: Plugin = {
      name: "counter",
      response: ({ mount }, { headers }) => {
        const count = (mount.get(COUNT) ?? 0) + 1;
        mount.set(COUNT, count);
        headers.set("x-count", String(count));
      },
    };
    const COUNT = { name: "counter.n" } as { name: string; type?: number };
    const server = await use(
      rawServer(async (connection) => {
        for await (const { method } of connection.requests())
          connection.send(method === "GET" ? SSE_HEAD : jsonAnswer("{}"));
      }),
    );
    const config = { servers: { one: { url: `${server.url}/mcp`, path: "/mcp" } }, plugins: [plugin] };
    const [a, b] = await Promise.all([
      createPenstock(config).serve({ port: 0 }),
      createPenstock(config).serve({ port: 0 }),
    ]);
    try {
      const listener = await use(rawClient(b.port));
      listener.send(plain("GET"));
      await listener.receive(/x-count: 1\r\n/);
      const first = await use(rawClient(a.port));
      first.send(post(call()));
      expect((await first.receiveResponse()).headers["x-count"]).toBe("1");
      await a.close();
      (await server.connection(0)).send(chunk("data: 1\n\n"));
      await listener.receive(/data: 1/);
      const second = await use(rawClient(b.port));
      second.send(post(call()));
      expect((await second.receiveResponse()).headers["x-count"]).toBe("2");
    } finally {
      await Promise.all([a.close(), b.close()]);
    }
  });
});
