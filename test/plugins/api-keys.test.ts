/** Keys of callers, over raw sockets: who gets in, what is said to others, and that no credential reaches a server (AU-01). */
import { type LogText, type Logger, type Plugin, createPenstock } from "mcp-penstock";
import { apiKeys, mounts, rateLimit, requestLog, routes } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { closeable } from "../_harness/loopback.ts";
import { type ParsedRequest } from "../_harness/peers/http.ts";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { call, jsonAnswer } from "../_harness/wire.ts";

const use = testScope();
const KEY = "key-of-anna-0123456789";
const OTHER = "key-of-bert-0123456789";
const keys = { anna: KEY, bert: { key: OTHER, scopes: ["read"] } };

/** A server that keeps what reaches it. */
async function recorder() {
  const requests: ParsedRequest[] = [];
  const server = await use(
    rawServer(async (connection) => {
      for await (const request of connection.requests()) {
        requests.push(request);
        connection.send(jsonAnswer("{}"));
      }
    }),
  );
  return { url: `${server.url}/mcp`, requests };
}

async function start(servers: Record<string, object>, plugins: readonly Plugin[]) {
  const { url } = await use(startProxy({ servers, plugins: [mounts(), ...plugins] }));
  return asking(Number(new URL(url).port));
}

/** The same in this process, with what it logs. */
async function startLogged(servers: Record<string, object>, plugins: readonly Plugin[]) {
  const lines: string[] = [];
  const write = (text: LogText) => void lines.push(typeof text === "function" ? text() : text);
  const logger: Logger = { debug: write, info: write, warn: write, error: write };
  const penstock = createPenstock({ servers, plugins: [mounts(), ...plugins] } as never, { logger });
  const { port, close } = await penstock.serve({ port: 0 });
  await use(closeable({ close }));
  return { ask: asking(port), lines };
}

/** Sends one request over a connection of its own. */
function asking(port: number) {
  return async (path: string, fields: readonly string[], method = "POST") => {
    const client = await use(rawClient(port));
    const content = method === "POST" ? ["content-type: application/json", `content-length: ${call().length}`] : [];
    const head = [`${method} ${path} HTTP/1.1`, "host: localhost", ...fields, ...content];
    client.send(`${head.join("\r\n")}\r\n\r\n${method === "POST" ? call() : ""}`);
    return client.receiveResponse({ method });
  };
}

const METHODS = ["POST", "GET", "DELETE"];

