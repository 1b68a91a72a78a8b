/** Where a configuration comes from: the file that the operator named, or the one in this folder; never a request or another folder. */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configModule } from "../_harness/child-config.ts";
import { rawClient } from "../_harness/peers.ts";
import { routes, standard } from "../_harness/plugins.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { CHILD, childrenOf, stdioServer } from "../_harness/stdio.ts";
import { call, jsonAnswer } from "../_harness/wire.ts";
import { folderWith } from "../core/files.ts";
import { describe, expect, test } from "vitest";
import { asking } from "./asking.ts";

const use = testScope();
const url = "http://127.0.0.1:9/mcp";

/** A server that answers everything. */
async function server() {
  const upstream = await scripted(() => jsonAnswer("{}"));
  await use(upstream.server);
  return { upstream, url: `${upstream.server.url}/mcp` };
}

async function listed(cwd: string): Promise<string[]> {
  const { routes } = JSON.parse((await runCli(["routes", "--json"], { cwd })).stdout) as { routes: { path: string }[] };
  return [...new Set(routes.map(({ path }) => path))];
}

describe("CF-03 no request defines a process, or names a configuration", () => {
  test("at no route of the proxy, nor at those that other products have, in no part of the request", async () => {
    const { url, upstream } = await server();
    const plugins = [
      standard(),
      routes({ path: "/own", method: "POST", does: "echo" }, { path: "/any/**", method: "PUT" }),
    ];
    const cwd = folderWith({
      "penstock.config.mjs": configModule({
        servers: { one: { url }, all: { url, path: "/all/**" }, local: stdioServer([], { path: "/local" }) },
        port: 0,
        plugins,
      }),
      "evil.json": { servers: { evil: { url, path: "/evil" } }, mcpServers: { evil: { url } } },
    });
    const paths = await listed(cwd);
    const cli = await use(startCli([], { cwd, runs: true }));
    expect(childrenOf(cli.pid)).toEqual([]);
    const ask = asking(use, cli.port);
    const [mark, config] = [join(cwd, "mark"), join(cwd, "evil.json")];
    const definition = {
      command: "touch",
      args: [mark],
      env: { NODE_OPTIONS: "--require /evil" },
      type: "stdio",
      config,
    };
    const bodies = [
      definition,
      { mcpServers: { evil: definition }, servers: { evil: definition } },
      { jsonrpc: "2.0", id: 1, method: "servers/add", params: { name: "evil", ...definition, server: definition } },
      { jsonrpc: "2.0", id: 2, method: "initialize", params: { capabilities: {}, ...definition } },
    ].map((body) => JSON.stringify(body));
    const query = new URLSearchParams({
      command: "touch",
      args: mark,
      config,
      transportType: "stdio",
      url: "http://127.0.0.1:9/",
    });
    const fields = ["x-config", "x-penstock-config", "x-mcp-config", "penstock-config"].map(
      (name) => `${name}: ${config}`,
    );
    const others = [
      "/",
      "/servers",
      "/config",
      "/api/servers",
      "/api/v1/config",
      "/admin",
      "/reload",
      "/stdio",
      "/sse",
      "/evil",
    ];
    for (const path of new Set([...paths, ...others])) {
      const target = `${path.replaceAll(/\*\*(?::\w+)?/g, "a/b").replaceAll(/:\w+|\*/g, "x")}?${query}`;
      for (const method of ["POST", "PUT"]) for (const body of bodies) await ask({ method, target, fields, body });
      await ask({ method: "DELETE", target, fields });
      const client = await use(rawClient(cli.port));
      client.send(`GET ${target} HTTP/1.1\r\nhost: localhost\r\n${fields.join("\r\n")}\r\n\r\n`);
      // Some of them open a stream.
      await client.receive(/^HTTP\/1\.1 \d+/);
      await client.close();
    }
    expect(existsSync(mark)).toBe(false);
    // The one command that is configured, and with nothing added to it.
    const lines = childrenOf(cli.pid).map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0"));
    for (const line of lines) expect(line).toEqual([process.execPath, CHILD, ""]);
    for (const target of ["/evil", "/evil/mcp"]) expect((await ask({ target })).status).toBe(404);
    expect((await ask({ target: "/one/mcp" })).status).toBe(200);
    // What went on went to the configured address, as a message.
    expect(upstream.requests.every(({ target }) => target === "/mcp")).toBe(true);
  }, 20_000);

  test("a configured one is started by the first client that needs it, and by no command that only looks", async () => {
    const cwd = folderWith({});
    const definition = { command: "touch", args: [join(cwd, "mark")] };
    writeFileSync(join(cwd, "penstock.config.json"), JSON.stringify({ servers: { evil: definition }, port: 0 }));
    for (const args of [["check"], ["routes"]]) expect((await runCli(args, { cwd })).code).toBe(0);
    const cli = await use(startCli([], { cwd, runs: true, env: { PENSTOCK_PROBE_INTERVAL: "20" } }));
    const ask = asking(use, cli.port);
    for (let i = 0; i < 3; i++) expect((await ask({ method: "GET", target: "/health" })).status).toBe(200);
    expect(existsSync(join(cwd, "mark"))).toBe(false);
    expect(childrenOf(cli.pid)).toEqual([]);
  });
});

