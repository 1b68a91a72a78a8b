/** Whatever callers and servers send: one well-formed line of the log for each event, escaped, and cut off. */
import { describe, expect, test } from "vitest";
import { folderWith } from "../core/files.ts";
import { rawClient, rawServer, within } from "../_harness/peers.ts";
import { startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { call, chunk, jsonAnswer, post, SSE_HEAD } from "../_harness/wire.ts";

const use = testScope();
const MEGABYTE = 1_000_000;

/** Texts that would end a line, drive a terminal, or pass for another line. */
const HOSTILE: [string, string][] = [
  ["line ends", "a\r\nb\nc\rd\u2028e\u2029f\u0085g"],
  ["a line of its own", "x\n[error] all is lost\n"],
  ["a line of JSON", '"}\n{"time":"2026-01-01T00:00:00.000Z","level":"error","message":"all is lost"}'],
  ["fields of its own", "echo anonymous 200 0ms 0B up 0B down id=forged"],
  ["ANSI sequences", "\u001B[2J\u001B[31mred\u001B]0;title\u0007\u009B31m\u0008\u007F"],
  ["JSON fragments", '","level":"error","x":{"\\'],
  ["NUL and other controls", "\u0000\u0001\u001F"],
  ["half a surrogate pair", "\uD800x\uDFFF"],
  ["text that runs the other way", "\u202Egnp.exe\u2066"],
  ["placeholders", "%s %d %o %c ${HOME} {server} $& $1"],
  ["a megabyte", "a".repeat(MEGABYTE)],
  ["a megabyte of controls", "\u001B".repeat(MEGABYTE / 2)],
  ["a megabyte of quotes", '"\\'.repeat(MEGABYTE / 2)],
  ["a megabyte of blanks", " ".repeat(MEGABYTE)],
];
/** What may stand in a header field (RFC 9110 §5.5): the rest never gets that far. */
const inField = (text: string) => text.replace(/[^\t\x20-\x7E]/g, "?").slice(0, 6000);

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const UNPRINTABLE = /[\u0000-\u001F\u007F-\u009F\u2028\u2029]/;
const LIMIT = 3 * 1024;

// A machine with more to do takes its time for so much text.
describe.each(["text", "json"])("OB-02 the log as %s", { timeout: 30_000 }, (format) => {
  /** The command line before a server that answers as `answer` says, with plugins that log what they meet. */
  async function start(answer: (body: string) => string | Promise<string>) {
    const upstream = await use(
      rawServer(async (connection) => {
        for await (const { body } of connection.requests()) connection.send(await answer(body));
      }),
    );
    const config = `
      import { standard } from "mcp-penstock/plugins/standard";
      import { toolFilter } from "mcp-penstock/plugins/tool-filter";
      const echo = {
        name: "echo",
        request({ log, request }) { log.warn(() => [...request.headers].map(([name, value]) => name + "=" + value).join(" ")); },
        message: { filter: { direction: "up", kind: "request" }, handler({ log }, { method, params }) { log.warn(String(params?.note ?? method)); } },
      };
      export default { servers: { one: { url: "${upstream.url}/mcp" } }, port: 0, plugins: [standard(), toolFilter({ deny: ["*x*"] }), echo] };`;
    const cwd = folderWith({ "penstock.config.mjs": config });
    const cli = await use(startCli(["--log-level", "debug", "--log-format", format], { cwd }));
    return {
      port: cli.port,
      /** Stops the process; the texts of its lines. */
      async lines(): Promise<string[]> {
        await cli.close();
        const lines = cli.stderr().split("\n").filter(Boolean);
        return lines.map((line) => {
          expect(line).not.toMatch(UNPRINTABLE);
          expect(Buffer.byteLength(line)).toBeLessThan(LIMIT);
          if (format === "text") {
            expect(line).toMatch(/^\[(?:debug|info|warn|error)\] /);
            return line;
          }
          const { time, level, message, ...rest } = JSON.parse(line) as Record<string, string>;
          expect(rest).toEqual({});
          expect(["debug", "info", "warn", "error"]).toContain(level);
          expect(new Date(time!).toISOString()).toBe(time);
          return `[${level}] ${message}`;
        });
      },
    };
  }

  async function send(port: number, bytes: string | Buffer) {
    const client = await use(rawClient(port));
    client.send(bytes);
    await client.receive(/HTTP\/1\.1 \d{3}/, { timeout: 8000 });
    await client.close();
  }

  const JSON_TYPE = "content-type: application/json\r\n";
  // A connection for each: a raw peer keeps all that it was ever sent.
  const ok = () => jsonAnswer('{"jsonrpc":"2.0","id":1,"result":{}}', "200 OK", "connection: close\r\n");

  test("hostile tool names, methods, resources and params: one line for each request, with its own fields at its end", async () => {
    const { port, lines } = await start(ok);
    const sent: string[] = [];
    for (const [what, text] of HOSTILE) {
      const json = JSON.stringify(text);
      const bodies = [
        call(1, "tools/call", `{"name":${json},"arguments":{}}`),
        call(1, "resources/read", `{"uri":${json}}`),
        `{"jsonrpc":"2.0","id":1,"method":${json}}`,
        call(1, "tools/call", `{"name":"echo","note":${json}}`),
      ];
      // So much of it takes its time: each of the long ones stands in one place.
      const some = text.length < MEGABYTE / 2 ? bodies : [bodies[sent.length % 4]!];
      for (const body of some) {
        const id = `r-${sent.length}`;
        sent.push(`${id} ${what}`);
        await send(port, post(body, "/one/mcp", `${JSON_TYPE}x-request-id: ${id}\r\n`));
      }
    }
    const all = await lines();
    for (const each of sent) {
      const id = each.split(" ")[0]!;
      // Method, server, what was called, principal, status, time, sizes: nothing that was sent takes a place among them.
      const own = all.filter((line) => line.endsWith(` id=${id}`));
      expect(own, each).toHaveLength(1);
      expect(own[0], each).toMatch(
        /^\[info\] POST one (?:[^\s"]+|"(?:[^"\\]|\\.)*")(?: [^\s"]+| "(?:[^"\\]|\\.)*")? anonymous \d{3} \d+ms \d+B up \d+B down (?:refused [A-Z_]+ )?id=r-\d+$/,
      );
    }
    expect(all.filter((line) => line.startsWith("[error]"))).toEqual([]);
    expect(all.join("\n")).toMatch(/… \(\d{6,7} characters\)/);
  });

  test("hostile fields, hosts, origins, paths and HTTP methods", async () => {
    const { port, lines } = await start(ok);
    for (const [, text] of HOSTILE) {
      const value = inField(text);
      const fields = ["x-own", "user-agent", "mcp-session-id", "mcp-name", "x-request-id", "accept", "origin", "host"];
      for (const name of fields) {
        const request = post(call(), "/one/mcp", `${JSON_TYPE}${name === "host" ? "" : `${name}: ${value}\r\n`}`);
        await send(port, name === "host" ? request.replace("localhost", value) : request);
      }
      const token = encodeURIComponent(value).replace(/[()]/g, "").slice(0, 4000);
      await send(port, `GET /${token} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
      await send(port, `GET /one/mcp?${token} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
      await send(port, `${token.slice(0, 200) || "X"} /one/mcp HTTP/1.1\r\nhost: localhost\r\n\r\n`);
      await send(
        port,
        Buffer.from(`GET /one/mcp HTTP/1.1\r\nhost: localhost\r\nx-own: ${text.slice(0, 9000)}\r\n\r\n`),
      );
    }
    const all = await lines();
    expect(all.length).toBeGreaterThan(HOSTILE.length * 8);
    expect(all.filter((line) => line.startsWith("[error]"))).toEqual([]);
    // An id that is no plain one is not taken over.
    expect(all.filter((line) => /id=(?!\w{8}-\w+$)/.test(line) && / one /.test(line) && line.includes("ms "))).toEqual(
      [],
    );
  });

  test("hostile words of a server: what it asks for, its status line, its fields, its events", async () => {
    let at = 0;
    let way = 0;
    const { port, lines } = await start(() => {
      const text = HOSTILE[at]![1];
      const json = JSON.stringify(text);
      const field = inField(text);
      if (way === 0) {
        const asked = `data: {"jsonrpc":"2.0","id":7,"method":${json}}\n\n`;
        return `${SSE_HEAD}${chunk(`${asked}data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n`)}${chunk("")}`;
      }
      if (way === 1) return `HTTP/1.1 500 ${field}\r\nx-own: ${field}\r\ncontent-length: 0\r\n\r\n`;
      if (way === 2) return `${text}\r\n\r\n`;
      if (way === 3) return `HTTP/1.1 302 Found\r\nlocation: ${field}\r\ncontent-length: 0\r\n\r\n`;
      return `HTTP/1.1 401 No\r\nwww-authenticate: ${field}\r\ncontent-type: ${field}\r\ncontent-length: 0\r\n\r\n`;
    });
    for (at = 0; at < HOSTILE.length; at++)
      for (way = 0; way < 5; way++) {
        const client = await use(rawClient(port));
        client.send(post(call(), "/one/mcp", `${JSON_TYPE}connection: close\r\nx-request-id: s-${at}-${way}\r\n`));
        await within(client.ended, `the answer to ${at}-${way}`, { timeout: 8000 });
      }
    const all = await lines();
    for (let i = 0; i < HOSTILE.length; i++)
      for (let j = 0; j < 5; j++) expect(all.filter((line) => line.endsWith(` id=s-${i}-${j}`))).toHaveLength(1);
    expect(all.filter((line) => line.startsWith("[error]"))).toEqual([]);
  });
});
