/** Options and log of `breaker`; what opens and closes it on the wire is in `test/faults/lifecycle-breaker.test.ts`. */
import { ProxyError } from "mcp-penstock";
import { breaker } from "mcp-penstock/plugins/breaker";
import { fakeServer, testPlugin } from "mcp-penstock/testing";
import { expect, test } from "vitest";

test("one line when it opens, one when it closes, none for what is refused meanwhile", async () => {
  let isWell = false;
  const server = fakeServer(() => {
    if (!isWell) throw new ProxyError("UPSTREAM_BROKE");
  });
  const kit = await testPlugin(breaker({ backoff: 20 }), { server });
  for (let i = 0; i < 20; i++) await kit.request("ping");
  isWell = true;
  await expect.poll(async () => (await kit.request("ping")).status).toBe(200);
  const lines = kit.log.filter((line) => /left alone|answers again/.test(line) && !line.startsWith("debug"));
  expect(lines).toEqual([
    "warn alpha: 5 failures in a row (the last: UPSTREAM_BROKE); it is left alone for a moment",
    expect.stringMatching(/^info alpha answers again, after \d+ s$/),
  ]);
  expect(kit.log.filter((line) => /^(?:warn|error)/.test(line) && line.includes("SERVER_SUSPENDED"))).toEqual([]);
  await kit.close();
});

test("a mount of its own: what one server does is nothing to another", async () => {
  const server = fakeServer(({ server: name }) => {
    if (name === "alpha") throw new ProxyError("UPSTREAM_BROKE");
  });
  const kit = await testPlugin(breaker({ failures: 1, backoff: 60_000, maxBackoff: 60_000 }), {
    server,
    mounts: ["alpha", "beta"],
  });
  await kit.request("ping", undefined, { mount: "alpha" });
  expect((await kit.request("ping", undefined, { mount: "alpha" })).status).toBe(503);
  expect((await kit.request("ping", undefined, { mount: "beta" })).status).toBe(200);
  await kit.close();
});

test("the end of a session is let through", async () => {
  const server = fakeServer(({ method }) => {
    if (method === "POST") throw new ProxyError("UPSTREAM_BROKE");
  });
  const kit = await testPlugin(breaker({ failures: 1, backoff: 60_000, maxBackoff: 60_000 }), { server });
  await kit.request("ping");
  expect((await kit.fetch({ method: "DELETE" })).status).toBe(200);
  expect((await kit.request("ping")).status).toBe(503);
  await kit.close();
});

test.each([
  [{ failures: 0 }, /failures/],
  [{ failures: 1.5 }, /failures/],
  [{ backoff: 0 }, /backoff/],
  [{ backoff: 500, maxBackoff: 100 }, /maxBackoff/],
  [{ backoff: Number.NaN }, /backoff/],
])("refuses %o", (options, message) => expect(() => breaker(options)).toThrow(message));
