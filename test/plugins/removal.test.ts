/** What each plugin of the default preset is there for: with it, and without it. The README's table says the same. */
import { expect, test } from "vitest";
import { connectV1 } from "../_harness/clients.ts";
import { standard } from "../_harness/plugins.ts";
import { gate, rawClient, rawServer } from "../_harness/peers.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";
import { SSE_HEAD, call, chunk, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const CHALLENGE = 'www-authenticate: Bearer resource_metadata="http://internal.test/prm"\r\n';

/** A server that has no event stream, and wants a login where it is asked for `ping`. */
async function server() {
  return use(
    rawServer(async (connection) => {
      for await (const { method, body } of connection.requests()) {
        if (method === "GET") connection.send(jsonAnswer("{}", "404 Not Found"));
        else if (body.includes("ping")) connection.send(jsonAnswer("{}", "401 Unauthorized", CHALLENGE));
        else connection.send(`${SSE_HEAD}${chunk('data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n')}${chunk("")}`);
      }
    }),
  );
}

/** Asks a proxy with the preset, and one that lacks a plugin of it. */
async function withAndWithout<T>(name: string, ask: (port: number) => Promise<T>, more: object = {}) {
  const { url } = await server();
  const found: T[] = [];
  for (const plugins of [standard(), standard().filter((plugin) => plugin.name !== name)]) {
    const servers = { docs: { url: `${url}/mcp`, path: ["/docs/mcp"], ...more } };
    found.push(await ask(Number(new URL((await use(startProxy({ servers, plugins }))).url).port)));
  }
  return { with: found[0]!, without: found[1]! };
}

async function send(port: number, request: string) {
  const client = await use(rawClient(port));
  client.send(request);
  return client.receiveResponse();
}

test("host-guard: without it a foreign Host is served", async () => {
  const foreign = post(call(), "/docs/mcp").replace("host: localhost", "host: evil.test");
  const { with: guarded, without } = await withAndWithout("host-guard", (port) => send(port, foreign));
  expect([guarded.status, without.status]).toEqual([403, 200]);
});

test("mounts: without it only servers with a path are reachable", async () => {
  const ask = async (port: number) => (await send(port, post(call(), "/docs/mcp"))).status;
  expect(await withAndWithout("mounts", ask, { path: undefined })).toEqual({ with: 200, without: 404 });
  expect(await withAndWithout("mounts", ask)).toEqual({ with: 200, without: 200 });
});

test("request-log: without it answers have no id", async () => {
  const ask = async (port: number) => (await send(port, post(call(), "/docs/mcp"))).headers["x-request-id"];
  const { with: logged, without } = await withAndWithout("request-log", ask);
  expect(logged).toMatch(/./);
  expect(without).toBeUndefined();
});

test("oauth-root: without it the root of the origin knows nothing of logins", async () => {
  const ask = async (port: number) => (await send(port, plain("GET", "/.well-known/oauth-authorization-server"))).body;
  const { with: told, without } = await withAndWithout("oauth-root", ask);
  expect(told).toContain("/{server}/");
  expect(without).toContain("NOT_FOUND");
});

test("oauth-relay: without it a challenge names the server, where clients cannot follow it", async () => {
  const ask = async (port: number) =>
    (await send(port, post(call(1, "ping"), "/docs/mcp"))).headers["www-authenticate"];
  const { with: rewritten, without } = await withAndWithout("oauth-relay", ask, { auth: "passthrough" });
  expect(rewritten).toMatch(
    /resource_metadata="http:\/\/localhost\/\.well-known\/oauth-protected-resource\/docs\/mcp"/,
  );
  expect(without).toContain("http://internal.test/prm");
});

test("health: without it there is nothing to check on, and a 404 to the optional stream reaches the client", async () => {
  const ask = async (port: number) => [
    (await send(port, plain("GET", "/healthz"))).status,
    (await send(port, plain("GET", "/docs/mcp", "accept: text/event-stream\r\n"))).status,
  ];
  expect(await withAndWithout("health", ask)).toEqual({ with: [200, 405], without: [404, 404] });
});

test("sse-relay: without it streams flow all the same, but tell nobody in between not to buffer them", async () => {
  for (const [plugins, header] of [
    [standard(), "no"],
    [standard().filter(({ name }) => name !== "sse-relay"), undefined],
  ] as const) {
    const second = gate();
    const upstream = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(`${SSE_HEAD}${chunk("data: 1\n\n")}`);
        await second.promise;
        connection.send(`${chunk("data: 2\n\n")}${chunk("")}`);
      }),
    );
    const servers = { docs: { url: `${upstream.url}/mcp` } };
    const client = await use(rawClient(Number(new URL((await use(startProxy({ servers, plugins }))).url).port)));
    client.send(post(call(), "/docs/mcp"));
    await client.receive(/data: 1\n\n/);
    expect(/x-accel-buffering: (\w+)/i.exec(client.received)?.[1]).toBe(header);
    second.open();
    await client.receive(/data: 2\n\n/);
  }
});

