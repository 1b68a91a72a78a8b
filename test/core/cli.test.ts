import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { connectV1, connectV2 } from "../_harness/clients.ts";
import { closeable, listen, stop } from "../_harness/loopback.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { folderWith } from "./files.ts";

const use = testScope();
const url = "http://127.0.0.1:9/mcp";
const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

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
    ["an empty port", ["--url", url, "--port", ""], '--port: "" is no port; allowed is 0 to 65535.'],
    [
      "an unknown log level",
      ["--url", url, "--log-level", "loud"],
      /--log-level \(loud\)\. Expected one of: silent, error, warn, info, debug\./,
    ],
    [
      "nothing to serve",
      [],
      "There is nothing to serve. Give --url URL or --mcp-json FILE, or write a penstock.config.ts (see the README).",
    ],
    [
      "two sources",
      ["--url", url, "--config", "x"],
      "--url stands for a configuration of its own; leave --config and --mcp-json away.",
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
      'servers.server.url: a URL such as "https://docs.example.com/mcp" is needed.',
    ],
    [
      "a password in a url",
      ["--url", "http://u:s3cret@h/"],
      /^penstock: servers\.server\.url: user and password do not belong into a URL; (?!.*s3cret)/,
    ],
    [
      "an address that others reach",
      ["--url", url, "--host", "0.0.0.0"],
      'host: "0.0.0.0" can be reached from other machines, and no plugin asks callers who they are. Listen on 127.0.0.1, or set allowUnauthenticated: true.',
    ],
  ])("%s", (_, args, line) => refused(args, line));

  test("a PORT that is none, named as what it is", () =>
    refused(["--url", url], 'PORT: "abc" is no port; allowed is 0 to 65535.', { env: { PORT: "abc" } }));

  test("a port that is taken", async () => {
    const other = createServer();
    const port = await listen(other);
    await use(closeable({ close: () => stop(other) }));
    await refused(
      ["--url", url, "--port", String(port)],
      `Port ${port} on 127.0.0.1 is taken. Choose another with --port, or 0 for a free one.`,
    );
  });

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

  test("help, with every option and command", async () => {
    const { code, stdout } = await runCli(["--help"]);
    for (const word of [
      "--config",
      "--url",
      "--mcp-json",
      "--log-level",
      "--port",
      "--host",
      "--version",
      "check",
      "routes",
    ])
      expect(stdout).toContain(word);
    expect(code).toBe(0);
    expect((await runCli(["check", "--help"])).stdout).not.toContain("--port");
  });

  test("routes: whole public paths, most specific first", async () => {
    const cwd = folderWith({
      "penstock.config.json": { servers: { b: { url }, a: { url }, all: { url, path: "/:any/mcp" } } },
    });
    const { code, stdout } = await runCli(["routes", "--port", "4000"], { cwd });
    expect(code).toBe(0);
    expect(stdout.trim().split(/\n */)).toEqual([
      "GET,POST,DELETE  http://127.0.0.1:4000/a/mcp     server 'a'",
      "GET,POST,DELETE  http://127.0.0.1:4000/b/mcp     server 'b'",
      "GET,POST,DELETE  http://127.0.0.1:4000/:any/mcp  server 'all'",
    ]);
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

  test("check: the default plugins, where the file names none; and no start that would be refused", async () => {
    const cwd = folderWith({
      "ok.json": { servers: { a: { url } } },
      "open.json": { servers: { a: { url } }, host: "0.0.0.0" },
    });
    expect((await runCli(["check", "-c", "ok.json"], { cwd })).stdout).toMatch(
      /1\. +host-guard[^]*2\. +mounts[^]*3\. +request-log[^]*4\. +unsupported[^]*5\. +sse-relay[^]*The configuration is valid\.\n$/,
    );
    await refused(["check", "-c", "open.json"], /host: "0\.0\.0\.0" can be reached from other machines/, { cwd });
  });
});

describe("a started proxy", () => {
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

  test("listens although a server is down, and says so to that server's clients only", async () => {
    const server = await use(startLegacyServer());
    const cwd = folderWith({
      "mcp.json": { mcpServers: { up: { url: server.url }, down: { url: "http://127.0.0.1:1/mcp" } } },
    });
    const cli = await use(startCli(["--mcp-json", join(cwd, "mcp.json"), "--port", "0"]));
    const { client } = await use(connectV1(`${cli.url}/up/mcp`));
    expect((await client.listTools()).tools).toHaveLength(6);
    expect((await fetch(`${cli.url}/down/mcp`)).status).toBe(502);
  });

  test("takes the port from --port, then PORT, then its file", async () => {
    const cwd = folderWith({ "penstock.config.json": { servers: { a: { url } }, port: 1, host: "127.0.0.1" } });
    expect((await use(startCli([], { cwd, env: { PORT: "0" } }))).port).toBeGreaterThan(1);
    expect((await use(startCli(["-p", "0"], { cwd, env: { PORT: "1" } }))).port).toBeGreaterThan(1);
  });
});
