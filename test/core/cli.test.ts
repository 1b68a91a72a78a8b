import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { connectV1, connectV2 } from "../_harness/clients.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { runtime } from "../_harness/runtimes.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { folderWith } from "./files.ts";

const use = testScope();
const url = "http://127.0.0.1:9/mcp";
const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const shell = async (command: string, cwd: string) =>
  (await promisify(execFile)("sh", ["-c", command], { cwd })).stdout;

/** Exit code 1, nothing on stdout, and this one line: no stack, no second line. */
async function refused(
  args: string[],
  line: string | RegExp,
  options: Parameters<typeof runCli>[1] = {},
): Promise<void> {
  const { code, stdout, stderr } = await runCli(args, { cwd: folderWith({}), ...options });
  expect(stderr).toMatch(typeof line === "string" ? /./ : line);
  if (typeof line === "string") expect(stderr).toBe(`penstock: ${line}\n`);
  expect(stderr.trim().split("\n")).toHaveLength(1);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
}

describe("what cannot be done is told in one line, with exit code 1", () => {
  const allowed = "`penstock --help` lists what is allowed.";
  test.each<[string, string[], string | RegExp]>([
    ["an unknown option", ["--prot", "1"], `"--prot" is not an option of this command. ${allowed}`],
    [
      "an option of another command",
      ["check", "--port", "1"],
      '"--port" is not an option of this command. `penstock check --help` lists what is allowed.',
    ],
    ["an unknown command", ["serve"], `"serve" is not a command. ${allowed}`],
    ["something left over", ["--url", url, "extra"], `"extra" is not an option of this command. ${allowed}`],
    ["a missing value at the end", ["--url"], `--url needs a value. ${allowed}`],
    ["a missing value before an option", ["--port", "--url", url], `--port needs a value. ${allowed}`],
    ["a port that is no number", ["--url", url, "--port", "abc"], '--port: "abc" is no port; allowed is 0 to 65535.'],
    [
      "a port that does not exist",
      ["--url", url, "--port=65536"],
      '--port: "65536" is no port; allowed is 0 to 65535.',
    ],
    [
      "an unknown log format",
      ["--url", url, "--log-format", "xml"],
      /--log-format \(xml\)\. Expected one of: text, json\./,
    ],
    ["a value where none is taken", ["check", "--json=yes"], /--json takes no value\./],
    ["an empty port", ["--url", url, "--port", ""], '--port: "" is no port; allowed is 0 to 65535.'],
    [
      "an unknown log level",
      ["--url", url, "--log-level", "loud"],
      /--log-level \(loud\)\. Expected one of: silent, error, warn, info, debug\./,
    ],
    [
      "nothing to serve",
      [],
      "There is nothing to serve. Give --url URL, --mcp-json FILE or -- CMD ARGS…, or write a configuration: `penstock init`.",
    ],
    [
      "nothing behind --",
      ["--port", "0", "--"],
      "-- needs a command behind it, such as `penstock -- npx -y @modelcontextprotocol/server-everything`. `penstock --help` lists what is allowed.",
    ],
    [
      "a command beside a URL",
      ["--url", url, "--", "node"],
      "A command behind -- stands for a configuration of its own; leave --url, --config and --mcp-json away.",
    ],
    [
      "two sources",
      ["--url", url, "--config", "x"],
      "--url stands for a configuration of its own; leave --config and --mcp-json away.",
    ],
    [
      "a file that is no configuration",
      ["--config", import.meta.dirname],
      /is no configuration file\. Allowed are \.ts, \.mts, /,
    ],
    ["a missing file", ["--config", "no.ts"], "There is no file no.ts. Name an existing one with --config."],
    [
      "a missing mcp.json",
      ["--mcp-json", "no.json"],
      "There is no readable file no.json (ENOENT). Name an existing one with --mcp-json.",
    ],
    [
      "a url that is none",
      ["--url", "docs"],
      '--url: "docs" is no http: or https: URL, such as "https://docs.example.com/mcp".',
    ],
    [
      "a password in a url",
      ["--url", "http://u:s3cret@h/"],
      /^penstock: servers\.server\.url: user and password do not belong into a URL; (?!.*s3cret)/,
    ],
  ])("%s", (_, args, line) => refused(args, line));

  test("a PORT that is none, named as what it is", () =>
    refused(["--url", url], 'PORT: "abc" is no port; allowed is 0 to 65535.', { env: { PORT: "abc" } }));

  test("one server in two files", async () => {
    const cwd = folderWith({
      "penstock.config.json": { servers: { a: { url } } },
      "mcp.json": { mcpServers: { a: { url } } },
    });
    await refused(
      ["--config", "penstock.config.json", "--mcp-json", "mcp.json"],
      /Server 'a' stands in .* and in mcp\.json\. Rename one\.\n$/,
      { cwd },
    );
  });

  test("an address that this machine has not", async () => {
    const cwd = folderWith({
      "penstock.config.json": { servers: { a: { url } }, host: "203.0.113.7", port: 0, allowUnauthenticated: true },
    });
    await refused(
      [],
      /^penstock: "203\.0\.113\.7" is no address of this machine \((?:EADDRNOTAVAIL|EINVAL)\)\. Choose another with --host\.\n$/,
      {
        cwd,
      },
    );
  });

  test.each<[string, string, string, RegExp]>([
    ["JSON that is none", "a.json", "{]", /^penstock: a\.json is not JSON: see line 1, column 2\.\n$/],
    [
      "TypeScript that is none",
      "a.ts",
      "export default {",
      /^penstock: a\.ts could not be loaded: .*\(line 1, column \d+\)\n$/,
    ],
    [
      "a package that is not there",
      "a.ts",
      'import "no-such-package"; export default {}',
      /^penstock: a\.ts could not be loaded: Cannot find module 'no-such-package'\n$/,
    ],
    [
      "a default export that is null",
      "a.mjs",
      "export default null",
      /^penstock: a\.mjs has no configuration as its default export/,
    ],
    [
      "a function that returns nothing",
      "a.mjs",
      "export default () => {}",
      /^penstock: a\.mjs has no configuration as its default export/,
    ],
    [
      "a mistake in its code",
      "a.mjs",
      "null.x",
      /^penstock: a\.mjs could not be loaded: (?:Cannot read properties of null|null is not an object)/,
    ],
  ])("a configuration that cannot be loaded: %s", async (_, file, text, line) => {
    await refused(["check", "-c", file], line, { cwd: folderWith({ [file]: text }) });
  });

  test("a default export that was forgotten", async () => {
    const cwd = folderWith({ "a.ts": `export const servers = "x".length;` });
    const { code, stderr } = await runCli(["check", "-c", "a.ts"], {
      cwd: folderWith({ "a.ts": "export const config = 1;" }),
    });
    expect(code).toBe(1);
    expect(stderr).toContain(
      "servers: it is missing. Does the file end with `export default defineConfig({ servers: { … } })`?",
    );
    expect((await runCli(["check", "-c", "a.ts"], { cwd })).stderr).toContain(
      "servers: found 1; allowed is an object.",
    );
  });

  test("two servers on one path", async () => {
    const cwd = folderWith({
      "penstock.config.json": { servers: { a: { url, path: "/x" }, b: { url, path: "/x/" } } },
    });
    await refused([], "/x is claimed by server 'a' and by server 'b'. Give one of them another path.", { cwd });
  });

  test("a plugin that is none, and one whose factory was not called: which one is said", async () => {
    const cwd = folderWith({
      "penstock.config.mjs": `export default { servers: { a: { url: "${url}" } }, plugins: [function rateLimit() {}] }`,
    });
    await refused([], /plugin 'rateLimit'.* was a factory not called\?/, { cwd });
  });
});