describe("who gets in", () => {
  test.each([
    [`authorization: Bearer ${KEY}`, "anna"],
    [`Authorization: bearer  ${KEY}`, "anna"],
    [`x-api-key: ${KEY}`, "anna"],
    [`X-API-Key: ${OTHER}`, "bert"],
  ])("%s is %s; the log has the name, and never the key", async (field, name) => {
    const server = await recorder();
    const { ask, lines } = await startLogged({ one: server }, [apiKeys({ keys }), requestLog()]);
    for (const method of METHODS) expect((await ask("/mcp", [field], method)).status).toBe(200);
    expect(server.requests).toHaveLength(3);
    expect(lines.filter((line) => line.includes(` ${name} 200 `))).toHaveLength(3);
    expect(lines.join()).not.toMatch(/key-of-/);
  });

  test("the same key in both fields is one key", async () => {
    const ask = await start({ one: await recorder() }, [apiKeys({ keys })]);
    expect((await ask("/mcp", [`authorization: Bearer ${KEY}`, `x-api-key: ${KEY}`])).status).toBe(200);
  });

  const wrong = [
    [],
    ["authorization: Bearer"],
    ["authorization: Bearer "],
    [`authorization: ${KEY}`],
    [`authorization: Basic ${KEY}`],
    [`authorization: Bearer${KEY}`],
    [`authorization: Bearer ${KEY} ${KEY}`],
    [`authorization: Bearer ${KEY}, Bearer ${KEY}`],
    [`authorization: Bearer ${KEY}x`],
    [`authorization: Bearer ${KEY.slice(0, -1)}`],
    [`authorization: Bearer ${KEY.toUpperCase()}`],
    ["authorization: Bearer anna"],
    ["authorization: Bearer undefined"],
    [`authorization: Bearer ${"x".repeat(12_000)}`],
    [`x-api-key: Bearer ${KEY}`],
    ["x-api-key:"],
    [`x-own-key: ${KEY}`],
    [`cookie: x-api-key=${KEY}`],
    [`proxy-authorization: Bearer ${KEY}`],
    // Several at once: two that are good, one that is, and one twice.
    [`authorization: Bearer ${KEY}`, `x-api-key: ${OTHER}`],
    [`authorization: Bearer ${KEY}`, "x-api-key: 0123456789abcdef"],
    [`authorization: Bearer ${KEY}`, "x-api-key:"],
    ["authorization: Basic YTpi", `x-api-key: ${KEY}`],
    [`x-api-key: ${KEY}`, `x-api-key: ${KEY}`],
  ];
  test("whoever has no key, a wrong one or several gets one and the same answer", async () => {
    const server = await recorder();
    const ask = await start({ one: server }, [apiKeys({ keys })]);
    const answers = new Set<string>();
    for (const fields of wrong) {
      for (const method of METHODS) {
        const { status, headers, body } = await ask(`/mcp?key=${KEY}`, fields, method);
        const { date: _, ...kept } = headers;
        answers.add(JSON.stringify([status, kept, body]));
      }
    }
    expect(answers.size).toBe(1);
    const [status, headers, body] = JSON.parse([...answers][0]!) as [number, Record<string, string>, string];
    expect(status).toBe(401);
    expect(headers).toMatchObject({ "www-authenticate": "Bearer", "cache-control": "no-store" });
    expect(body).toContain("UNAUTHENTICATED");
    expect(server.requests).toHaveLength(0);
  });

  test.each([KEY, OTHER])("two Authorization fields are refused before anybody reads one", async (second) => {
    const server = await recorder();
    const ask = await start({ one: server }, [apiKeys({ keys })]);
    const { status } = await ask("/mcp", [`authorization: Bearer ${KEY}`, `authorization: Bearer ${second}`]);
    expect(status).toBe(400);
    expect(server.requests).toHaveLength(0);
  });

  test.each([`Bearer ${"x".repeat(65_536)}`, `Bearer ${KEY}${" ".repeat(2000)}x`, `Bearer${" ".repeat(1100)}${KEY}`])(
    "a value longer than any key is refused, and the process lives: %#",
    async (authorization) => {
      const server = await recorder();
      const servers = { one: { url: server.url, path: "/mcp" } };
      const penstock = createPenstock({ servers, plugins: [apiKeys({ keys })] });
      await use(closeable({ close: () => penstock.close() }));
      const ask = (value: string) => {
        const headers = { authorization: value, "content-type": "application/json" };
        return penstock.fetch(new Request("http://localhost/mcp", { method: "POST", body: call(), headers }));
      };
      expect((await ask(authorization)).status).toBe(401);
      expect(server.requests).toHaveLength(0);
      expect((await ask(`Bearer ${KEY}`)).status).toBe(200);
    },
  );

  test("names count apart in rate limits", async () => {
    const ask = await start({ one: await recorder() }, [apiKeys({ keys }), rateLimit({ perMinute: 1 })]);
    const status = async (key: string) => (await ask("/mcp", [`x-api-key: ${key}`])).status;
    expect([await status(KEY), await status(KEY), await status(OTHER)]).toEqual([200, 429, 200]);
  });

  test("in a server's plugins it asks at that server only", async () => {
    const [own, open] = [await recorder(), await recorder()];
    const ask = await start({ own: { url: own.url, plugins: [apiKeys({ keys })] }, open }, []);
    for (const method of METHODS) {
      expect((await ask("/own/mcp", [], method)).status).toBe(401);
      expect((await ask("/open/mcp", [], method)).status).toBe(200);
    }
    expect((await ask("/own/mcp", [`x-api-key: ${KEY}`])).status).toBe(200);
    expect([own.requests.length, open.requests.length]).toEqual([1, 3]);
  });

  test("routes that are not public know the caller, with scopes", async () => {
    const all = (["public", "principal", "details"] as const).map(
      (access) => ({ path: `/${access}`, access, does: "tell-caller" }) as const,
    );
    const ask = await start({ one: await recorder() }, [apiKeys({ keys }), routes(...all)]);
    const stranger = "x-forwarded-for: 192.0.2.7";
    const key = `x-api-key: ${OTHER}`;
    for (const path of ["/principal", "/details"]) {
      expect((await ask(path, [stranger], "GET")).status).toBe(401);
      const { body } = await ask(path, [stranger, key], "GET");
      expect(JSON.parse(body)).toEqual({ id: "bert", scopes: ["read"] });
    }
    expect((await ask("/public", [stranger, key], "GET")).body).toBe("null");
  });

  test("another plugin may know whom this one does not", async () => {
    const byToken: Plugin = {
      name: "by-token",
      authenticate: ({ headers }) =>
        headers.get("authorization") === "Bearer t" ? { id: "tom", scopes: [] } : undefined,
    };
    const ask = await start({ one: await recorder() }, [apiKeys({ keys }), byToken]);
    expect((await ask("/mcp", ["authorization: Bearer t"])).status).toBe(200);
    expect((await ask("/mcp", ["authorization: Bearer u"])).status).toBe(401);
  });

  test("with own `headers` only these are read", async () => {
    const ask = await start({ one: await recorder() }, [apiKeys({ keys, headers: ["X-Own-Key"] })]);
    expect((await ask("/mcp", [`x-own-key: ${KEY}`])).status).toBe(200);
    expect((await ask("/mcp", [`x-own-key: ${KEY}`, `x-own-key: ${KEY}`])).status).toBe(401);
    for (const field of [`x-api-key: ${KEY}`, `authorization: Bearer ${KEY}`])
      expect((await ask("/mcp", [field])).status).toBe(401);
  });
});

