/** Whose word counts for the URL under which clients know the proxy; over sockets: `test/faults/auth-forwarding.test.ts`. */
import { describe, expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import { createPenstock as createFromSource } from "../../core/app.ts";
import { describeRoutes } from "../../core/cli/describe.ts";
import { banner } from "../../core/cli/report.ts";
import { risksOf } from "../../core/cli/risks.ts";
import { addressSet, parseAddress } from "../../core/addresses.ts";
import { forwardedOrigin } from "../../core/forwarding.ts";

const servers = { docs: { url: "http://127.0.0.1:9/mcp", path: "/docs/mcp" } };

test.each([
  [{ trustedProxies: ["loopback", "10.0.0.0/33"] }, '"10.0.0.0/33"'],
  [{ trustedProxies: ["proxy.internal"] }, '"proxy.internal"'],
  [{ trustedProxies: ["127.1"] }, '"127.1"'],
  [{ trustedProxies: [""] }, '""'],
  [{ trustedProxies: [7] }, "7"],
  [{ trustedProxies: "loopback" }, '"loopback"'],
  [{ publicUrl: "mcp.example.com" }, "publicUrl"],
  [{ publicUrl: "https://user@mcp.example.com" }, "publicUrl"],
])("%j stops the start", (config, named) => {
  expect(() => createPenstock({ servers, ...config } as never)).toThrow(named);
});

describe("blocks of addresses", () => {
  test.each<[string[], string, boolean]>([
    [["loopback"], "127.8.8.8", true],
    [["loopback"], "::1", true],
    [["loopback"], "::ffff:127.0.0.1", true],
    [["loopback"], "128.0.0.1", false],
    [["loopback"], "", false],
    [["10.0.0.0/8"], "10.255.0.1", true],
    [["10.0.0.0/8"], "11.0.0.0", false],
    [["10.0.0.0/8"], "::ffff:a01:203", true],
    [["192.168.4.0/22"], "192.168.7.255", true],
    [["192.168.4.0/22"], "192.168.8.0", false],
    [["0.0.0.0/0"], "203.0.113.9", true],
    [["0.0.0.0/0"], "2001:db8::1", false],
    [["::/0"], "203.0.113.9", true],
    [["2001:db8::/33"], "2001:db8:7fff::1", true],
    [["2001:db8::/33"], "2001:db8:8000::1", false],
    [["fe80::/10"], "fe80::1%eth0", true],
    [["2001:DB8::1"], "2001:db8:0:0:0:0:0:1", true],
    [["192.0.2.1"], "192.0.2.2", false],
    [[], "127.0.0.1", false],
  ])("%j has %s: %s", (entries, address, expected) => {
    const set = addressSet(entries);
    expect(typeof set === "function" && set(address)).toBe(expected);
  });

  test.each([
    "",
    "1.2.3",
    "1.2.3.4.5",
    "256.0.0.1",
    "010.0.0.1",
    "0x7f.1",
    "1:2:3",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "::12345",
    "::1.2.3",
    "[::1]",
    "a.b.c.d",
    " 1.2.3.4",
  ])("%j is no address", (text) => expect(parseAddress(text)).toBeUndefined());
});

test.each([
  ["commas", (n: number) => ",".repeat(n)],
  ["an open quote", (n: number) => `for="${"\\a".repeat(n / 2)}`],
  ["pairs", (n: number) => "for=a,".repeat(n / 6)],
  ["blanks", (n: number) => `for=a${" ".repeat(n)}b`],
])("100 KB of %s are read within 50 ms", (_name, make) => {
  const trusted = () => true;
  const read = (text: string) => {
    const headers = new Headers();
    for (const name of ["forwarded", "x-forwarded-for", "x-forwarded-host"]) headers.set(name, text);
    const start = performance.now();
    forwardedOrigin(headers, "127.0.0.1", trusted);
    return performance.now() - start;
  };
  expect(Math.min(read(make(100_000)), read(make(100_000)))).toBeLessThan(50);
});

describe("what the command line says", () => {
  const login = { name: "login", authenticate() {} };
  const risks = (config: object, host: string | undefined) => {
    const whole = { servers, plugins: [{ name: "guards", guard() {} }, login], ...config };
    return risksOf(createFromSource(whole), whole, host);
  };

  test("a start that others reach, where callers log in, and with no word about its URL, warns once and says what to do", () => {
    expect(risks({}, "0.0.0.0")).toEqual([expect.stringMatching(/Set publicUrl .* or trustedProxies/)]);
    expect(risks({ plugins: [{ name: "guards", guard() {} }] }, "0.0.0.0")).toEqual([]);
    const passing = { docs: { ...servers.docs, auth: "passthrough" as const } };
    expect(risks({ plugins: [{ name: "guards", guard() {} }], servers: passing }, "::")).toHaveLength(1);
  });

  test.each([
    [{}, "127.0.0.1"],
    [{}, undefined],
    [{ publicUrl: "https://gw.example.com" }, "0.0.0.0"],
    [{ trustedProxies: ["10.0.0.0/8"] }, "0.0.0.0"],
  ])("%j on %s does not", (config, host) => expect(risks(config, host)).toEqual([]));

  test("the lines of the start and of `routes` name the configured URL, and well-known documents at its origin", async () => {
    const path = "/.well-known/x";
    const documents = {
      name: "documents",
      setup: (app: { route(route: object): void }) =>
        app.route({ method: "GET", path, access: "public", handler: () => new Response() }),
    };
    const config = { servers, publicUrl: "https://gw.example.com/team", plugins: [documents] };
    const penstock = createFromSource(config as never);
    await penstock.ready();
    const printed = banner(penstock, "http://0.0.0.0:3333", "title", undefined);
    expect(printed).toContain("claude mcp add --transport http docs https://gw.example.com/team/docs/mcp");
    expect(printed).not.toContain("0.0.0.0");
    expect(describeRoutes(penstock, penstock.publicUrl).map(({ url }) => url)).toEqual([
      "https://gw.example.com/.well-known/x",
      "https://gw.example.com/team/docs/mcp",
    ]);
    await penstock.close();
  });
});
