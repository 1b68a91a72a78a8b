/** Every way in which a call can fail: its status, its error for the id that waits, and its line in the log. */
import { describe, expect, test } from "vitest";
import { folderWith } from "../core/files.ts";
import { type RawConnection, rawClient, rawServer, within } from "../_harness/peers.ts";
import { standard } from "../_harness/plugins.ts";
import { startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const JSON_TYPE = "content-type: application/json\r\n";
const PROGRESS =
  'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}\n\n';

/** What a server does with each request, and what its client is told. */
interface Failure {
  does: (connection: RawConnection) => void;
  status: number;
  code: string;
  /** More of the server's configuration. */
  config?: object;
}

const FAILURES: Record<string, Failure> = {
  refused: { does() {}, status: 502, code: "UPSTREAM_UNREACHABLE", config: { url: "http://127.0.0.1:9/mcp" } },
  unknown: { does() {}, status: 502, code: "UPSTREAM_UNREACHABLE", config: { url: "http://nowhere.invalid/mcp" } },
  slow: { does() {}, status: 504, code: "UPSTREAM_TIMEOUT", config: { timeouts: { headers: 100, call: 100 } } },
  reset: { does: (connection) => connection.reset(), status: 502, code: "UPSTREAM_BROKE" },
  fin: { does: (connection) => connection.fin(), status: 502, code: "UPSTREAM_BROKE" },
  half: {
    does(connection) {
      connection.send("HTTP/1.1 200 OK\r\ncontent-");
      connection.fin();
    },
    status: 502,
    code: "UPSTREAM_BROKE",
  },
  garbage: { does: (connection) => void connection.send("HELLO\r\n\r\n"), status: 502, code: "UPSTREAM_INVALID" },
  // The filter must read the answer, and cannot.
  nojson: { does: (connection) => void connection.send(jsonAnswer("<html>")), status: 502, code: "UPSTREAM_INVALID" },
  large: {
    does: (connection) => void connection.send(jsonAnswer(`{"a":"${"x".repeat(2000)}"}`)),
    status: 502,
    code: "UPSTREAM_TOO_LARGE",
    config: { maxMessageBytes: 1000 },
  },
  redirect: {
    does: (connection) => void connection.send(jsonAnswer("", "302 Found", "location: http://127.0.0.1:9/secret\r\n")),
    status: 502,
    code: "UPSTREAM_REDIRECT",
  },
  login: {
    does: (connection) => void connection.send(jsonAnswer("", "401 Unauthorized", "www-authenticate: Bearer\r\n")),
    status: 502,
    code: "UPSTREAM_UNAUTHORIZED",
  },
};

/** What no client may be told: where servers are, and how this program is written. */
const INTERNAL =
  /127\.0\.0\.1|nowhere\.invalid|:\d{4,5}\b|E(?:CONN|NOTFOUND|PIPE|AI_)|\bat \w+.*\(|node:|\.m?js\b|\.ts\b|Error:|secret/;

describe("OB-03 a call that fails", () => {
  /** The command line before these servers; each at `/{name}/mcp`. */
  async function start(failures: Record<string, Failure>, more = "") {
    const servers: Record<string, object> = {};
    for (const [name, { does, config }] of Object.entries(failures)) {
      const upstream = await use(
        rawServer(async (connection) => {
          for await (const _ of connection.requests()) does(connection);
        }),
      );
      servers[name] = { url: `${upstream.url}/mcp`, ...config };
    }
    const cwd = folderWith({
      "penstock.config.mjs": `
        import { standard } from "mcp-penstock/plugins/standard";
        import { toolFilter } from "mcp-penstock/plugins/tool-filter";
        export default { servers: ${JSON.stringify(servers)}, port: 0, plugins: [standard(), toolFilter({ deny: ["rm"] }), ${more}] };`,
    });
    const cli = await use(startCli(["--log-format", "json"], { cwd }));
    const lines = async () => {
      await cli.close();
      return cli
        .stderr()
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { level: string; message: string });
    };
    return { port: cli.port, lines };
  }

  test("each class has its status, an error for the id that waits, and one line that says why", async () => {
    const { port, lines } = await start(FAILURES);
    for (const [name, { status, code }] of Object.entries(FAILURES))
      for (const id of ["7", '"seven"', "9007199254740993"]) {
        const client = await use(rawClient(port));
        client.send(post(call(id), `/${name}/mcp`, `${JSON_TYPE}x-request-id: ${name}-${id.length}\r\n`));
        const answer = await client.receiveResponse();
        expect(answer, name).toMatchObject({ status, headers: { "content-type": "application/json" } });
        expect(answer.headers["x-request-id"]).toBe(`${name}-${id.length}`);
        expect(answer.body, name).toMatch(
          new RegExp(`^\\{"jsonrpc":"2\\.0","id":${id},"error":\\{"code":-32603,"message":"`),
        );
        expect(JSON.parse(answer.body), name).toMatchObject({ error: { data: { code } } });
        expect(answer.body, name).toContain(`'${name}'`);
        expect(client.received, name).not.toMatch(INTERNAL);
        // The connection is good for the next call.
        client.send(plain("GET", "/healthz"));
        expect((await client.receiveResponse()).status).toBe(200);
      }
    const log = await lines();
    for (const [name, { status, code }] of Object.entries(FAILURES))
      for (const length of [1, 7, 16]) {
        const own = log.filter(({ message }) => message.endsWith(` id=${name}-${length}`));
        expect(own, name).toHaveLength(1);
        expect(own[0]!.level).toBe("warn");
        expect(own[0]!.message).toMatch(
          new RegExp(
            `^POST ${name} tools/list anonymous ${status} \\d+ms \\d+B up \\d+B down upstream-broke ${code} id=`,
          ),
        );
      }
    // Why, for whoever runs it: once for each call.
    for (const [name, { code }] of Object.entries(FAILURES))
      expect(
        log.filter(({ message }) => message.startsWith(`${name}: ${code}: `)),
        name,
      ).toHaveLength(3);
    expect(log.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("a notification and a GET that fail have no id to answer", async () => {
    const { reset, refused, garbage } = FAILURES;
    const { port } = await start({ reset: reset!, refused: refused!, garbage: garbage! });
    for (const name of ["reset", "refused", "garbage"]) {
      const client = await use(rawClient(port));
      client.send(post('{"jsonrpc":"2.0","method":"notifications/x"}', `/${name}/mcp`));
      const answer = await client.receiveResponse();
      expect([answer.status, (JSON.parse(answer.body) as { id: unknown }).id], name).toEqual([502, null]);
      client.send(plain("GET", `/${name}/mcp`, "accept: text/event-stream\r\n"));
      const stream = await client.receiveResponse();
      // A stream is optional: there is none, or no server at all.
      expect(stream.status, name).toBe(name === "refused" ? 502 : 405);
      expect(JSON.parse(stream.body)).toMatchObject({ id: null });
      expect(client.received).not.toMatch(INTERNAL);
    }
  });

  test("a client that leaves is 499 in the log, at the level of what is nobody's fault, and nothing else is said of it", async () => {
    let asked!: () => void;
    const { port, lines } = await start({ one: { does: () => asked(), status: 499, code: "" } });
    for (const [i, leave] of (["reset", "fin"] as const).entries()) {
      const reached = new Promise<void>((resolve) => (asked = resolve));
      const client = await use(rawClient(port));
      client.send(
        post(call(1, "tools/call", '{"name":"echo"}'), "/one/mcp", `${JSON_TYPE}x-request-id: gone-${i}\r\n`),
      );
      await within(reached, "the call");
      client[leave]();
      await within(client.closed, "the end of the connection");
    }
    const log = await lines();
    for (const i of [0, 1])
      expect(log.filter(({ message }) => message.endsWith(`id=gone-${i}`))).toEqual([
        expect.objectContaining({
          level: "info",
          message: expect.stringMatching(/^POST one tools\/call echo anonymous 499 \d+ms \d+B up 0B down client-gone /),
        }),
      ]);
    expect(log.filter(({ level }) => level === "warn" || level === "error")).toEqual([]);
  });

  test("a stream that breaks has its status already: the id that waits gets its error, and the log says why, once", async () => {
    const broken: Failure = {
      does(connection) {
        connection.send(SSE_HEAD + chunk(PROGRESS));
        connection.fin();
      },
      status: 200,
      code: "UPSTREAM_BROKE",
    };
    const { port, lines } = await start({ one: broken });
    const client = await use(rawClient(port));
    client.send(post(call(7), "/one/mcp", `${JSON_TYPE}x-request-id: broken\r\n`));
    await within(client.ended, "the cut");
    const { status, complete, body } = client.response();
    expect([status, complete]).toEqual([200, false]);
    expect(body.slice(PROGRESS.length)).toMatch(
      /^data: \{"jsonrpc":"2\.0","id":7,"error":\{"code":-32603,.*UPSTREAM_BROKE.*\n\n$/,
    );
    expect(body).not.toMatch(INTERNAL);
    const log = await lines();
    expect(log.filter(({ message }) => message.startsWith("one: UPSTREAM_BROKE"))).toHaveLength(1);
    expect(log.filter(({ message }) => message.endsWith("id=broken"))).toEqual([
      expect.objectContaining({
        level: "warn",
        message: expect.stringMatching(/ 200 .* upstream-broke UPSTREAM_BROKE /),
      }),
    ]);
  });

  test("a plugin that fails is named, and what it said is for the log alone", async () => {
    const failing = `{ name: "bad", request() { throw new Error("secret detail"); } }`;
    const { port, lines } = await start({ one: { does() {}, status: 500, code: "PLUGIN_FAILED" } }, failing);
    const client = await use(rawClient(port));
    client.send(post(call(7), "/one/mcp"));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(500);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { data: { code: "PLUGIN_FAILED" } } });
    expect(answer.body).toContain("'bad'");
    expect(answer.body).not.toMatch(INTERNAL);
    expect((await lines()).filter(({ message }) => message.includes("secret detail"))).toHaveLength(1);
  });
});

describe("OB-03 an error that the server answers itself", () => {
  const STATUSES = [
    "200 OK",
    "202 Accepted",
    "400 Bad Request",
    "404 Not Found",
    "405 Method Not Allowed",
    "406 Not Acceptable",
    "409 Conflict",
    "413 Content Too Large",
    "415 Unsupported Media Type",
    "429 Too Many Requests",
    "500 Oops",
    "501 Not Implemented",
    "502 Bad Gateway",
    "503 Busy",
    "504 Gateway Timeout",
    "599 Own",
  ];
  test.each([
    ["JSON", JSON_TYPE, '{"own":"body"}'],
    ["plain text", "content-type: text/plain; charset=utf-8\r\n", "größer als alles"],
    ["HTML", "content-type: text/html\r\n", "<h1>no</h1>"],
    ["no type at all", "", "oops"],
    ["nothing", "", ""],
  ])("%s passes with its status, type and fields", async (_what, type, body) => {
    for (const status of STATUSES) {
      const head = `HTTP/1.1 ${status}\r\n${type}retry-after: 7\r\n`;
      const server = await use(
        rawServer(async (connection) => {
          for await (const _ of connection.requests())
            connection.send(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
        }),
      );
      const client = await use(rawClient((await use(front(server.url, [standard()]))).port));
      client.send(post(call()));
      const answer = await client.receiveResponse();
      expect(answer).toMatchObject({ status: Number(status.slice(0, 3)), body, headers: { "retry-after": "7" } });
      if (type) expect(answer.headers["content-type"]).toBe(type.slice(14, -2));
    }
  });
});
