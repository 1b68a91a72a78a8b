/** Streams and sessions between a modern client and a legacy server: leaving, going on, being lost. */
import { describe, expect, test } from "vitest";
import { bridge, standard, timeout } from "../_harness/plugins.ts";
import { rawClient } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { stdioServer } from "../_harness/stdio.ts";
import { front, jsonAnswer } from "../_harness/wire.ts";
import { type LegacyPeerOptions, type Posted, type Wire, ask, legacyPeer, modernPost } from "./bridge-legacy-peer.ts";

const use = testScope();

async function between(
  answer: (posted: Posted, wire: Wire) => void,
  { plugins = standard() as unknown, ...options }: LegacyPeerOptions & { plugins?: unknown } = {},
) {
  const peer = await use(legacyPeer(answer, options));
  const proxy = await use(front(peer.url, plugins, { era: "legacy" }));
  return { peer, proxy, url: `${proxy.url}/mcp` };
}

const notification = (method: string, params: object) => JSON.stringify({ jsonrpc: "2.0", method, params });
const progress = (progressToken: unknown, step: number) =>
  notification("notifications/progress", { progressToken, progress: step });
const response = (id: unknown) => JSON.stringify({ jsonrpc: "2.0", id, result: { content: [] } });
const TOOL = '{"name":"t"}';

describe("a client that leaves", () => {
  test.each(["before the head of the answer", "in the middle of its stream"])(
    "%s: the server is told",
    async (when) => {
      const { peer, url } = await between(({ message }, wire) => {
        if (when.startsWith("in")) wire.open().event(progress(message.id, 1));
      });
      const controller = new AbortController();
      const init = { ...modernPost("tools/call", TOOL, { meta: { progressToken: 1 } }), signal: controller.signal };
      const asked = fetch(url, init).then((answer) => answer.body!.getReader().read());
      const { message } = await peer.got("POST tools/call");
      if (when.startsWith("in")) await asked;
      controller.abort();
      await asked.catch(() => {});
      const cancelled = await peer.got("POST notifications/cancelled");
      expect(cancelled.message.params.requestId).toBe(message.id);
      expect(cancelled.headers["mcp-session-id"]).toBe("s1");
    },
  );

  test("its request to the server ends as well", async () => {
    let connection: Wire["connection"] | undefined;
    const { peer, proxy } = await between((_posted, wire) => void ({ connection } = wire.open()));
    const client = await use(rawClient(proxy.port));
    const { headers, body } = modernPost("tools/call", TOOL);
    const fields = Object.entries({ host: "localhost", ...headers, "content-length": body.length });
    client.send(`POST /mcp HTTP/1.1\r\n${fields.map((field) => field.join(": ")).join("\r\n")}\r\n\r\n${body}`);
    await peer.got("POST tools/call");
    client.reset();
    await connection!.closed;
    await peer.got("POST notifications/cancelled");
  });
});

test("a call whose time is over is cancelled at the server", async () => {
  const plugins = [timeout({ total: 100 }), bridge()];
  const { peer, url } = await between(({ message }, wire) => void wire.open().event(progress(message.id, 1)), {
    plugins,
  });
  const { messages } = await ask(url, "tools/call", TOOL, { meta: { progressToken: 1 } });
  expect(messages).toMatchObject([
    { method: "notifications/progress" },
    { id: 1, error: { code: -32603, data: { code: "UPSTREAM_TIMEOUT" } } },
  ]);
  await peer.got("POST notifications/cancelled");
});

test("a server that does not answer in time is told", async () => {
  const peer = await use(legacyPeer(() => {}));
  const proxy = await use(front(peer.url, [bridge()], { era: "legacy", timeouts: { call: 100 } }));
  const { status, response } = await ask(`${proxy.url}/mcp`, "tools/call", TOOL);
  expect([status, response.error.data.code]).toEqual([504, "UPSTREAM_TIMEOUT"]);
  await peer.got("POST notifications/cancelled");
});