describe("CF-03 files of other folders", () => {
  const evil = { servers: { evil: { url, path: "/evil" } } };

  /** A folder in one that is full of configurations, with a home that is, too. */
  function inside(files: Record<string, unknown>) {
    const parent = folderWith({
      "penstock.config.json": evil,
      "penstock.config.mjs": `export default ${JSON.stringify(evil)};`,
      ".penstockrc": "servers.evil.url=http://127.0.0.1:9/mcp",
      "package.json": { name: "x", penstock: evil },
      ".env": "F_DOTENV=http://127.0.0.1:9/mcp",
      "pnpm-workspace.yaml": "packages: ['*']",
    });
    const folder = (name: string) => {
      mkdirSync(join(parent, name), { recursive: true });
      return join(parent, name);
    };
    const cwd = folder("inner");
    for (const [name, content] of Object.entries(files))
      writeFileSync(join(cwd, name), typeof content === "string" ? content : JSON.stringify(content));
    const home = folder("home/.config/penstock");
    writeFileSync(join(home, "penstock.config.json"), JSON.stringify(evil));
    for (const rc of ["home/.penstockrc", "home/.config/.penstockrc"])
      writeFileSync(join(parent, rc), "servers.evil.url=http://127.0.0.1:9/mcp");
    const env = { HOME: join(parent, "home"), XDG_CONFIG_HOME: join(parent, "home/.config") };
    return { cwd, env };
  }

  test("are not looked for where this folder has none", async () => {
    const { code, stderr } = await runCli(["--port", "0"], inside({ "package.json": { penstock: evil } }));
    expect(stderr).toMatch(/^penstock: There is nothing to serve\./);
    expect(code).toBe(1);
  });

  test("add nothing where it has one, not even variables", async () => {
    const own = { servers: { own: { url, path: "/own" } }, plugins: [] };
    const found = inside({ "penstock.config.json": own, ".penstockrc": "servers.rc.url=http://127.0.0.1:9/mcp" });
    const { stdout } = await runCli(["routes", "--json"], found);
    expect((JSON.parse(stdout) as { routes: { path: string }[] }).routes.map(({ path }) => path)).toEqual(["/own"]);
    const { code, stderr } = await runCli(
      ["--port", "0"],
      inside({ "penstock.config.json": { servers: { a: { url: "${F_DOTENV}" } } } }),
    );
    expect(stderr).toContain("servers.a.url: the environment variable F_DOTENV is not set.");
    expect(code).toBe(1);
  });
});

test("CF-03 a file that is rewritten, or whose link leads elsewhere, changes nothing in a running proxy", async () => {
  const { url } = await server();
  const config = (path: string) => JSON.stringify({ servers: { one: { url, path } }, port: 0 });
  const cwd = folderWith({ "first.json": config("/first"), "second.json": config("/second") });
  const link = join(cwd, "penstock.config.json");
  symlinkSync("first.json", link);
  const cli = await use(startCli([], { cwd }));
  const ask = asking(use, cli.port);
  const statuses = async () => [(await ask({ target: "/first" })).status, (await ask({ target: "/second" })).status];
  expect(await statuses()).toEqual([200, 404]);
  rmSync(link);
  symlinkSync("second.json", link);
  writeFileSync(join(cwd, "first.json"), config("/second"));
  expect((await ask({ target: "/first", body: call(2) })).status).toBe(200);
  expect(await statuses()).toEqual([200, 404]);
});
