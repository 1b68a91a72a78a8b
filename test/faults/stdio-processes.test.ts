/** Processes that end, do not end, cannot be started, or do not read. */
import { describe, expect, test } from "vitest";
import { unsupported } from "../_harness/plugins.ts";
import { type Cli, type RunningProxy, startCli, startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { CHILD, StdioClient, childrenOf, gone, isAlive, membersOf, stdioServer } from "../_harness/stdio.ts";
import { within } from "../_harness/wait.ts";
import { folderWith } from "../core/files.ts";

const use = testScope();

const serve = (options: string[] = [], more: object = {}): Promise<RunningProxy> =>
  use(startProxy({ servers: { one: stdioServer(options, more) }, plugins: [unsupported()] }));

async function newest(proxy: RunningProxy | Cli, before: readonly number[] = []): Promise<number> {
  const found = childrenOf(proxy.pid).filter((pid) => !before.includes(pid));
  expect(found).toHaveLength(1);
  return found[0]!;
}

describe("SD-03 a process that ends", () => {
  test.each([
    ["exits", "exit", "exited with code 1"],
    ["is killed", "die", "was ended by SIGKILL"],
  ])("that %s with 20 calls under way: each fails at once, and another session goes on", async (_, how, why) => {
    const proxy = await serve();
    const [one, other] = [await StdioClient.open(proxy.url), await StdioClient.open(proxy.url)];
    const held = Array.from({ length: 20 }, (_, i) => one.call("wait", { name: String(i) }));
    const ends: number[] = [];
    for (const call of held) void call.then(() => ends.push(performance.now()));
    // Behind the twenty: all of them are with the server.
    expect(await one.text("executed")).toBe("20");
    await one.call(how);
    const answers = await within(Promise.all(held), "twenty answers");
    expect(answers.map(({ response }) => response.error!.data!.code)).toEqual(Array(20).fill("UPSTREAM_BROKE"));
    expect(answers[0]!.response.error!.message).toContain(`Its process ${why}`);
    // 100 ms on a machine with nothing else to do.
    expect(Math.max(...ends) - Math.min(...ends)).toBeLessThan(500);
    expect((await one.call("echo")).status).toBe(404);
    expect(await other.text("echo", { text: "well" })).toBe("well");
    // The next session waits for the back-off, and is served.
    const next = await StdioClient.open(proxy.url);
    await Promise.all([other.end(), next.end()]);
  });

  test("as often as it is started: refused for a while, without a process for each request", async () => {
    const proxy = await serve(["--exit-first"]);
    const client = new StdioClient(proxy.url);
    const statuses: number[] = [];
    const startedAt = performance.now();
    for (let i = 0; i < 6; i++) {
      const { status, headers, response } = await client.initialize();
      statuses.push(status);
      expect(response.error!.data!.code).toBe(status === 502 ? "SERVER_START_FAILED" : "SERVER_SUSPENDED");
      if (status === 502) expect(response.error!.message).toContain("exited with code 3");
      else expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
      // Nothing that it wrote, and nothing of this machine.
      expect(response.error!.message).not.toMatch(/database|--exit|node/);
    }
    expect(statuses).toEqual([502, 502, 502, 503, 503, 503]);
    // After half a second, and after one.
    expect(performance.now() - startedAt).toBeGreaterThan(1400);
  });

  test.each([
    ["no such command", { command: "/nonexistent/c4nary-command" }],
    ["no such folder", { cwd: "/nonexistent/c4nary-folder" }],
  ])("before it began: %s", async (_, more) => {
    const client = new StdioClient((await serve([], more)).url);
    const { status, response } = await client.initialize();
    expect([status, response.error!.data!.code]).toEqual([502, "SERVER_START_FAILED"]);
    expect(response.error!.message).toMatch(
      /^Server 'one' could not be started\. Check its command, args and env; .* no such command, or no such cwd\.$/,
    );
  });
});

describe("SD-05 a process that does not want to end", () => {
  const start = (options: string[], command?: object) => {
    const config = { servers: { one: stdioServer(options, command) }, port: 0, drainTimeout: 100 };
    return use(startCli([], { cwd: folderWith({ "penstock.config.json": config }), runs: true }));
  };
  const stubborn = ["--ignore-eof", "--ignore-term", "--grandchild"];
  /** A shell that waits for the server, as `npx` and `uvx` do in their ways. */
  const shell = { command: "sh", args: ["-c", `"${process.execPath}" "${CHILD}" ${stubborn.join(" ")}; true`] };

  test.each(["SIGTERM", "twice SIGTERM"])("%s: the whole group is gone", async (how) => {
    const cli = await start([], shell);
    await StdioClient.open(cli.url);
    const group = await newest(cli);
    const members = membersOf(group);
    expect(members).toHaveLength(3);
    cli.kill("SIGTERM");
    // At once, also for the children.
    if (how !== "SIGTERM") {
      await within(
        (async () => {
          while (!cli.stderr().includes("stopping")) await new Promise((resolve) => setTimeout(resolve, 5));
        })(),
        "the stop",
      );
      cli.kill("SIGTERM");
    }
    const { code, ms } = await within(cli.exited, "the exit", { timeout: 8000 });
    // A signal that was sent takes a moment.
    await gone(members, 500);
    // Twice 2 s are waited for it; the rest is room for other tests beside this one.
    if (how === "SIGTERM") expect([code, ms < 7000]).toEqual([0, true]);
    else expect([code, ms < 1000]).toEqual([143, true]);
  });

  test("SIGKILL of the proxy: one that heeds the end of its input is gone, one that does not goes on", async () => {
    const [polite, deaf] = [await start([]), await start(["--ignore-eof"])];
    for (const cli of [polite, deaf]) await StdioClient.open(cli.url);
    const [one, other] = [await newest(polite), await newest(deaf)];
    try {
      for (const cli of [polite, deaf]) {
        cli.kill("SIGKILL");
        await cli.exited;
      }
      await gone([one]);
      expect(isAlive(other)).toBe(true);
    } finally {
      process.kill(other, "SIGKILL");
    }
  });

  test("the end of a session leaves no zombie", async () => {
    const cli = await start(["--ignore-eof"]);
    const client = await StdioClient.open(cli.url);
    const pid = await newest(cli);
    expect(await client.end()).toBe(200);
    expect(await client.end()).toBe(404);
    await gone([pid], 3500);
    expect(childrenOf(cli.pid)).toEqual([]);
  });
});

describe("SD-06 a process that does not read", () => {
  test("what waits for it is bounded: 503, and nothing of it arrives later", async () => {
    const proxy = await serve();
    const client = await StdioClient.open(proxy.url);
    await client.text("deaf");
    const text = "x".repeat(2 ** 20);
    const calls = Array.from({ length: 12 }, () => client.call("echo", { text }));
    const refused = await within(
      Promise.race(
        calls.map((call) => call.then((answer) => (answer.status === 503 ? answer : new Promise<never>(() => {})))),
      ),
      "a refusal",
    );
    expect(refused.response.error!.data!.code).toBe("SERVER_BUSY");
    expect(refused.headers.get("retry-after")).toBe("1");
    await client.end();
    await Promise.all(calls);
  });

  test.each([
    ["closes its input and lives on", "closeStdin", /closed its stdin/],
    ["ends while it is written to", "exit", /exited with code 1|session is not known|closed its stdin/],
  ])("it %s: the requests fail, and the proxy goes on", async (_, how, why) => {
    const proxy = await serve();
    const client = await StdioClient.open(proxy.url);
    const pid = await newest(proxy);
    const text = "x".repeat(2 ** 20);
    const first = client.call(how);
    const rest = await Promise.all([first, client.call("echo", { text }), client.call("echo", { text })]);
    const failed = rest.filter(({ response }) => response.error);
    expect(failed.length).toBeGreaterThan(0);
    for (const { response } of failed) expect(response.error!.message).toMatch(why);
    await gone([pid], 5000);
    const again = await StdioClient.open(proxy.url);
    await again.end();
  });
});

test("SD-07 the environment is an allow-list, arguments are literal, and no request adds to either", async () => {
  const args = ["; touch /tmp/x", "$(id)", "`id`", "a && b", "*", "", "ü ' \""];
  const config = {
    servers: { one: stdioServer(args, { env: { DECLARED: "yes", NODE_OPTIONS: "--no-warnings" } }) },
    port: 0,
  };
  const cli = await use(
    startCli([], {
      cwd: folderWith({ "penstock.config.json": config }),
      env: {
        SECRET_OF_PROXY: "c4nary",
        NODE_NO_WARNINGS: "1",
        LD_AUDIT: "",
        BASH_FUNC_x: "() { :; }",
        SHELL: "() { :; }",
      },
      runs: true,
    }),
  );
  const client = new StdioClient(cli.url);
  const evil = { env: { LD_PRELOAD: "/evil.so" }, command: "evil", args: ["evil"], cwd: "/evil" };
  const { headers } = await client.request("initialize", {
    protocolVersion: "2025-11-25",
    capabilities: evil,
    clientInfo: { name: "x", version: "1" },
    ...evil,
  });
  client.session = headers.get("mcp-session-id")!;
  const seen = JSON.parse(await client.text("look", evil)) as {
    env: Record<string, string>;
    argv: string[];
    cwd: string;
  };
  expect(seen.argv).toEqual(args);
  expect(seen.env).toMatchObject({ DECLARED: "yes", NODE_OPTIONS: "--no-warnings", PATH: process.env.PATH });
  const allowed = ["HOME", "LOGNAME", "PATH", "TERM", "USER", "DECLARED", "NODE_OPTIONS"];
  // The runtimes' own: macOS and some shells add them.
  expect(Object.keys(seen.env).filter((name) => !allowed.includes(name))).toEqual([]);
  await client.end();
});