describe("progress and logs", () => {
  test("only a call's own progress is passed on, under its own token", async () => {
    const { url } = await between(({ message }, wire) => {
      wire.open().event(progress(message.id, 1)).event(progress("p", 2)).event(progress(99, 3));
      wire.event(response(message.id)).end();
    });
    const { text, messages } = await ask(url, "tools/call", TOOL, { meta: { progressToken: "p" } });
    expect(messages.map(({ params }) => params)).toEqual([{ progressToken: "p", progress: 1 }, undefined]);
    expect(text).not.toMatch(/^id:/m);
    const without = await ask(url, "tools/call", TOOL);
    expect(without.messages).toHaveLength(1);
  });

  test("log messages are for who asked for them, from its level on; the session has the most verbose", async () => {
    const { peer, url } = await between(
      ({ message }, wire) => {
        if (message.method === "logging/setLevel") return wire.result("{}");
        wire.open();
        for (const level of ["debug", "warning", "error"])
          wire.event(notification("notifications/message", { level, data: 1 }));
        wire.event(response(message.id)).end();
      },
      { capabilities: { logging: {} } },
    );
    const heard = async (level?: string) => {
      const meta = level === undefined ? {} : { "io.modelcontextprotocol/logLevel": level };
      const { messages } = await ask(url, "tools/call", TOOL, { meta });
      return messages.slice(0, -1).map(({ params }) => params.level as string);
    };
    expect(await heard()).toEqual([]);
    expect(await heard("error")).toEqual(["error"]);
    expect(await heard("info")).toEqual(["warning", "error"]);
    expect(await heard("critical")).toEqual([]);
    const set = peer.seen.entries.filter(({ what }) => what === "POST logging/setLevel");
    expect(set.map(({ message }) => message.params.level)).toEqual(["error", "info"]);
  });

  test("a server without logging is not asked for any", async () => {
    const { url } = await between(({ what }, wire) => {
      if (what !== "POST tools/call") throw new Error(what);
      wire.result('{"content":[]}');
    });
    const meta = { "io.modelcontextprotocol/logLevel": "debug" };
    expect((await ask(url, "tools/call", TOOL, { meta })).status).toBe(200);
  });
});

describe("a stream that the server ends to go on later", () => {
  test("is one unbroken stream for the client", async () => {
    const ids: unknown[] = [];
    const { peer, url } = await between(
      ({ message }, wire) => {
        ids.push(message.id);
        wire.open().event("", "id: a1\nretry: 20\n").event(progress(message.id, 1), "id: a2\n").end();
      },
      {
        get(posted, wire) {
          const from = posted.headers["last-event-id"];
          wire.open();
          if (from === "a2") wire.event(progress(ids[0], 2), "id: a3\n").end();
          else if (from === "a3") wire.event(response(ids[0]), "id: a4\n").end();
        },
      },
    );
    const { text, messages } = await ask(url, "tools/call", TOOL, { meta: { progressToken: "p" } });
    expect(messages.map(({ params, result }) => params?.progress ?? result)).toMatchObject([1, 2, { content: [] }]);
    expect(text).not.toMatch(/^(?:id|retry):/m);
    const gets = peer.seen.entries.filter(({ what }) => what === "GET");
    expect(gets.map(({ headers }) => headers["last-event-id"])).toEqual(["a2", "a3"]);
  });

  test("goes on after a reset as well, and ends with an error where the server has forgotten it", async () => {
    const { peer, url } = await between(
      ({ message }, wire) => {
        wire.open().event(progress(message.id, 1), "id: a1\nretry: 5\n");
        setTimeout(() => wire.connection.reset(), 20);
      },
      { get: (_posted, wire) => wire.json("{}", "400 Bad Request") },
    );
    const { messages } = await ask(url, "tools/call", TOOL, { meta: { progressToken: "p" } });
    expect(messages.at(-1)).toMatchObject({ id: 1, error: { data: { code: "UPSTREAM_BROKE" } } });
    await peer.got("POST notifications/cancelled");
  });
});