describe("what is asked for is printed", () => {
  test("the version, and nothing else", async () => {
    for (const option of ["--version", "-v"])
      expect(await runCli([option])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  const SOURCES = ["--config", "--url", "--mcp-json", "--log-level", "--log-format"];
  test.each([
    [
      [],
      [...SOURCES, "--port", "--host", "--socket", "--tls-cert", "--tls-key", "check", "routes", "doctor", "init"],
      "--json",
    ],
    [["check"], [...SOURCES, "--json"], "--port"],
    [["routes"], [...SOURCES, "--port", "--host", "--json"], "--socket"],
    [["init"], ["--from", "--force", "--json"], "--url"],
  ])("help of penstock %s: every option of it, and no other", async (command, words, absent) => {
    const { code, stdout, stderr } = await runCli([...command, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const word of [...words, "--help", "--version"]) expect(stdout).toContain(word);
    expect(stdout).not.toContain(absent);
  });

  test("routes: whole public paths, most specific first", async () => {
    const cwd = folderWith({
      "penstock.config.json": { servers: { b: { url }, a: { url }, all: { url, path: "/:any/mcp" } } },
    });
    const { code, stdout } = await runCli(["routes", "--port", "4000"], { cwd });
    expect(code).toBe(0);
    const paths = stdout.trim().split(/\n */);
    expect(paths.filter((line) => line.includes("server '")).map((line) => line.replace(/ {2,}/g, "  "))).toEqual([
      "GET,POST,DELETE  http://127.0.0.1:4000/a/mcp  server 'a'",
      "POST  http://127.0.0.1:4000/a/messages  server 'a' (HTTP+SSE)",
      "GET  http://127.0.0.1:4000/a/sse  server 'a' (HTTP+SSE)",
      "GET,POST,DELETE  http://127.0.0.1:4000/b/mcp  server 'b'",
      "POST  http://127.0.0.1:4000/b/messages  server 'b' (HTTP+SSE)",
      "GET  http://127.0.0.1:4000/b/sse  server 'b' (HTTP+SSE)",
      "GET,POST,DELETE  http://127.0.0.1:4000/:any/mcp  server 'all'",
    ]);
    expect(paths).toContainEqual(
      expect.stringMatching(/^POST +http:\/\/127\.0\.0\.1:4000\/token +plugin 'oauth-root'$/),
    );
  });

  test("check: mounts, paths, and the plugins of each mount in their order, each once", async () => {
    const plugins =
      '[{ name: "last", order: "post", done() {} }, { name: "one", request() {} }, { name: "first", order: "pre" }]';
    const cwd = folderWith({
      "penstock.config.mjs": `export default { servers: { a: { url: "${url}?key=s3cret", path: "/a" }, b: { url: "${url}", path: "/b", plugins: [{ name: "own" }] } }, plugins: ${plugins} }`,
    });
    const { code, stdout } = await runCli(["check"], { cwd });
    expect(code).toBe(0);
    expect(stdout).toContain(`  a  /a  → ${url}\n  b  /b  → ${url}\n`);
    expect([...stdout.matchAll(/\d\. +(\S+)/g)].map(([, name]) => name)).toEqual([
      "first",
      "one",
      "last",
      "first",
      "one",
      "own",
      "last",
    ]);
    expect(stdout).not.toContain("s3cret");
  });

  test("check: who is called at each hook, in the order in which exchanges call them", async () => {
    const plugin = (name: string, order?: string) =>
      `{ name: "${name}", ${order ? `order: "${order}",` : ""}
        request() { called.push("request ${name}"); },
        async forward(exchange, request, next) { called.push("forward ${name}"); return next(request); },
        response() { called.push("response ${name}"); },
        done() { called.push("done ${name}"); },
        message: [
          { filter: { direction: "up", kind: "request" }, handler() { called.push("up ${name}"); } },
          { filter: { direction: "down", kind: "response", method: ["ping", "x"] }, handler() { called.push("down ${name}"); } },
        ] }`;
    const tell = `{ name: "tell", order: "pre", guard() {}, close() { console.log(JSON.stringify(called)); } }`;
    const server = await use(startLegacyServer({ sessions: false }));
    const cwd = folderWith({
      "penstock.config.mjs": `const called = [];
        export default { port: 0,
          servers: { a: { url: "${server.url}", path: "/a", plugins: [${plugin("own")}] } },
          plugins: [${tell}, ${plugin("last", "post")}, ${plugin("one")}] }`,
    });
    const { stdout, stderr } = await runCli(["check", "--json"], { cwd });
    // What the configuration prints does not stand amid the JSON.
    expect(stderr).toBe("[]\n");
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      valid: true,
      file: join(cwd, "penstock.config.mjs"),
      hooks: { guard: ["tell"], close: ["tell"], config: [], setup: [] },
    });
    const [{ hooks }] = report.servers;
    expect(hooks.request).toEqual(["one", "own", "last"]);
    expect(hooks.response).toEqual(["last", "own", "one"]);
    expect(hooks.messageDown[0]).toEqual({ plugin: "last", kind: "response", methods: ["ping", "x"], era: null });

    const cli = await use(startCli([], { cwd }));
    await fetch(`${cli.url}/a`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
      body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
    });
    cli.kill("SIGTERM");
    await cli.exited;
    const called = JSON.parse(/^\[.*\]$/m.exec(cli.stdout())![0]) as string[];
    const names = (hook: { plugin: string }[]) => hook.map(({ plugin }) => plugin);
    const told = {
      request: hooks.request,
      up: names(hooks.messageUp),
      forward: hooks.forward,
      down: names(hooks.messageDown),
      response: hooks.response,
      done: hooks.done,
    };
    for (const [hook, plugins] of Object.entries(told))
      expect(called.filter((call) => call.startsWith(`${hook} `))).toEqual(
        (plugins as string[]).map((name) => `${hook} ${name}`),
      );

    const text = await runCli(["check"], { cwd });
    expect(text.stdout).toContain("  request       one → own → last\n");
    expect(text.stdout).toContain("  response      last → own → one\n");
    expect(text.stdout).toContain(
      "message down  last (response ping,x) → own (response ping,x) → one (response ping,x)\n",
    );
    expect(text.stdout).toMatch(/Hooks of the proxy, for all servers:\n {2}guard +tell\n/);
  });

  test("as a whole, though it is more than a pipe holds, and without complaint to one that leaves", async () => {
    const servers = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`server-${i}`, { url }]));
    const cwd = folderWith({ "big.json": { servers } });
    const { stdout } = await runCli(["check", "--json", "-c", "big.json"], { cwd });
    expect(stdout.length).toBeGreaterThan(1_000_000);
    expect(JSON.parse(stdout).servers).toHaveLength(1000);
    const cli = `"${process.execPath}" "${join(process.cwd(), "dist/core/cli.mjs")}" routes -c big.json`;
    expect(await shell(`${cli} 2>&1 | head -1`, cwd)).toMatch(
      /^ {2}\S+ +http:\/\/127\.0\.0\.1:3333\/\S+ +plugin '\S+'\n$/,
    );
  });

  test("--json: routes as data, and errors too, on stdout with exit code 1", async () => {
    const cwd = folderWith({
      "ok.json": { servers: { a: { url, path: "/x" } }, plugins: [] },
      "bad.json": { servers: {} },
    });
    expect(JSON.parse((await runCli(["routes", "--json", "-c", "ok.json", "-p", "4000"], { cwd })).stdout)).toEqual({
      origin: "http://127.0.0.1:4000",
      routes: [{ path: "/x", url: "http://127.0.0.1:4000/x", methods: ["GET", "POST", "DELETE"], owner: "server 'a'" }],
    });
    for (const [args, code, message] of [
      [["check", "--json", "-c", "bad.json"], "BAD_CONFIG", /servers: found an empty object/],
      [["routes", "--json", "-c", "none.json"], "BAD_CONFIG", /There is no file none\.json/],
      [["check", "--bogus", "--json"], "BAD_ARGUMENT", /"--bogus" is not an option/],
      [["init", "--json", "--from", "none.json"], "BAD_CONFIG", /There is no readable file/],
    ] as const) {
      const { code: exit, stdout, stderr } = await runCli([...args], { cwd });
      expect({ exit, stderr }).toEqual({ exit: 1, stderr: "" });
      expect(JSON.parse(stdout)).toEqual({ error: { code, message: expect.stringMatching(message) } });
    }
  });

  test("check: the default plugins, where the file names none; and no start that would be refused", async () => {
    const cwd = folderWith({
      "ok.json": { servers: { a: { url } } },
      "open.json": { servers: { a: { url } }, host: "0.0.0.0" },
    });
    expect((await runCli(["check", "-c", "ok.json"], { cwd })).stdout).toMatch(
      /1\. +host-guard[^]*2\. +mounts[^]*3\. +request-log[^]*4\. +health[^]*5\. +oauth-root[^]*6\. +unsupported[^]*7\. +sse-relay[^]*8\. +sessions[^]*9\. +timeout[^]*10\. +retry[^]*11\. +breaker[^]*12\. +bridge[^]*The configuration is valid\.\n$/,
    );
    await refused(["check", "-c", "open.json"], /host: "0\.0\.0\.0" can be reached from other machines/, { cwd });
  });
});

