import { existsSync, lstatSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import { closeable } from "../_harness/loopback.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";
import { within } from "../_harness/wait.ts";
import { folderWith } from "./files.ts";

const use = testScope();
const url = "http://127.0.0.1:9/mcp";

/** The status of one request over a socket. */
function status(socketPath: string, path: string, body?: string, more: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream", ...more };
    const call = request({ socketPath, path, agent: false, method: body ? "POST" : "GET", headers }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode!));
    });
    call.on("error", reject);
    call.end(body);
  });
}

const mode = (path: string) => (lstatSync(path).mode & 0o777).toString(8);
const list = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

describe("--socket", () => {
  test("serves there, for this user alone, and removes the file at the stop", async () => {
    const server = await use(startLegacyServer({ sessions: false }));
    const path = join(folderWith({}), "p.sock");
    const cli = await use(startCli(["--url", server.url, "--socket", path]));
    expect(cli.url).toBe(`unix:${path}`);
    expect(cli.stdout()).toContain(`curl --unix-socket ${path} http://localhost/server/mcp`);
    expect(mode(path)).toBe("600");
    expect(await status(path, "/mcp", list)).toBe(200);
    cli.kill("SIGTERM");
    expect(await within(cli.exited, "the exit")).toMatchObject({ code: 0 });
    expect(existsSync(path)).toBe(false);
  });

  test("whoever may connect is on this machine, and sees its details; not so those for whom another proxy speaks", async () => {
    const path = join(folderWith({}), "p.sock");
    await use(startCli(["--url", url, "--socket", path]));
    expect(await status(path, "/health")).toBe(200);
    expect(await status(path, "/health", undefined, { "x-forwarded-for": "203.0.113.7" })).toBe(403);
    expect(await status(path, "/health", undefined, { host: "proxy.example.com" })).toBe(403);
  });

  test("needs no authenticating plugin, whatever the host in the file is", async () => {
    const cwd = folderWith({ "penstock.config.json": { servers: { a: { url } }, host: "0.0.0.0" } });
    const cli = await use(startCli(["--socket", "p.sock"], { cwd }));
    expect(await status(join(cwd, "p.sock"), "/nothing")).toBe(404);
    expect(cli.stderr()).toBe("");
  });

  test("takes over the file of a process that died", async () => {
    const cwd = folderWith({});
    const first = await use(startCli(["--url", url, "--socket", "p.sock"], { cwd }));
    first.kill("SIGKILL");
    await within(first.exited, "the exit");
    expect(existsSync(join(cwd, "p.sock"))).toBe(true);
    await use(startCli(["--url", url, "--socket", "p.sock"], { cwd }));
    expect(await status(join(cwd, "p.sock"), "/nothing")).toBe(404);
  });

  test("leaves that of a living process alone: taken, and still served", async () => {
    const cwd = folderWith({});
    const path = join(cwd, "p.sock");
    await use(startCli(["--url", url, "--socket", path], { cwd }));
    expect(await runCli(["--url", url, "--socket", path], { cwd })).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `penstock: The socket ${path}: it is taken by a running process. Stop that, or choose another path.\n`,
    });
    expect(await status(path, "/nothing")).toBe(404);
  });

  test("leaves a file that is no socket alone", async () => {
    const cwd = folderWith({ notes: "mine" });
    const { code, stderr } = await runCli(["--url", url, "--socket", "notes"], { cwd });
    expect(code).toBe(1);
    expect(stderr).toMatch(/there is a file that is no socket\. Choose another path, or remove it\.\n$/);
    expect(readFileSync(join(cwd, "notes"), "utf8")).toBe("mine");
  });

  test.each([
    ["a folder that does not exist", "no/such/folder/p.sock", /its folder does not exist/],
    [
      "a path that the system would cut off",
      "x".repeat(120),
      /its path is longer than 103 bytes\. Choose a shorter one\.\n$/,
    ],
  ])("%s is one clear line", async (_, path, line) => {
    const { code, stderr } = await runCli(["--url", url, "--socket", path], { cwd: folderWith({}) });
    expect({ code, lines: stderr.split("\n").length }).toEqual({ code: 1, lines: 2 });
    expect(stderr).toMatch(line);
  });

  test("beside --port or --host is refused", async () => {
    for (const more of [
      ["--port", "1"],
      ["--host", "::1"],
    ])
      expect((await runCli(["--url", url, "--socket", "x", ...more])).stderr).toBe(
        "penstock: --socket stands in place of --port and --host; leave them away.\n",
      );
  });
});

describe("socket in the configuration", () => {
  test("is relative to the file, loses to --port, and PORT does not matter", async () => {
    const cwd = folderWith({ "penstock.config.json": { servers: { a: { url } }, socket: "p.sock" } });
    const cli = await use(startCli([], { cwd, env: { PORT: "1" }, writes: true }));
    expect(cli.url).toBe(`unix:${join(cwd, "p.sock")}`);
    expect((await use(startCli(["--port", "0"], { cwd }))).url).toMatch(/^http:/);
    expect((await runCli(["routes"], { cwd })).stdout).toMatch(/GET,POST,DELETE  \/a\/mcp +server 'a'/);
  });

  test("beside a port is a mistake", async () => {
    const cwd = folderWith({ "penstock.config.json": { servers: { a: { url } }, socket: "p.sock", port: 1 } });
    expect((await runCli(["check"], { cwd })).stderr).toContain(
      "socket: found beside port or host; allowed is one of them.",
    );
  });
});

test("the library listens on one too", async () => {
  const path = join(folderWith({}), "p.sock");
  const penstock = createPenstock({ servers: { a: { url, path: "/a" } } });
  const server = await use(penstock.serve({ socket: path }).then(closeable));
  expect(server).toMatchObject({ url: `unix:${path}`, port: 0 });
  expect(await status(path, "/nothing")).toBe(404);
  await server.close();
  expect(existsSync(path)).toBe(false);
});