describe("a session that the server has lost", () => {
  const gone = "404 Not Found";

  test("is opened anew: a list is sent again", async () => {
    const { peer, url } = await between(({ headers }, wire) => {
      if (headers["mcp-session-id"] === "s1") wire.json("", gone);
      else wire.result('{"tools":[]}');
    });
    expect((await ask(url, "tools/list")).response.result.tools).toEqual([]);
    expect(peer.seen.entries.filter(({ what }) => what === "POST initialize")).toHaveLength(2);
  });

  test("a call that had left is not sent again, the next one works", async () => {
    const { peer, url } = await between(({ headers }, wire) => {
      if (headers["mcp-session-id"] === "s1") wire.json("", gone);
      else wire.result('{"content":[]}');
    });
    const { response } = await ask(url, "tools/call", TOOL);
    expect(response.error.data.code).toBe("SERVER_LOST_SESSION");
    expect(peer.seen.entries.filter(({ what }) => what === "POST tools/call")).toHaveLength(1);
    expect((await ask(url, "tools/call", TOOL)).status).toBe(200);
  });

  test("a stdio server that ended is started again", async () => {
    const proxy = await use(front("http://unused", standard(), { ...stdioServer(), url: undefined, era: "legacy" }));
    const url = `${proxy.url}/mcp`;
    expect((await ask(url, "server/discover")).status).toBe(200);
    await ask(url, "exit");
    await expect.poll(async () => (await ask(url, "tools/list")).status).toBe(200);
  });
});

describe("sessions with the server", () => {
  test("end when they are idle, and with the proxy", async () => {
    const plugins = [bridge({ idleTimeout: 50 })];
    const { peer, url } = await between((_posted, wire) => wire.result("{}"), { plugins });
    await ask(url, "tools/list");
    const { headers } = await peer.got("DELETE");
    expect(headers["mcp-session-id"]).toBe("s1");
    await ask(url, "tools/list");
    expect(peer.seen.entries.filter(({ what }) => what === "POST initialize")).toHaveLength(2);
  });

  test("are as many as a caller may have; the one that was idle for longest makes room", async () => {
    const held: Wire[] = [];
    const { peer, url } = await between((_posted, wire) => void held.push(wire), {
      plugins: [bridge({ maxLeases: 2 })],
    });
    const call = (name: string) => ask(url, "tools/call", TOOL, { capabilities: { experimental: { [name]: {} } } });
    const first = call("a");
    await peer.got("POST tools/call");
    await ask(url, "server/discover");
    const second = call("b");
    expect((await peer.got("DELETE")).headers["mcp-session-id"]).toBe("s2");
    await peer.got("POST tools/call", 2);
    expect((await call("c")).status).toBe(429);
    for (const wire of held) wire.result('{"content":[]}');
    await Promise.all([first, second]);
  });

  test("belong to one credential; what the server says to that credential is the client's to read", async () => {
    const { server, requests } = await scripted(
      (request) => {
        if (request.method !== "POST") return jsonAnswer("{}");
        const id = idOf(request);
        if (request.headers.authorization !== "Bearer good")
          return jsonAnswer("{}", "401 Unauthorized", 'www-authenticate: Bearer realm="x"\r\n');
        const result = methodOf(request) === "initialize" ? '{"protocolVersion":"2025-06-18"}' : '{"tools":[]}';
        return jsonAnswer(`{"jsonrpc":"2.0","id":${id},"result":${result}}`, "200 OK", "mcp-session-id: g\r\n");
      },
      { handshakes: true },
    );
    await use(Promise.resolve(server));
    const proxy = await use(front(server.url, [bridge()], { era: "legacy", auth: "passthrough" }));
    const as = (token: string) =>
      ask(`${proxy.url}/mcp`, "tools/list", "{}", { headers: { authorization: `Bearer ${token}` } });
    expect((await as("good")).response.result.tools).toEqual([]);
    const refused = await as("bad");
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toContain("Bearer");
    const last = requests.find((request) => methodOf(request) === "tools/list")!;
    expect(last.headers).toMatchObject({ authorization: "Bearer good", "mcp-protocol-version": "2025-06-18" });
  });
});
