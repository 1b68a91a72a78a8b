/** What the guard decides where a test cannot listen; over sockets it is proved in `test/faults/auth-host.test.ts`. */
import { type Plugin, type RequestHead, createPenstock } from "mcp-penstock";
import { hostGuard, routes } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";

const DOCUMENT = "/.well-known/oauth-protected-resource/mcp";

/** What a guard alone says, for configurations that a test cannot listen with. */
function verdict(guard: Plugin, headers: Record<string, string>, publicUrl = `http://${headers.host}`): number {
  const head = { method: "POST", headers: new Headers(headers), url: new URL(`http://localhost/mcp`), publicUrl };
  try {
    guard.guard!(head as RequestHead, new Headers());
    return 200;
  } catch (error) {
    return (error as { status: number }).status;
  }
}

describe("Host", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7:3333", 200],
    ["2001:db8::7", "[2001:db8::7]", 200],
    ["0.0.0.0", "0.0.0.0", 403],
    ["::", "[::]", 403],
  ])("listening on %s: %s is %i", (host, asked, status) => {
    const guard = hostGuard();
    guard.config!({ servers: {}, host });
    expect(verdict(guard, { host: asked })).toBe(status);
  });

  test("the Host that a trusted proxy passes on counts as well", () => {
    const guard = hostGuard();
    guard.config!({ servers: {}, trustedProxies: ["loopback"] });
    expect(verdict(guard, { host: "localhost" }, "http://localhost")).toBe(200);
    expect(verdict(guard, { host: "localhost" }, "https://evil.test")).toBe(403);
  });

  test("many names do not get in the way of others, or of what is refused", async () => {
    const servers = { one: { url: "http://127.0.0.1:9/mcp", path: "/mcp" } };
    const penstock = createPenstock({ servers, plugins: [hostGuard(), routes({ path: DOCUMENT })] });
    const status = async (host: string) => (await penstock.fetch(new Request(`http://${host}${DOCUMENT}`))).status;
    for (let i = 0; i < 300; i++) expect(await status(`n${i}.localhost`)).toBe(200);
    expect([await status("localhost"), await status("n0.localhost"), await status("n0.evil.test")]).toEqual([
      200, 200, 403,
    ]);
    await penstock.close();
  });
});

describe("options", () => {
  test.each([
    [{ hosts: ["https://a.test"] }],
    [{ hosts: ["*"] }],
    [{ hosts: ["*.192.0.2.7"] }],
    [{ hosts: ["a.*.test"] }],
    [{ hosts: ["a.test/x"] }],
    [{ hosts: ["u@a.test"] }],
    [{ hosts: ["a.test:99999"] }],
    [{ hosts: ["a.test:*"] }],
    [{ hosts: [""] }],
    [{ hosts: [7] }],
    [{ hosts: "a.test" }],
    [{ origins: ["a.test"] }],
    [{ origins: ["*"] }],
    [{ origins: ["https://*"] }],
    [{ origins: ["https://a.test/"] }],
    [{ origins: ["https://u@a.test"] }],
    [{ origins: ["https://a.test:80:*"] }],
    [{ origins: ["https://loopback"] }],
    [{ origins: [/a/] }],
    [{ allowHeaders: ["a b"] }],
    [{ publicPaths: ["/x"] }],
    [{ publicPaths: ["x/"] }],
  ])("%j stop the start", (options) => {
    const wrong = Object.keys(options)[0];
    expect(() => hostGuard(options as never)).toThrow(
      expect.objectContaining({ code: "BAD_OPTION", message: expect.stringMatching(`plugin 'host-guard'.* ${wrong}`) }),
    );
  });
});
