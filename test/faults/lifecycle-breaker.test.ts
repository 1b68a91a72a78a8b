import { describe, expect, test } from "vitest";
import { breaker, health, hostGuard, standard } from "../_harness/plugins.ts";
import { type Gate, gate, rawClient, within } from "../_harness/peers.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const RESULT = (id: string) => jsonAnswer(`{"jsonrpc":"2.0","id":${id},"result":{}}`);

/** What a tool of this name meets. */
const FAULTS: Record<string, string> = {
  break: "reset",
  hang: "hang",
  "502": jsonAnswer("{}", "502 Bad Gateway"),
  "503": jsonAnswer("{}", "503 Service Unavailable"),
  "504": jsonAnswer("{}", "504 Gateway Timeout"),
  "500": jsonAnswer("{}", "500 Internal Server Error"),
  "400": jsonAnswer("{}", "400 Bad Request"),
  "404": jsonAnswer("{}", "404 Not Found"),
  "429": jsonAnswer("{}", "429 Too Many Requests"),
  error: jsonAnswer('{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no"}}'),
  garbage: "SSH-2.0-OpenSSH_9.9\r\n\r\n",
};

/** A server whose tools fail by their names; `slow` waits for the gate. */
async function server() {
  const [entered, opened] = [gate(), gate()];
  const script = await scripted(async (request) => {
    if (request.method === "GET") return SSE_HEAD;
    if (request.method === "DELETE") return jsonAnswer("{}");
    const id = methodOf(request)!.startsWith("notifications/") ? undefined : idOf(request);
    if (id === undefined) return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
    const { name = "fine" } = (JSON.parse(request.body) as { params: { name?: string } }).params;
    if (name !== "slow") return FAULTS[name] ?? RESULT(id);
    entered.open();
    await opened.promise;
    return RESULT(id);
  });
  await use(script.server);
  return { ...script, entered, opened };
}

const tool = (name: string) => post(call(1, "tools/call", JSON.stringify({ name })));

/** Sends one request on a connection of its own. @returns status, and the code of an error */
async function ask(port: number, request: string): Promise<string> {
  const client = await use(rawClient(port));
  client.send(request);
  const { status, body } = await client.receiveResponse({ timeout: 5000 });
  const code = /"code":"(\w+)"/.exec(body)?.[1];
  client.socket.destroy();
  return code === undefined ? String(status) : `${status} ${code}`;
}

const OPEN = "503 SERVER_SUSPENDED";
/** Long enough that nothing tries again within a test. */
const STAYS_OPEN = { backoff: 60_000, maxBackoff: 60_000 };

/** Leaves while the server is at work. */
async function leave(port: number, entered: Gate): Promise<void> {
  const client = await use(rawClient(port));
  client.send(tool("slow"));
  await within(entered.promise, "the call at the server");
  client.reset();
  await client.closed;
}

describe("LC-09 closed", () => {
  test.each(["break", "502", "503", "504", "garbage", "hang"])("five times %s in a row open it", async (fault) => {
    const { server: upstream, seen } = await server();
    const { port } = await use(front(upstream.url, [breaker(STAYS_OPEN)], { timeouts: { call: 60 } }));
    for (let i = 0; i < 5; i++) expect(await ask(port, tool(fault))).not.toBe(OPEN);
    expect(await ask(port, tool("fine"))).toBe(OPEN);
    expect(seen).toHaveLength(5);
  });

  test("a server that is not there opens it", async () => {
    const { server: upstream } = await server();
    const { port } = await use(front(upstream.url, [breaker(STAYS_OPEN)]));
    await upstream.close();
    for (let i = 0; i < 5; i++) expect(await ask(port, tool("fine"))).toBe("502 UPSTREAM_UNREACHABLE");
    expect(await ask(port, tool("fine"))).toBe(OPEN);
  });

  test("clients that leave, 4xx, 500 and JSON-RPC errors never count, however many", async () => {
    const { server: upstream, entered } = await server();
    const { port } = await use(front(upstream.url, [breaker({ ...STAYS_OPEN, failures: 2 })]));
    for (let i = 0; i < 4; i++) {
      for (const harmless of ["400", "404", "429", "500", "error"])
        expect(await ask(port, tool(harmless))).not.toBe(OPEN);
      await leave(port, entered);
    }
    expect(await ask(port, tool("fine"))).toBe("200");
  });

  test("they do not hide failures either: five with aborts and 4xx between them open it", async () => {
    const { server: upstream, entered } = await server();
    const { port } = await use(front(upstream.url, [breaker(STAYS_OPEN)]));
    for (let i = 0; i < 5; i++) {
      expect(await ask(port, tool("break"))).toBe("502 UPSTREAM_BROKE");
      if (i === 4) break;
      for (const harmless of ["404", "500"]) expect(await ask(port, tool(harmless))).not.toBe(OPEN);
      await leave(port, entered);
      expect(await ask(port, post('{"jsonrpc":"2.0","method":"notifications/initialized"}'))).toBe("202");
    }
    expect(await ask(port, tool("fine"))).toBe(OPEN);
  });

  test("an answer starts the count again", async () => {
    const { server: upstream } = await server();
    const { port } = await use(front(upstream.url, [breaker(STAYS_OPEN)]));
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 4; i++) expect(await ask(port, tool("break"))).toBe("502 UPSTREAM_BROKE");
      expect(await ask(port, tool("fine"))).toBe("200");
    }
  });

  test("the event stream does not count", async () => {
    const script = await scripted((request) =>
      request.method === "GET" ? jsonAnswer("{}", "503 Service Unavailable") : RESULT(idOf(request)),
    );
    await use(script.server);
    const { port } = await use(front(script.server.url, [breaker({ ...STAYS_OPEN, failures: 2 })]));
    for (let i = 0; i < 4; i++) expect(await ask(port, plain("GET"))).toBe("503");
    expect(await ask(port, tool("fine"))).toBe("200");
  });
});

