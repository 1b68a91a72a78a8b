import { expect, it } from "vitest";
import { rateLimit } from "mcp-penstock/plugins/rate-limit";
import { testPlugin } from "mcp-penstock/testing";

it("answers what is too much with 429, Retry-After and a JSON-RPC error, and does not ask the server", async () => {
  const test = await testPlugin(rateLimit({ perMinute: 2 }), { socket: true });
  expect((await test.request("tools/list")).status).toBe(200);
  expect((await test.request("tools/list")).status).toBe(200);
  const { status, headers, message } = await test.post({ id: "x-3", method: "tools/list" });
  expect(status).toBe(429);
  // Two a minute: the next one is there in half a minute.
  expect(Number(headers.get("retry-after"))).toBeGreaterThan(25);
  expect(Number(headers.get("retry-after"))).toBeLessThanOrEqual(30);
  expect(message).toMatchObject({ id: "x-3", error: { code: -31429, data: { code: "RATE_LIMITED" } } });
  expect(test.server.requests.length).toBe(2);
  await test.close();
});

it("counts principals and mounts apart", async () => {
  const test = await testPlugin(rateLimit({ perMinute: 1 }), { mounts: ["alpha", "beta"] });
  const status = async (mount: string, principal: string) =>
    (await test.request("ping", {}, { mount, principal })).status;
  expect(await status("alpha", "anna")).toBe(200);
  expect(await status("alpha", "bert")).toBe(200);
  expect(await status("beta", "anna")).toBe(200);
  expect(await status("alpha", "anna")).toBe(429);
  expect(await status("beta", "bert")).toBe(200);
  await test.close();
});

it("limits single tools beside the general rate, by name or pattern", async () => {
  const test = await testPlugin(
    rateLimit({ perMinute: 100, tools: { "delete_*": { perMinute: 1 }, echo: { perMinute: 60, burst: 2 } } }),
  );
  const call = async (name: string) => (await test.request("tools/call", { name })).status;
  expect([
    await call("delete_all"),
    await call("delete_one"),
    await call("echo"),
    await call("echo"),
    await call("echo"),
    await call("add"),
  ]).toEqual([200, 429, 200, 200, 429, 200]);
  await test.close();
});

it("takes no general token for a call that a tool's own limit refuses", async () => {
  const test = await testPlugin(rateLimit({ perMinute: 2, tools: { echo: { perMinute: 1 } } }));
  const call = async (name: string) => (await test.request("tools/call", { name })).status;
  expect([await call("echo"), await call("echo"), await call("add")]).toEqual([200, 429, 200]);
  await test.close();
});

it("gives tokens back evenly", async () => {
  // 600 a minute is one every 100 ms.
  const test = await testPlugin(rateLimit({ perMinute: 600, burst: 1 }));
  expect((await test.request("ping")).status).toBe(200);
  expect((await test.request("ping")).status).toBe(429);
  await new Promise((resolve) => setTimeout(resolve, 110));
  expect((await test.request("ping")).status).toBe(200);
  await test.close();
});

it("counts notifications, but not answers to a server's questions", async () => {
  const test = await testPlugin(rateLimit({ perMinute: 1 }));
  expect((await test.request("notifications/initialized")).status).toBe(202);
  expect((await test.request("ping")).status).toBe(429);
  expect((await test.post({ id: 5, result: {} })).status).toBe(202);
  await test.close();
});

it.each([
  [{ perMinute: 0 }],
  [{ perMinute: Number.NaN }],
  [{ perMinute: 5, burst: 0.5 }],
  [{ perMinute: 5, tools: { x: { perMinute: -1 } } }],
])("does not start with %o", (options) => {
  expect(() => rateLimit(options)).toThrow(/must be a number above 0/);
});
