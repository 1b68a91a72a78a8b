/** Under which URL clients know the proxy (AU-06): whose word counts, hop by hop. */
import { describe, expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import { addressSet, parseAddress } from "../../core/addresses.ts";
import { forwardedOrigin } from "../../core/forwarding.ts";
import { rawClient } from "../_harness/peers.ts";
import { routes } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();
const servers = { docs: { url: "http://127.0.0.1:9/mcp", path: "/docs/mcp" } };

/** What the proxy believes. @param fields header lines @param trustedProxies the peer of this test is a loopback address */
async function told(fields: readonly string[], trustedProxies?: string[], publicUrl?: string): Promise<string> {
  const proxy = await use(
    startProxy({ servers, plugins: [routes({ path: "/tell", does: "tell-url" })], trustedProxies, publicUrl }),
  );
  const client = await use(rawClient(Number(new URL(proxy.url).port)));
  client.send(["GET /tell HTTP/1.1", "host: inner:8080", ...fields, "", ""].join("\r\n"));
  return (await client.receiveResponse()).body;
}

const OWN = "http://inner:8080";
const ONE = ["loopback"];
const TWO = ["loopback", "10.0.0.0/8"];
const OUTER = "https://gw.example.com";

test.each<[string, string[] | undefined, string[], string]>([
  // Untrusted: whatever is said is the client's own claim.
  ["nobody is trusted", undefined, ["x-forwarded-host: evil.test", "x-forwarded-proto: https"], OWN],
  ["an empty list trusts nobody", [], ["x-forwarded-host: evil.test"], OWN],
  ["the peer is not among the trusted", ["10.0.0.0/8"], ["x-forwarded-host: evil.test"], OWN],
  ["the same with Forwarded", ["10.0.0.0/8"], ["forwarded: host=evil.test;proto=https"], OWN],
  // One trusted hop.
  ["host and scheme", ONE, ["x-forwarded-host: gw.example.com", "x-forwarded-proto: https"], OUTER],
  ["the same with Forwarded", ONE, ["forwarded: for=192.0.2.1;host=gw.example.com;proto=https"], OUTER],
  ["scheme only, the Host is preserved", ONE, ["x-forwarded-proto: https"], "https://inner:8080"],
  ["upper case", ONE, ["X-Forwarded-Host: GW.Example.COM", "X-Forwarded-Proto: HTTPS"], OUTER],
  ["a port of its own", ONE, ["x-forwarded-host: gw.example.com:8443", "x-forwarded-proto: https"], `${OUTER}:8443`],
  [
    "a port apart",
    ONE,
    ["x-forwarded-host: gw.example.com", "x-forwarded-proto: https", "x-forwarded-port: 8443"],
    `${OUTER}:8443`,
  ],
  [
    "the scheme's own port",
    ONE,
    ["x-forwarded-host: gw.example.com", "x-forwarded-proto: https", "x-forwarded-port: 443"],
    OUTER,
  ],
  [
    "IPv6",
    ONE,
    ['forwarded: for="[2001:db8::1]:4711";host="[2001:db8::2]:8443";proto=https'],
    "https://[2001:db8::2]:8443",
  ],
  [
    "what a client put in front of it",
    ONE,
    [
      "x-forwarded-for: 10.0.0.9, 192.0.2.1",
      "x-forwarded-host: evil.test, gw.example.com",
      "x-forwarded-proto: http, https",
    ],
    OUTER,
  ],
  [
    "the same with Forwarded",
    ONE,
    ["forwarded: for=10.0.0.9;host=evil.test, for=192.0.2.1;host=gw.example.com;proto=https"],
    OUTER,
  ],
  [
    "in two fields",
    ONE,
    ["forwarded: for=10.0.0.9;host=evil.test", "forwarded: for=192.0.2.1;host=gw.example.com;proto=https"],
    OUTER,
  ],
  // Two: client 192.0.2.1 ▶ 10.0.0.1 ▶ the peer ▶ here.
  [
    "each adds, the outer one counts",
    TWO,
    [
      "x-forwarded-for: 192.0.2.1, 10.0.0.1",
      "x-forwarded-host: gw.example.com, middle:81",
      "x-forwarded-proto: https, http",
    ],
    OUTER,
  ],
  [
    "and nothing before it",
    TWO,
    [
      "x-forwarded-for: 10.9.9.9, 192.0.2.1, 10.0.0.1",
      "x-forwarded-host: evil.test, gw.example.com, middle:81",
      "x-forwarded-proto: http, https, http",
    ],
    OUTER,
  ],
  [
    "the inner one passes on what the outer one set",
    TWO,
    ["x-forwarded-for: 192.0.2.1, 10.0.0.1", "x-forwarded-host: gw.example.com", "x-forwarded-proto: https"],
    OUTER,
  ],
  [
    "with Forwarded",
    TWO,
    [
      "forwarded: for=10.9.9.9;host=evil.test, for=192.0.2.1;host=gw.example.com;proto=https, for=10.0.0.1;host=middle;proto=http",
    ],
    OUTER,
  ],
  [
    "what the outer one left out, the inner one tells",
    TWO,
    ["forwarded: for=192.0.2.1;proto=https, for=10.0.0.1;host=gw.example.com;proto=http"],
    OUTER,
  ],
  [
    "only one of the two is trusted",
    ONE,
    ["x-forwarded-for: 192.0.2.1, 10.0.0.1", "x-forwarded-host: evil.test, middle", "x-forwarded-proto: https, http"],
    "http://middle",
  ],
  // Garbage.
  ["no host", ONE, ["x-forwarded-host: evil/path?x", "x-forwarded-proto: https"], "https://inner:8080"],
  ["a user", ONE, ["x-forwarded-host: a@evil.test"], OWN],
  ["an impossible port", ONE, ["x-forwarded-host: evil.test:99999"], OWN],
  ["a broken address", ONE, ["x-forwarded-host: [::1"], OWN],
  [
    "another scheme",
    ONE,
    ["x-forwarded-proto: javascript", "x-forwarded-host: gw.example.com"],
    "http://gw.example.com",
  ],
  [
    "lists of which nobody can tell whose is which",
    ONE,
    ["x-forwarded-for: 192.0.2.1", "x-forwarded-host: evil.test, gw.example.com"],
    OWN,
  ],
  ["a Forwarded that is none", ONE, ["forwarded: host=evil.test;;;="], OWN],
  ["an open quote", ONE, ['forwarded: host="evil.test'], OWN],
  ["a name twice", ONE, ["forwarded: host=a.test;host=b.test"], OWN],
  [
    "both kinds, at odds",
    ONE,
    ["forwarded: host=evil.test;proto=https", "x-forwarded-host: gw.example.com", "x-forwarded-proto: https"],
    "https://inner:8080",
  ],
  [
    "a prefix is never believed",
    ONE,
    ["x-forwarded-host: gw.example.com", "x-forwarded-proto: https", "x-forwarded-prefix: /evil"],
    OUTER,
  ],
])("%s (trusted: %j)", async (_name, trusted, fields, expected) => {
  expect(await told(fields, trusted)).toBe(expected);
});

test("the configured URL wins over everything, with its prefix and without its slash", async () => {
  const fields = ["x-forwarded-host: evil.test", "forwarded: host=evil.test"];
  expect(await told(fields, ONE, "https://MCP.example.com:443/team/")).toBe("https://mcp.example.com/team");
});

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