describe("a started proxy", () => {
  test("says what it is and on what it runs", async () => {
    const cli = await use(startCli(["--url", url, "--port", "0"]));
    expect(cli.stdout().split("\n")[0]).toBe(
      `Penstock ${version} on ${runtime().label} ${runtime().version} listening on ${cli.url}`,
    );
  });

  test("with --log-format json prints nothing but JSON lines, from its start to its end", async () => {
    const cli = await use(startCli(["--url", "http://127.0.0.1:1/mcp", "--port", "0", "--log-format=json"]));
    expect((await fetch(`${cli.url}/mcp`)).status).toBe(502);
    cli.kill("SIGTERM");
    await cli.exited;
    expect(JSON.parse(cli.stdout())).toMatchObject({ level: "info", url: cli.url, servers: ["server"] });
    const lines = cli
      .stderr()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { level: string; message: string });
    expect(lines.at(-1)).toMatchObject({ level: "info", message: expect.stringMatching(/^SIGTERM: stopping/) });
    for (const { level } of lines) expect(["info", "warn"]).toContain(level);
    const failed = await runCli(["--url", "http://127.0.0.1:1/mcp", "--port", "x", "--log-format", "json"]);
    expect(JSON.parse(failed.stderr)).toMatchObject({
      level: "error",
      message: '--port: "x" is no port; allowed is 0 to 65535.',
    });
  });

  test("goes on when whoever reads its log has left", async () => {
    const cli = await use(startCli(["--url", "http://127.0.0.1:1/mcp", "--port", "0"]));
    cli.hangUp();
    for (let i = 0; i < 3; i++) expect((await fetch(`${cli.url}/mcp`)).status).toBe(502);
    cli.kill("SIGTERM");
    expect(await cli.exited).toMatchObject({ code: 0 });
  });

  test("connects clients of both eras with --url", async () => {
    const [legacy, modern] = [await use(startLegacyServer()), await use(startModernServer())];
    for (const server of [legacy, modern]) {
      const cli = await use(startCli(["--url", server.url, "--port", "0"]));
      const { client } = await use<
        { client: { listTools(): Promise<{ tools: unknown[] }> }; close(): Promise<void> } & AsyncDisposable
      >(server === legacy ? connectV1(`${cli.url}/mcp`) : connectV2(`${cli.url}/server/mcp`));
      expect((await client.listTools()).tools.length).toBeGreaterThan(0);
      expect(cli.stderr()).not.toMatch(/warn|error|⚠|✖/i);
    }
  });

  test("takes the port from --port, then PORT, then its file", async () => {
    const cwd = folderWith({ "penstock.config.json": { servers: { a: { url } }, port: 1, host: "127.0.0.1" } });
    expect((await use(startCli([], { cwd, env: { PORT: "0" } }))).port).toBeGreaterThan(1);
    expect((await use(startCli(["-p", "0"], { cwd, env: { PORT: "1" } }))).port).toBeGreaterThan(1);
  });
});