describe("options", () => {
  test.each([
    [{ keys: {} }, "at least one key"],
    [{}, "at least one key"],
    [{ keys: { ci: undefined } }, 'keys["ci"]: there is no key. Is its environment variable set?'],
    [{ keys: { ci: { key: undefined } } }, 'keys["ci"]: there is no key'],
    [{ keys: { ci: "" } }, 'keys["ci"]: a key has 16 to 1024'],
    [{ keys: { ci: "shhh-15-letters" } }, 'keys["ci"]: a key has 16 to 1024'],
    [{ keys: { ci: "shhh".repeat(300) } }, "a key has 16 to 1024"],
    [{ keys: { ci: "shhh with spaces and more" } }, "no spaces"],
    [{ keys: { ci: "shhh-ünïcödé-0123456789" } }, "visible ASCII"],
    [{ keys: { ci: 1234567890123456 } }, "a key has 16"],
    [{ keys: { ci: "shhhshhhshhhshhh" } }, 'keys["ci"]: the key is easily guessed'],
    [{ keys: { ci: "${shhh-variable}" } }, 'keys["ci"]: a placeholder'],
    [{ keys: { ci: "<your-shhh-key-here>" } }, 'keys["ci"]: a placeholder'],
    [{ keys: { ci: "shhh-change-me-please" } }, 'keys["ci"]: a placeholder'],
    [{ keys: { ci: null } }, "a key has 16"],
    [{ keys: { " ": "shhh-0123456789abcdef" } }, "needs a name"],
    [{ keys: { a: "shhh-0123456789abcdef", b: { key: "shhh-0123456789abcdef" } } }, "'a' and 'b' are the same key"],
    [{ keys: { ci: { key: "shhh-0123456789abcdef", scopes: "all" } } }, "scopes must be a list"],
    [{ keys: { ci: { key: "shhh-0123456789abcdef", scopes: [""] } } }, "scopes must be a list"],
    [{ keys: { ci: "shhh-0123456789abcdef" }, headers: [] }, "headers must name"],
    [{ keys: { ci: "shhh-0123456789abcdef" }, headers: ["a b"] }, "headers must name"],
  ])("%# stop the start, and say which key without showing it", (options, hint) => {
    let error: { code?: string; message?: string } = {};
    try {
      apiKeys(options as never);
    } catch (thrown) {
      error = thrown as typeof error;
    }
    expect(error.code).toBe("BAD_OPTION");
    expect(error.message).toContain("plugin 'api-keys'");
    expect(error.message).toContain(hint);
    expect(JSON.stringify([error.message, error])).not.toContain("shhh");
  });
});
