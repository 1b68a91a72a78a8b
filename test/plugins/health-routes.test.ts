/** What load balancers and people ask: `/healthz`, `/readyz`, `/health`. */
import { type Plugin, createPenstock } from "mcp-penstock";
import { describe, expect, test } from "vitest";
import { byName, closed, health } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";

const use = testScope();

async function serve(url: string, options = {}, plugins: Plugin[] = []) {
  const proxy = await use(
    startProxy({
      servers: { docs: { url, path: "/mcp" } },
      plugins: [health({ interval: 30_000, ...options }), ...plugins],
    }),
  );
  return { get: (path: string, init?: RequestInit) => fetch(proxy.url + path, init) };
}

const DEAD = "http://127.0.0.1:9/mcp";

test("/healthz and /readyz say one word, to everybody, whatever the servers do", async () => {
  const proxy = await serve(DEAD);
  await proxy.get("/health");
  for (const [path, body] of [
    ["/healthz", { status: "ok" }],
    ["/readyz", { status: "ready" }],
  ] as const) {
    const answer = await proxy.get(path, { headers: { "x-forwarded-for": "203.0.113.7" } });
    expect([answer.status, answer.headers.get("cache-control")]).toEqual([200, "no-store"]);
    expect(await answer.json()).toEqual(body);
    const head = await proxy.get(path, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect((await proxy.get(path, { method: "POST" })).status).toBe(405);
  }
});

test("they ask nobody who is calling", async () => {
  const proxy = await serve(DEAD, {}, [closed()]);
  expect((await proxy.get("/healthz")).status).toBe(200);
  expect((await proxy.get("/readyz")).status).toBe(200);
  expect((await proxy.get("/health", { headers: { "x-forwarded-for": "203.0.113.7" } })).status).toBe(401);
});

describe("/health", () => {
  test("answers at once, and what it set off is there the next time", async () => {
    const server = await use(startLegacyServer());
    const proxy = await serve(server.url, { initialDelay: 60_000 });
    const first = await proxy.get("/health");
    expect(first.headers.get("cache-control")).toBe("no-store");
    expect(await first.json()).toMatchObject({ status: "unknown", servers: { docs: { status: "unknown" } } });
    await server.request(({ method }) => method === "DELETE");
    // The answer to the DELETE is the end of the probe.
    await expect
      .poll(async () => (await proxy.get("/health")).json())
      .toEqual({
        proxy: "penstock",
        status: "healthy",
        servers: {
          docs: {
            status: "healthy",
            since: expect.stringMatching(/^\d{4}-.*Z$/),
            era: "legacy",
            version: "2025-11-25",
            transport: "http",
            latencyMs: expect.any(Number),
            push: { available: true, reason: "event stream" },
            upstream: new URL(server.url).origin,
          },
        },
      });
    expect(server.requests.filter(({ method }) => method === "GET")).toHaveLength(1);
  });

  test("is refused to callers from elsewhere, and shows known ones no address", async () => {
    const away = { headers: { "x-forwarded-for": "203.0.113.7", "x-name": "anna" } };
    const proxy = await serve(DEAD, { interval: 0 });
    expect((await proxy.get("/health", away)).status).toBe(403);
    const guarded = await serve(DEAD, { interval: 0 }, [byName()]);
    const answer = await guarded.get("/health", away);
    expect(answer.status).toBe(200);
    const text = await answer.text();
    expect(JSON.parse(text)).toMatchObject({ status: "unknown", servers: { docs: { status: "unknown" } } });
    expect(text).not.toContain("127.0.0.1");
  });

  test("with an interval of 0 nothing is ever asked", async () => {
    const server = await use(startLegacyServer());
    const proxy = await serve(server.url, { interval: 0, initialDelay: 0 });
    await proxy.get("/health");
    await proxy.get("/health");
    expect(server.requests).toEqual([]);
  });
});

describe("while the proxy stops /readyz is 503 and /healthz still 200", () => {
  test("in a host of one's own", async () => {
    const penstock = createPenstock({
      servers: { docs: { url: DEAD, path: "/mcp" } },
      plugins: [health({ interval: 0 })],
    });
    await penstock.ready();
    penstock.drain();
    const ready = await penstock.fetch(new Request("http://localhost/readyz"));
    expect([ready.status, await ready.json()]).toEqual([503, { status: "draining" }]);
    expect((await penstock.fetch(new Request("http://localhost/healthz"))).status).toBe(200);
    await penstock.close();
  });
});
