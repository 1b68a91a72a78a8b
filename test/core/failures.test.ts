import { toProxyError } from "../../core/upstream/http1/failure.ts";
import { type Answer, type LogText, type Plugin, collect, createPenstock, json } from "mcp-penstock";
import { describe, expect, test } from "vitest";
import { closeable } from "../_harness/loopback.ts";
import { gate, rawClient, rawServer } from "../_harness/peers.ts";
import { counting, failing, framing } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, post } from "../_harness/wire.ts";

const use = testScope();
const RESULT = '{"jsonrpc":"2.0","id":1,"result":{}}';

async function jsonServer(text = jsonAnswer(RESULT)) {
  return use(
    rawServer(async (connection) => {
      for await (const _request of connection.requests()) connection.send(text);
    }),
  );
}

/** One request through the given plugins, and what the server saw of it. */
async function exchange(plugins: unknown, request = post(call()), text?: string) {
  const server = await jsonServer(text);
  const client = await use(rawClient((await use(front(server.url, plugins))).port));
  client.send(request);
  return { server, client, answer: await client.receiveResponse() };
}

function recorder() {
  const lines: string[] = [];
  const log = (text: LogText) => void lines.push(typeof text === "function" ? text() : text);
  return { lines, logger: { debug: log, info: log, warn: log, error: log } };
}

const errorOf = (body: string) =>
  (JSON.parse(body) as { error: { code: number; message: string; data: { code: string } } }).error;

describe("onFailure", () => {
  const hooks = ["request", "forward", "response", "body"] as const;
  test.each(hooks)("deny: a %s hook that throws fails the exchange and names its plugin", async (hook) => {
    const { answer } = await exchange([failing(hook)]);
    expect(answer.status).toBe(500);
    expect(errorOf(answer.body)).toMatchObject({ code: -32_603, data: { code: "PLUGIN_FAILED" } });
    expect(answer.body).toContain("'bad'");
    expect(answer.body).not.toContain("secret");
  });

  test.each(hooks)("skip: a %s hook that throws is passed over", async (hook) => {
    const { answer, server } = await exchange([failing(hook, "error", "skip")]);
    expect(answer).toMatchObject({ status: 200, body: RESULT });
    expect(server.requests).toBe(1);
  });
});

test.each(["request", "guard"] as const)(
  "an answer of a %s hook that HTTP cannot say is a failure of its own",
  async (hook) => {
    const server = await jsonServer();
    for (const status of [99, 199, 600, 1000, Number.NaN]) {
      const plugin = { name: "odd", [hook]: () => ({ ...json(1), status }) };
      const client = await use(rawClient((await use(front(server.url, [plugin]))).port));
      client.send(post(call()));
      expect((await client.receiveResponse()).status).toBe(500);
    }
    const broken = {
      name: "odd",
      response: (_: unknown, { headers }: Answer) => headers.set("x", "a\u010d\u010aset-cookie: b"),
    };
    const client = await use(rawClient((await use(front(server.url, [broken]))).port));
    client.send(post(call()));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(500);
    expect(answer.headers["set-cookie"]).toBeUndefined();
  },
);

test("slots keep what belongs to a mount and to an exchange, typed by their key", async () => {
  const server = await jsonServer();
  const client = await use(rawClient((await use(front(server.url, [counting()]))).port));
  for (const count of [1, 2]) {
    client.send(post(call()));
    expect((await client.receiveResponse()).headers["x-slots"]).toBe(`${count} true`);
  }
  expect(await collect(json(1))).toEqual(new TextEncoder().encode("1"));
});

test("a stream that breaks is one line in the log, however many notice it", async () => {
  const server = await use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(`${SSE_HEAD}${chunk("data: {}\n\n")}`);
      await broken.promise;
      connection.reset();
    }),
  );
  const broken = gate();
  const { lines, logger } = recorder();
  const penstock = createPenstock(
    { servers: { one: { url: `${server.url}/mcp`, path: "/mcp" } }, plugins: [framing()] },
    { logger },
  );
  const { port } = await use(penstock.serve({ port: 0 }).then(closeable));
  const client = await use(rawClient(port));
  client.send(post(call(), "/mcp"));
  await client.receive(/data: \{\}/);
  broken.open();
  await client.receive(/UPSTREAM_BROKE/);
  await client.ended;
  expect(lines.filter((line) => line.includes("UPSTREAM_BROKE"))).toHaveLength(1);
});

test.each(["done", "close"] as const)(
  "a %s hook that fails is told as what it is: nobody was refused for that",
  async (hook) => {
    const { lines, logger } = recorder();
    const bad: Plugin = {
      name: "bad",
      [hook]() {
        throw new Error("the disk is full");
      },
    };
    const server = await jsonServer();
    const penstock = createPenstock(
      { servers: { one: { url: `${server.url}/mcp`, path: "/mcp" } }, plugins: [bad] },
      { logger },
    );
    const { port, close } = await penstock.serve({ port: 0 });
    const client = await use(rawClient(port));
    client.send(post(call()));
    expect((await client.receiveResponse()).status).toBe(200);
    await close();
    expect(lines.filter((line) => line.includes("PLUGIN_FAILED"))).toEqual([
      expect.stringMatching(
        new RegExp(
          `PLUGIN_FAILED \\[bad\\.${hook}\\]: Plugin 'bad' failed; no request was refused for that\\. \\(the disk is full\\)$`,
        ),
      ),
    ]);
  },
);

describe("what a broken connection means", () => {
  const system = (code: string) => Object.assign(new Error(code), { code });

  // A call is sent again after the first two: they promise that it never left.
  test.each([
    ["ECONNREFUSED", "connecting", "UPSTREAM_UNREACHABLE"],
    ["ETIMEDOUT", "connecting", "UPSTREAM_CONNECT_TIMEOUT"],
    ["EHOSTUNREACH", "connecting", "UPSTREAM_UNREACHABLE"],
    ["EHOSTUNREACH", "sent", "UPSTREAM_BROKE"],
    ["ENETUNREACH", "sent", "UPSTREAM_BROKE"],
    ["ETIMEDOUT", "sent", "UPSTREAM_BROKE"],
    ["ETIMEDOUT", "answered", "UPSTREAM_BROKE"],
    ["ECONNRESET", "connecting", "UPSTREAM_BROKE"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "connecting", "UPSTREAM_TLS"],
    ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "sent", "UPSTREAM_TLS"],
  ] as const)("%s while %s: %s", (code, phase, expected) => {
    expect(toProxyError("one", system(code), phase).code).toBe(expected);
  });

  test.each([
    ["sent", false],
    ["answering", true],
    ["answered", true],
  ] as const)("%s: bytes of an answer came: %s", (phase, answered) => {
    expect(toProxyError("one", system("ECONNRESET"), phase).details.answered).toBe(answered);
  });
});