describe("LC-09 open", () => {
  const QUICK = { failures: 2, backoff: 150, maxBackoff: 300 };

  async function opened(options: object = STAYS_OPEN) {
    const script = await server();
    const { port } = await use(front(script.server.url, [breaker({ failures: 2, ...options })]));
    for (let i = 0; i < 2; i++) await ask(port, tool("break"));
    return { ...script, port };
  }

  test("the answer is a JSON-RPC error with the request's id, and says when to come back", async () => {
    const { port } = await opened();
    const client = await use(rawClient(port));
    client.send(post(call('"mine"', "tools/list")));
    const { status, headers, body } = await client.receiveResponse();
    expect(status).toBe(503);
    expect(Number(headers["retry-after"])).toBeGreaterThanOrEqual(30);
    expect(JSON.parse(body)).toMatchObject({
      id: "mine",
      error: { code: -31503, data: { code: "SERVER_SUSPENDED" }, message: expect.stringContaining("'one'") },
    });
    client.send(plain("GET"));
    expect((await client.receiveResponse()).status).toBe(503);
  });

  /** Asks until the breaker lets one through. @returns how many were refused, and what the first other answer was */
  async function untilTried(port: number, request: string): Promise<string> {
    const deadline = performance.now() + 5000;
    for (;;) {
      const said = await ask(port, request);
      if (said !== OPEN) return said;
      if (performance.now() > deadline) throw new Error("it never let a request through");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  test("after the wait one request tries; a failure keeps it open, the wait doubles up to its limit", async () => {
    const { port, seen } = await opened(QUICK);
    const tries: number[] = [performance.now()];
    for (let i = 0; i < 4; i++) {
      expect(await untilTried(port, tool("break"))).toBe("502 UPSTREAM_BROKE");
      tries.push(performance.now());
    }
    expect(seen).toHaveLength(6);
    const waits = tries.slice(1).map((at, i) => at - tries[i]!);
    // Jitter takes up to a half.
    [150, 300, 300, 300].forEach((wait, i) => {
      expect(waits[i]).toBeGreaterThan(wait / 2 - 40);
      expect(waits[i]).toBeLessThan(wait + 500);
    });
    expect(await untilTried(port, tool("fine"))).toBe("200");
  });

  test("while a slow one tries, others are refused; its success closes it for all", async () => {
    const { port, entered, opened: answer, seen } = await opened({ failures: 2, backoff: 100, maxBackoff: 60_000 });
    const slow = await use(rawClient(port));
    let answered: Promise<{ status: number } | undefined> | undefined;
    while (!entered.isOpen) {
      slow.send(tool("slow"));
      answered = slow.receiveResponse().catch(() => undefined);
      await Promise.race([entered.promise, answered]);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(seen).toHaveLength(3);
    expect(await ask(port, tool("fine"))).toBe(OPEN);
    answer.open();
    expect((await answered)?.status).toBe(200);
    for (let i = 0; i < 3; i++) expect(await ask(port, tool("fine"))).toBe("200");
  });

  test.each(["404", "500", "error"])("%s shows as well that the server is there again", async (said) => {
    const { port } = await opened(QUICK);
    expect(await untilTried(port, tool(said))).toMatch(/^(?:404|500|200)/);
    expect(await ask(port, tool("fine"))).toBe("200");
  });

  test("one who leaves while trying makes room for the next one", async () => {
    const { port, entered } = await opened({ failures: 2, backoff: 100, maxBackoff: 60_000 });
    for (;;) {
      const client = await use(rawClient(port));
      client.send(tool("slow"));
      await Promise.race([entered.promise, client.receiveResponse().catch(() => {})]);
      client.reset();
      await client.closed;
      if (entered.isOpen) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(await untilTried(port, tool("fine"))).toBe("200");
  });
});

describe("LC-09 in the preset", () => {
  test("a probe of health closes it, and /health tells the state", async () => {
    const script = await server();
    const plugins = [
      hostGuard(),
      health({ initialDelay: 60_000, interval: 60_000 }),
      breaker({ ...STAYS_OPEN, failures: 2 }),
    ];
    const { port } = await use(front(script.server.url, plugins));
    const state = async () => {
      const client = await use(rawClient(port));
      client.send(plain("GET", "/health"));
      const { body } = await client.receiveResponse();
      return (JSON.parse(body) as { servers: { one: { breaker: string } } }).servers.one.breaker;
    };
    for (let i = 0; i < 2; i++) await ask(port, tool("break"));
    expect(await ask(port, tool("fine"))).toBe(OPEN);
    // Whoever asks gets an answer at once; the server is probed meanwhile.
    expect(await state()).toBe("open");
    await expect.poll(state).toBe("closed");
    expect(await ask(port, tool("fine"))).toBe("200");
  });

  test("a server that comes back is served again within the wait", async () => {
    const { server: upstream } = await server();
    const plugins = [
      standard().filter(({ name }: { name: string }) => name !== "breaker"),
      breaker({ backoff: 100, maxBackoff: 200 }),
    ];
    const { port } = await use(front(upstream.url, plugins));
    for (let i = 0; i < 5; i++) await ask(port, tool("break"));
    await expect.poll(() => ask(port, tool("fine")), { timeout: 2000 }).toBe("200");
  });
});
