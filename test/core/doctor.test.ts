import { describe, expect, test } from "vitest";
import { rawServer } from "../_harness/peers.ts";
import { runCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { type Intercept, startLegacyServer, startModernServer, startSseServer } from "../_harness/servers.ts";
import { jsonAnswer } from "../_harness/wire.ts";
import { folderWith } from "./files.ts";

const use = testScope();

/** A GET that fails in some way; everything else works. */
const brokenGet: Intercept = ({ method }, request, response) => {
  if (method !== "GET") return false;
  if (request.socket.remotePort! % 2) response.destroy();
  else response.writeHead(500).end();
  return true;
};

/** A server that refuses whoever does not bring this value. */
const wants =
  (authorization: string): Intercept =>
  ({ headers }, _request, response) => {
    if (headers.authorization === authorization) return false;
    response.writeHead(401, { "www-authenticate": "Bearer" }).end();
    return true;
  };

async function doctor(servers: object, env: Record<string, string> = {}, more: object = {}) {
  const cwd = folderWith({ "c.json": { servers, ...more } });
  const { code, stdout, stderr } = await runCli(["doctor", "-c", "c.json", "--json"], { cwd, env });
  return { code, stderr, found: JSON.parse(stdout) as { healthy: boolean; servers: Record<string, unknown>[] } };
}

describe("penstock doctor", () => {
  test("knows both transports of HTTP, and says where the configuration names the other one", async () => {
    const streamable = await use(startLegacyServer());
    const old = await use(startSseServer());
    const { code, found } = await doctor({
      old: { url: old.url, transport: "sse" },
      "old as http": { url: old.url },
      "new as sse": { url: streamable.url, transport: "sse" },
      "dead as sse": { url: "http://127.0.0.1:1/sse", transport: "sse" },
    });
    expect(code).toBe(1);
    const by = Object.fromEntries(found.servers.map((one) => [one.server, one]));
    const tools = expect.any(Number) as number;
    expect(by.old).toMatchObject({ state: "healthy", transport: "sse", era: "legacy", tools, advice: [] });
    expect(by["old as http"]).toMatchObject({ state: "sse", transport: "sse" });
    expect(by["old as http"]!.advice).toEqual([
      expect.stringContaining('Write transport: "sse" into servers.old as http;'),
    ]);
    expect(by["new as sse"]).toMatchObject({
      state: "unsupported",
      transport: "http",
      reason: "it speaks Streamable HTTP",
    });
    expect(by["new as sse"]!.advice).toEqual([
      expect.stringContaining('Take transport: "sse" out of servers.new as sse'),
    ]);
    expect(by["dead as sse"]).toMatchObject({
      state: "down",
      reason: expect.stringContaining("cannot be reached") as string,
    });
    await expect.poll(() => [...old.sessions, ...streamable.sessions]).toEqual([]);
  });

  test("tells of every server what it is, how many tools it lists, and what to do; one that is ill makes it exit 1", async () => {
    const legacy = await use(startLegacyServer());
    const modern = await use(startModernServer());
    const closed = await use(startLegacyServer({ intercept: wants("Bearer good-credential") }));
    const page = await use(
      rawServer(
        async (connection) => {
          for await (const _request of connection.requests())
            connection.send("HTTP/1.1 404 No\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<p/>");
        },
        { discovers: true },
      ),
    );
    const { url } = closed;
    const { code, found } = await doctor({
      legacy: { url: legacy.url },
      modern: { url: modern.url },
      dead: { url: "http://127.0.0.1:1/mcp" },
      page: { url: `${page.url}/mcp` },
      wanting: { url },
      wrong: { url, headers: { authorization: "Bearer other-credential" } },
      right: { url, headers: { authorization: "Bearer good-credential" } },
      theirs: { url, auth: "passthrough" },
    });
    expect(code).toBe(1);
    expect(found.healthy).toBe(false);
    const by = Object.fromEntries(found.servers.map((one) => [one.server, one]));
    const tools = expect.any(Number) as number;
    expect(by.legacy).toMatchObject({ state: "healthy", era: "legacy", version: "2025-11-25", auth: "none", tools });
    expect(by.modern).toMatchObject({ state: "healthy", era: "modern", version: "2026-07-28", tools, advice: [] });
    expect(by.legacy!.tools).toBeGreaterThan(3);
    expect(by.legacy).toMatchObject({
      eras: ["legacy"],
      clients: [
        { clients: "2026-07-28", way: "translated", lost: expect.arrayContaining(["tasks (2025-11-25)"]) },
        { clients: "2025-11-25 and before", way: "as they are", lost: [] },
        { clients: "HTTP+SSE (2024-11-05)", way: "as they are", lost: ["resumption"] },
      ],
    });
    expect(by.modern).toMatchObject({
      eras: ["modern"],
      clients: [{ way: "as they are", lost: [] }, { way: "translated" }, { way: "translated" }],
    });
    expect(by.dead).toMatchObject({
      state: "down",
      advice: [expect.stringMatching(/Start the server, or correct servers\.dead\.url/)],
    });
    expect(by.page).toMatchObject({
      state: "unsupported",
      advice: [expect.stringContaining("Check servers.page.url")],
    });
    expect(by.wanting).toMatchObject({
      state: "auth-required",
      advice: [
        expect.stringContaining("Set servers.wanting.headers.authorization"),
        expect.stringContaining("tells nowhere how"),
      ],
      login: { possible: false },
    });
    expect(by.wrong).toMatchObject({
      auth: "refused",
      advice: [expect.stringContaining("refused the credential in servers.wrong.headers")],
    });
    expect(by.right).toMatchObject({ state: "healthy", auth: "accepted", tools });
    expect(by.theirs).toMatchObject({ auth: "callers" });
  });

  test("leaves no session behind, neither of the probe nor of the list", async () => {
    const server = await use(startLegacyServer());
    const { code } = await doctor({ one: { url: server.url } });
    expect(code).toBe(0);
    const opened = server.requests.filter(
      ({ body }) => (body as { method?: string } | undefined)?.method === "initialize",
    );
    const ended = server.requests
      .filter(({ method }) => method === "DELETE")
      .map(({ headers }) => headers["mcp-session-id"]);
    expect(opened).toHaveLength(2);
    expect(new Set(ended).size).toBe(2);
  });

  test("16 servers at once, each with a broken GET: the tools of all are counted, and no push stream is no illness", async () => {
    const servers: Record<string, { url: string }> = {};
    for (let i = 0; i < 16; i++) {
      const intercept = brokenGet;
      const start =
        i % 3 === 2 ? startModernServer({ intercept }) : startLegacyServer({ sessions: i % 3 === 0, intercept });
      servers[`s${i}`] = { url: (await use(start)).url };
    }
    const { code, found } = await doctor(servers);
    expect(code).toBe(0);
    expect(found.servers).toHaveLength(16);
    for (const one of found.servers) {
      expect(one).toMatchObject({ state: "healthy" });
      expect(one.tools).toBeGreaterThan(1);
      if (one.era === "legacy") expect(one.push).toMatchObject({ available: false });
    }
  });

  test("a slow server has its time, by PENSTOCK_PROBE_TIMEOUT, and delays no other", async () => {
    const silent = await use(rawServer([], { discovers: true }));
    const fast = await use(startModernServer());
    const startedAt = performance.now();
    const { found } = await doctor(
      { silent: { url: `${silent.url}/mcp` }, fast: { url: fast.url } },
      { PENSTOCK_PROBE_TIMEOUT: "300" },
    );
    expect(found.servers).toMatchObject([
      { state: "down", reason: "no answer within 300 ms", advice: [expect.stringContaining("PENSTOCK_PROBE_TIMEOUT")] },
      { state: "healthy" },
    ]);
    expect(performance.now() - startedAt).toBeLessThan(9000);
  });

  test("a server that says what it is and cannot list is degraded, not down", async () => {
    const intercept: Intercept = ({ body }, _request, response) => {
      const { id, method } = (body ?? {}) as { id?: string; method?: string };
      if (method !== "tools/list") return false;
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32603, message: "s3cret of the server" } }));
      return true;
    };
    const { code, found, stderr } = await doctor({ one: { url: (await use(startLegacyServer({ intercept }))).url } });
    expect(code).toBe(1);
    expect(found.servers[0]).toMatchObject({ state: "degraded", reason: "tools/list: JSON-RPC error -32603" });
    expect(JSON.stringify(found) + stderr).not.toContain("s3cret");
  });

  test("prints for people: a block per server, and a last line that says how it stands", async () => {
    const server = await use(startModernServer());
    const cwd = folderWith({
      "c.json": { servers: { ok: { url: server.url }, dead: { url: "http://127.0.0.1:1/mcp" } } },
    });
    const all = await runCli(["doctor", "-c", "c.json"], { cwd });
    expect(all.stdout).toMatch(
      /^ok {2}http[^]*state +✔ healthy[^]*tools +\d+[^]*dead {2}http[^]*✖ down: cannot be reached/,
    );
    expect(all.stdout.trimEnd()).toMatch(/\n1 of 2 not fit for use: dead\.$/);
    const one = await runCli(["doctor", "--url", server.url], { cwd });
    expect(one).toMatchObject({ code: 0, stderr: "" });
    expect(one.stdout).toMatch(/The server is fit for use\.\n$/);
    expect(
      (await runCli(["doctor", "--url", server.url], { cwd, env: { PENSTOCK_LIST_TIMEOUT: "soon" } })).stderr,
    ).toBe('penstock: PENSTOCK_LIST_TIMEOUT: "soon" is no time above 0, in milliseconds.\n');
  });

  test("goes the way that clients go: through the forward hooks, so that their credentials count", async () => {
    const server = await use(
      rawServer(
        async (connection) => {
          for await (const { headers } of connection.requests())
            connection.send(headers["x-by-plugin"] === "1" ? jsonAnswer("{}", "404 No") : jsonAnswer("", "401 No"));
        },
        { discovers: true },
      ),
    );
    const cwd = folderWith({
      "c.mjs": `export default { servers: { one: { url: "${server.url}/mcp" } }, plugins: [{ name: "adds", order: "pre", forward(exchange, request, next) { request.headers.set("x-by-plugin", "1"); return next(request); } }] }`,
    });
    const { stdout } = await runCli(["doctor", "-c", "c.mjs", "--json"], { cwd });
    expect(JSON.parse(stdout)).toMatchObject({ servers: [{ state: "unsupported" }] });
  });
});
