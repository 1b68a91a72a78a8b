/** A Host or a target that could lead elsewhere than it says is refused before anything looks at it. */
import { hostGuard, routes, teapot, tellTarget } from "../_harness/plugins.ts";
import { rawClient } from "../_harness/peers.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { call, jsonAnswer } from "../_harness/wire.ts";
import { describe, expect, test } from "vitest";
import { asking } from "./asking.ts";

const use = testScope();

/** A proxy whose every path leads to one server. */
async function start(plugins: readonly object[]) {
  const upstream = await scripted(() => jsonAnswer("{}"));
  await use(upstream.server);
  const servers = { one: { url: `${upstream.server.url}/mcp`, path: ["/mcp", "/all/**"] } };
  const { url } = await use(startProxy({ servers, plugins }));
  const port = Number(new URL(url).port);
  return { upstream, port, ask: asking(use, port) };
}

/** Whole heads: what is wrong with them is how they are written. */
const HEADS: readonly [string, string][] = [
  ["a path in Host", "POST /mcp HTTP/1.1\r\nhost: a/x?y"],
  ["a query in Host", "POST /mcp HTTP/1.1\r\nhost: a?y"],
  ["a fragment in Host", "POST /mcp HTTP/1.1\r\nhost: a#"],
  ["a backslash in Host", "POST /mcp HTTP/1.1\r\nhost: a\\"],
  ["an encoded slash in Host", "POST /mcp HTTP/1.1\r\nhost: a%2f"],
  ["an encoded letter in Host", "POST /mcp HTTP/1.1\r\nhost: %6cocalhost"],
  ["a tab in Host", "POST /mcp HTTP/1.1\r\nhost: a\tb"],
  ["a space in Host", "POST /mcp HTTP/1.1\r\nhost: a b"],
  ["a user in Host", "POST /mcp HTTP/1.1\r\nhost: user@localhost"],
  ["a scheme in Host", "POST /mcp HTTP/1.1\r\nhost: http://localhost"],
  ["an empty Host", "POST /mcp HTTP/1.1\r\nhost:"],
  ["no Host", "POST /mcp HTTP/1.1\r\nx-other: 1"],
  ["two Hosts", "POST /mcp HTTP/1.1\r\nhost: localhost\r\nhost: localhost"],
  ["another authority in the target", "POST http://evil.test/mcp HTTP/1.1\r\nhost: localhost"],
  ["another port in the target", "POST http://localhost:81/mcp HTTP/1.1\r\nhost: localhost"],
  ["a user in the target", "POST http://a@localhost/mcp HTTP/1.1\r\nhost: localhost"],
  ["another scheme in the target", "POST ftp://localhost/mcp HTTP/1.1\r\nhost: localhost"],
  ["no authority in the target", "POST http:///mcp HTTP/1.1\r\nhost: localhost"],
  ["an asterisk", "OPTIONS * HTTP/1.1\r\nhost: localhost"],
];
/** Targets beside a Host that is fine. */
const TARGETS: readonly [string, string][] = [
  ["an empty segment", "//mcp"],
  ["an empty segment within", "/all//mcp"],
  ["an encoded slash", "/all%2fmcp"],
  ["encoded dots", "/all/%2e%2e/mcp"],
  ["dot segments", "/all/../mcp"],
  ["a dot segment", "/./mcp"],
  ["a backslash", "/all\\mcp"],
  ["an encoded backslash", "/all%5cmcp"],
  ["a fragment", "/mcp#x"],
  ["no slash", "mcp"],
];

describe("AU-05 refused with 400, before any hook sees it", () => {
  test.each([...HEADS, ...TARGETS.map(([what, target]) => [what, `POST ${target} HTTP/1.1\r\nhost: localhost`])])(
    "%s",
    async (_, head) => {
      const { port, upstream } = await start([teapot()]);
      const client = await use(rawClient(port));
      client.send(`${head}\r\ncontent-type: application/json\r\ncontent-length: ${call().length}\r\n\r\n${call()}`);
      expect((await client.receiveResponse()).status).toBe(400);
      expect(upstream.seen).toEqual([]);
    },
  );
});

describe("AU-05 what is unusual but clear is served, and the router gets what was on the wire", () => {
  test.each([
    ["/mcp", "localhost", "/mcp"],
    ["/mcp?a=/../b%2f", "localhost", "/mcp?a=/../b%2f"],
    ["/all/x?y", "LOCALHOST:80", "/all/x?y"],
    ["/all/a%20b;c=1", "localhost:", "/all/a%20b;c=1"],
    ["/all/@evil.test:80", "127.0.0.1:1", "/all/@evil.test:80"],
    ["/all/:x*~'!", "[::1]:3333", "/all/:x*~'!"],
    ["http://localhost:80/mcp?a=//b", "localhost", "/mcp?a=//b"],
    ["HTTP://LocalHost/all/x", "localhost", "/all/x"],
  ])("%s of %s", async (target, host, path) => {
    const { ask, upstream } = await start([tellTarget(), hostGuard(), routes({ path: "/open" })]);
    const { status, headers } = await ask({ target, host });
    expect([status, headers["x-target"]]).toEqual([200, path]);
    expect(upstream.requests.map(({ target }) => target)).toEqual(["/mcp"]);
  });
});
