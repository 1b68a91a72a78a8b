import type { App, Plugin } from "mcp-penstock";
import { describe, expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import { closeable } from "../_harness/loopback.ts";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { byName, failing, marking, routes } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { call, front, jsonAnswer, post } from "../_harness/wire.ts";

const use = testScope();
const servers = { one: { url: "http://127.0.0.1:9/mcp", path: "/mcp" } };

const serve = (plugins: unknown, more: object = {}) => use(startProxy({ servers, plugins, ...more }));

describe("who may call a route", () => {
  test("public: everybody, and nobody is asked for a credential", async () => {
    const { url } = await serve([byName(), routes({ path: "/open" })]);
    const answer = await fetch(`${url}/open`, { headers: { "x-name": "anna" } });
    expect(await answer.json()).toEqual({ who: null, trusted: false });
  });

  test("principal: who is known; where no plugin asks, everybody", async () => {
    const closed = await serve([byName(), routes({ path: "/own", access: "principal" })]);
    const refused = await fetch(`${closed.url}/own`);
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toBe("Bearer");
    expect(refused.headers.get("cache-control")).toBe("no-store");
    const known = await fetch(`${closed.url}/own`, { headers: { "x-name": "anna" } });
    expect(await known.json()).toEqual({ who: "anna", trusted: true });
    const open = await serve([routes({ path: "/own", access: "principal" })]);
    expect(await (await fetch(`${open.url}/own`)).json()).toMatchObject({ who: "anonymous" });
  });

  test("details: local callers, and known ones; a forwarding field makes a caller a stranger", async () => {
    const { url } = await serve([routes({ path: "/state", access: "details" })]);
    expect(await (await fetch(`${url}/state`)).json()).toEqual({ who: null, trusted: true });
    for (const field of ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
      expect((await fetch(`${url}/state`, { headers: { [field]: "127.0.0.1" } })).status).toBe(403);
    const asking = await serve([byName(), routes({ path: "/state", access: "details" })]);
    const stranger = { "x-forwarded-for": "10.0.0.1" };
    expect((await fetch(`${asking.url}/state`, { headers: stranger })).status).toBe(401);
    const known = await fetch(`${asking.url}/state`, { headers: { ...stranger, "x-name": "anna" } });
    expect(await known.json()).toEqual({ who: "anna", trusted: true });
  });

  test("a Host that is not this machine makes a caller a stranger, whatever its address", async () => {
    const { url } = await serve([routes({ path: "/state", access: "details" })]);
    const client = await use(rawClient(Number(new URL(url).port)));
    client.send("GET /state HTTP/1.1\r\nhost: evil.test\r\n\r\n");
    expect(await client.receiveResponse()).toMatchObject({ status: 403 });
  });

  test.each([{ access: undefined }, { access: "everyone" }, { method: "TRACE" }, { path: "state" }])(
    "a route that is not classified stops the start: %j",
    async (wrong) => {
      const penstock = createPenstock({ servers, plugins: [routes({ path: "/state", ...(wrong as object) })] });
      await expect(penstock.ready()).rejects.toMatchObject({ code: "BAD_OPTION", message: /plugin 'routes'/ });
      await penstock.close();
    },
  );
});

describe("methods of a route", () => {
  test("HEAD is GET without a body; what no plugin serves is 405 with Allow, on the paths of one or several plugins", async () => {
    const { url } = await serve([routes({ path: "/both" }), routes({ path: "/both", method: "POST" })]);
    const head = await fetch(`${url}/both`, { method: "HEAD" });
    expect(head.status).toBe(200);
    expect(await head.text()).toBe("");
    expect((await fetch(`${url}/both`, { method: "POST" })).status).toBe(200);
    for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const refused = await fetch(`${url}/both`, { method });
      expect(refused.status).toBe(405);
      expect(refused.headers.get("allow")).toBe("GET, POST, HEAD");
    }
  });

  test("a posted body is read within 256 KiB", async () => {
    const { url } = await serve([routes({ path: "/form", method: "POST", does: "echo" })]);
    const small = await fetch(`${url}/form`, { method: "POST", body: "ü=1" });
    expect(await small.text()).toBe("ü=1");
    const large = await fetch(`${url}/form`, { method: "POST", body: "x".repeat(300 * 1024) });
    expect(large.status).toBe(413);
  });

  test("what a handler throws names the plugin and shows nothing of the cause", async () => {
    const { url } = await serve([routes({ path: "/broken", does: "fail" })]);
    const answer = await fetch(`${url}/broken`);
    expect(answer.status).toBe(500);
    const text = await answer.text();
    expect(text).toContain("'routes'");
    expect(text).not.toContain("secret");
  });
});

describe("guards", () => {
  test("what a guard adds goes out with every answer: of a mount, a route, an error, and its own", async () => {
    const server = await use(
      rawServer(async (connection) => {
        for await (const _request of connection.requests()) connection.send(jsonAnswer("{}"));
      }),
    );
    const { url } = await use(front(server.url, [marking(), routes({ path: "/open" })]));
    const asked = [
      await fetch(`${url}/mcp`, { method: "POST", body: call(), headers: { "content-type": "application/json" } }),
      await fetch(`${url}/open`),
      await fetch(`${url}/nothing`),
      await fetch(`${url}/stop`),
    ];
    expect(asked.map(({ status }) => status)).toEqual([200, 200, 404, 403]);
    for (const answer of asked) expect(answer.headers.get("x-mark")).toBe("1");
    expect(asked[3]!.headers.get("vary")).toBe("Accept, Origin");
  });

  test("a guard in the list of one server stops the start: it would never run", () => {
    const guard: Plugin = { name: "own-guard", guard() {} };
    const own = { one: { ...servers.one, plugins: [guard] } };
    expect(() => createPenstock({ servers: own })).toThrow(/own-guard.*move it from servers\.one\.plugins/);
    expect(() => createPenstock({ servers: own, plugins: [guard] })).not.toThrow();
  });

  test("a guard that fails lets nobody pass, unless its plugin says skip", async () => {
    const closed = await serve([failing("guard"), routes({ path: "/open" })]);
    expect((await fetch(`${closed.url}/open`)).status).toBe(500);
    const open = await serve([failing("guard", "error", "skip"), routes({ path: "/open" })]);
    expect((await fetch(`${open.url}/open`)).status).toBe(200);
  });
});

describe("calls of a plugin's own", () => {
  test("pass the forward hooks behind the plugin, and no other hook; the body is the server's", async () => {
    const server = await use(
      rawServer(async (connection) => {
        for await (const { headers, body } of connection.requests())
          connection.send(jsonAnswer(JSON.stringify({ by: headers["x-by"] ?? "", own: headers["x-own"], body })));
      }),
    );
    const order: string[] = [];
    let app: App | undefined;
    const forwards = (name: string): Plugin => ({
      name,
      forward(exchange, request, next) {
        order.push(`${name} ${exchange.origin}`);
        request.headers.set("x-by", name);
        return next(request);
      },
      request: () => void order.push("request"),
      done: () => void order.push("done"),
    });
    const caller: Plugin = { name: "caller", setup: (view) => void (app = view) };
    const config = { servers: { one: { url: `${server.url}/mcp`, path: "/mcp" } } };
    const penstock = createPenstock({ ...config, plugins: [forwards("before"), caller, forwards("after")] });
    await use(closeable({ close: () => penstock.close() }));
    await penstock.ready();
    const { readJson } = await import("mcp-penstock");
    const answer = await app!.call(
      app!.mounts[0]!,
      { headers: new Headers({ "x-own": "1" }), body: { jsonrpc: "2.0", id: 1, method: "ping" } },
      { reason: "a test" },
    );
    expect(await readJson(answer)).toEqual({
      by: "after",
      own: "1",
      body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
    });
    expect(order).toEqual(["after proxy"]);
  });

  test("end with their signal, before the head and within the body", async () => {
    const server = await use(rawServer(async (connection) => void (await connection.receiveRequest())));
    let app: App | undefined;
    const caller: Plugin = { name: "caller", setup: (view) => void (app = view) };
    const penstock = createPenstock({ servers: { one: { url: server.url, path: "/mcp" } }, plugins: [caller] });
    await use(closeable({ close: () => penstock.close() }));
    await penstock.ready();
    const stop = new AbortController();
    const answer = app!.call(app!.mounts[0]!, { method: "GET", signal: stop.signal }, { reason: "a test" });
    const connection = await server.connection();
    stop.abort();
    await expect(answer).rejects.toMatchObject({ code: "CLIENT_GONE" });
    await connection.closed;
  });
});

describe("credentials", () => {
  test.each([
    ["401 Unauthorized", 'WWW-Authenticate: Bearer resource_metadata="http://internal/"\r\n', 502],
    ["403 Forbidden", 'WWW-Authenticate: Bearer error="insufficient_scope"\r\n', 502],
    ["403 Forbidden", "", 403],
  ])("%s (%j) of a server about the proxy's own credential is %i for the client", async (status, headers, expected) => {
    const server = await use(
      rawServer(async (connection) => {
        for await (const _request of connection.requests()) connection.send(jsonAnswer("{}", status, headers));
      }),
    );
    const client = await use(rawClient((await use(front(server.url))).port));
    client.send(post(call(7)));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(expected);
    expect(answer.headers["www-authenticate"]).toBeUndefined();
    if (expected === 502)
      expect(JSON.parse(answer.body)).toMatchObject({ id: 7, error: { data: { code: "UPSTREAM_UNAUTHORIZED" } } });
  });
});