/** A server that breaks off at the first `times` requests. */
async function breaking(times: number) {
  let left = times;
  return use(
    rawServer(async (connection) => {
      for await (const _request of connection.requests()) {
        if (left-- > 0) return connection.reset();
        connection.send(jsonAnswer('{"jsonrpc":"2.0","id":1,"result":{}}'));
      }
    }),
  );
}

test("retry: without it a server that breaks off once is an error to the client", async () => {
  for (const [plugins, status] of [
    [standard(), 200],
    [standard().filter(({ name }) => name !== "retry"), 502],
  ] as const) {
    const servers = { docs: { url: `${(await breaking(1)).url}/mcp` } };
    const { url } = await use(startProxy({ servers, plugins }));
    expect((await send(Number(new URL(url).port), post(call(), "/docs/mcp"))).status).toBe(status);
  }
});

test("breaker: without it a server that fails is asked every time", async () => {
  for (const [plugins, last, asked] of [
    [standard(), 503, 5],
    [standard().filter(({ name }) => name !== "breaker"), 502, 8],
  ] as const) {
    const upstream = await breaking(100);
    const { url } = await use(startProxy({ servers: { docs: { url: `${upstream.url}/mcp` } }, plugins }));
    const statuses: number[] = [];
    for (let i = 0; i < 8; i++)
      statuses.push((await send(Number(new URL(url).port), post(call(1, "tools/call"), "/docs/mcp"))).status);
    expect([statuses.at(-1), upstream.requests]).toEqual([last, asked]);
  }
});

test("timeout: without it a legacy server is not told that nobody waits any longer", async () => {
  for (const [plugins, told] of [
    [standard(), 1],
    [standard().filter(({ name }) => name !== "timeout"), 0],
  ] as const) {
    const bodies: string[] = [];
    const upstream = await use(
      rawServer(async (connection) => {
        for await (const { body } of connection.requests()) {
          bodies.push(body);
          if (body.includes("ping")) connection.send(jsonAnswer('{"jsonrpc":"2.0","id":1,"result":{}}'));
          else if (body.includes("cancelled")) connection.send("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        }
      }),
    );
    const servers = { docs: { url: `${upstream.url}/mcp`, timeouts: { call: 60 } } };
    const port = Number(new URL((await use(startProxy({ servers, plugins }))).url).port);
    expect((await send(port, post(call(1, "tools/call"), "/docs/mcp"))).status).toBe(504);
    // A request behind it: by then the server would have been told.
    await expect.poll(() => bodies.filter((body) => body.includes("cancelled")).length).toBe(told);
    expect((await send(port, post(call(1, "ping"), "/docs/mcp"))).status).toBe(200);
    expect(bodies.filter((body) => body.includes("cancelled"))).toHaveLength(told);
  }
});

test("sessions: without it ids are those of the server, and who has none is refused where the server wants one", async () => {
  const upstream = await use(startLegacyServer());
  const seen: unknown[] = [];
  for (const plugins of [standard(), standard().filter(({ name }) => name !== "sessions")]) {
    const { url } = await use(startProxy({ servers: { docs: { url: upstream.url } }, plugins }));
    const curl = await send(Number(new URL(url).port), post(call(), "/docs/mcp"));
    const { transport } = await use(connectV1(`${url}/docs/mcp`));
    seen.push([curl.status, upstream.sessions.includes(transport.sessionId!)]);
  }
  expect(seen).toEqual([
    [200, false],
    [400, true],
  ]);
});
