/** Sessions that servers lose, that nobody uses, and that never came about. */
import { type IncomingMessage, type ServerResponse, request } from "node:http";
import { describe, expect, test } from "vitest";
import { connectV1 } from "../_harness/clients.ts";
import { apiKeys, sessions, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";
import { vitals } from "../_harness/vitals.ts";
import { front } from "../_harness/wire.ts";

const use = testScope();
const echo = { name: "echo", arguments: { text: "x" } };
const INIT = {
  jsonrpc: "2.0",
  id: 0,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "1" } },
};
const JSON_POST = { "content-type": "application/json", accept: "application/json, text/event-stream" };

/** One `initialize` over a connection of its own, which does not stay open. */
function initialize(url: string, more: Record<string, string> = {}, signal?: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = { method: "POST", headers: { ...JSON_POST, ...more }, agent: false, signal } as const;
    request(`${url}/mcp`, options, (answer) =>
      answer
        .resume()
        .on("end", () => resolve(answer))
        .on("error", reject),
    )
      .on("error", reject)
      .end(JSON.stringify(INIT));
  });
}

/** One `initialize` whose client leaves as soon as the server has it. Resolves when the proxy has noticed. */
function leaveAfter(url: string, more: Record<string, string>, arrived: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const asked = request(`${url}/mcp`, { method: "POST", headers: { ...JSON_POST, ...more }, agent: false });
    // What is closed by the proxy was noticed by it.
    asked.on("socket", (socket) => void arrived.then(() => socket.end()));
    asked.on("error", () => {}).on("close", resolve);
    asked.end(JSON.stringify(INIT));
  });
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}

/** Runs `count` of them, a few at a time. */
async function inTurns<T>(count: number, run: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < count; i += 20)
    results.push(...(await Promise.all(Array.from({ length: Math.min(20, count - i) }, (_, j) => run(i + j)))));
  return results;
}

describe("SE-04 a server that has lost its sessions", () => {
  /** Posts of a method that the server saw. */
  const posts = (server: Awaited<ReturnType<typeof startLegacyServer>>, method: string) =>
    server.requests.filter(({ body }) => (body as { method?: string } | undefined)?.method === method).length;

  test("twenty lists at once: one new session, all are answered, the client's id stays", async () => {
    const server = await use(startLegacyServer());
    const { url } = await use(front(server.url, standard()));
    const { client, transport } = await use(connectV1(`${url}/mcp`));
    const id = transport.sessionId;
    for (let round = 2; round < 4; round++) {
      await server.loseSessions();
      const lists = await Promise.all(Array.from({ length: 20 }, () => client.listTools()));
      expect(lists.every(({ tools }) => tools.length > 0)).toBe(true);
      expect([posts(server, "initialize"), server.sessions.length, transport.sessionId]).toEqual([round, 1, id]);
    }
  });

  test("twenty calls at once: none runs twice, each has an outcome, and the next ones are answered", async () => {
    const server = await use(startLegacyServer());
    const { url } = await use(front(server.url, standard()));
    const { client } = await use(connectV1(`${url}/mcp`));
    await server.loseSessions();
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => client.callTool(echo)));
    for (const outcome of outcomes)
      if (outcome.status === "rejected") expect(String(outcome.reason)).toContain("had lost its session");
    expect(outcomes.some(({ status }) => status === "rejected")).toBe(true);
    // Each reached the server once; those of the lost session were refused there.
    expect(posts(server, "tools/call")).toBe(20);
    expect(await client.callTool(echo)).toMatchObject({ content: [{ text: "x" }] });
    expect(posts(server, "initialize")).toBe(2);
  });
});

describe("SE-07 sessions that nobody uses", () => {
  test(
    "there are as many as may be; what is idle ends, at the server too, and leaves nothing",
    { timeout: 25_000 },
    async () => {
      const server = await use(startLegacyServer());
      const LIMITS = { maxSessions: 40, maxPerPrincipal: 40, idleTimeout: 2000 };
      const proxy = await use(
        front(server.url, [sessions(LIMITS), standard().filter(({ name }) => name !== "sessions")]),
      );
      await initialize(proxy.url);
      const net = await vitals(proxy);
      const answers = await inTurns(300, () => initialize(proxy.url));
      const begun = answers.filter(({ statusCode }) => statusCode === 200);
      const refused = answers.filter(({ statusCode }) => statusCode === 429);
      expect(begun.length + refused.length).toBe(300);
      expect(begun.length).toBeGreaterThanOrEqual(39);
      expect(refused.length).toBeGreaterThan(20);
      expect(refused.every(({ headers }) => Number(headers["retry-after"]) > 0)).toBe(true);
      expect(server.sessions.length).toBeLessThanOrEqual(40);
      await expect.poll(() => server.sessions.length, { timeout: 6000 }).toBe(0);
      await net.backToBaseline();
      expect((await initialize(proxy.url)).statusCode).toBe(200);
    },
  );
});

describe("SE-08 handshakes that come to nothing", () => {
  test("refused by the server, refused by the proxy, or given up: no session is left, and nothing else", async () => {
    const held = new Map<string, { arrived: () => void; response?: ServerResponse }>();
    const server = await use(
      startLegacyServer({
        intercept({ headers }, _request, response) {
          const late = held.get(String(headers["x-late"]));
          if (late && !late.response) {
            late.response = response;
            late.arrived();
            return true;
          }
          if (headers["x-refuse"] === undefined) return false;
          response.writeHead(Number(headers["x-refuse"]), { "mcp-session-id": "refused" }).end("{}");
          return true;
        },
      }),
    );
    const key = { "x-api-key": "0123456789abcdef-a" };
    const proxy = await use(front(server.url, [apiKeys({ keys: { a: key["x-api-key"] } }), standard()]));
    await initialize(proxy.url, key);
    const before = server.sessions.length;
    const net = await vitals(proxy);
    const statuses = await inTurns(100, async (i) => {
      if (i % 4 !== 3) {
        const headers = [{ ...key, "x-refuse": "400" }, { ...key, "x-refuse": "500" }, {}][i % 4]!;
        return (await initialize(proxy.url, headers)).statusCode;
      }
      const { promise: arrived, resolve } = deferred();
      const late: { arrived: () => void; response?: ServerResponse } = { arrived: resolve };
      held.set(`late-${i}`, late);
      await leaveAfter(proxy.url, { ...key, "x-late": `late-${i}` }, arrived);
      // It opens a session all the same, for nobody.
      late.response!.writeHead(200, { "mcp-session-id": "unwanted", "content-type": "application/json" }).end("{}");
      return "gone";
    });
    expect(new Set(statuses)).toEqual(new Set([400, 500, 401, "gone"]));
    expect(server.sessions).toHaveLength(before);
    const ended = (id: string) =>
      server.requests.filter(({ method, headers }) => method === "DELETE" && headers["mcp-session-id"] === id).length;
    await expect.poll(() => [ended("refused"), ended("unwanted")], { timeout: 4000 }).toEqual([50, 25]);
    await net.backToBaseline();
  });
});
