/** OB-01: secrets go in by every door, and none comes out of the command line. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rawServer } from "../_harness/peers.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { within } from "../_harness/wait.ts";
import { folderWith } from "./files.ts";

const use = testScope();

/** Each its own, so that a failure tells which door it was. */
const env = { DOCS_TOKEN: "canary-env-token", PLAIN_NAME: "canary-env-plain", TLS_PASS: "canary-passphrase" };

const server = (origin: string) => ({
  url: `${origin}/s/canary0a1b2c3d4e5f6a7b8c9d/mcp?key=canary-query&q=\${PLAIN_NAME}`,
  headers: {
    authorization: "Bearer ${DOCS_TOKEN}",
    cookie: "sid=canary-cookie",
    "x-plain": "canary-header",
    "x-basic": `Basic ${Buffer.from("user:canary-basic").toString("base64")}`,
  },
  tls: { passphrase: "${TLS_PASS}" },
});

/** A configuration that throws while it is used, with what it knows. */
const failing = (origin: string) =>
  `export default {
    servers: { docs: ${JSON.stringify(server(origin))} },
    port: 0,
    plugins: [
      { name: "path", config(c) { c.servers.docs.path = "/docs"; this.url = c.servers.docs.url; this.headers = c.servers.docs.headers; } },
      {
        name: "leaky",
        request(exchange) { exchange.log.debug(\`seen \${JSON.stringify([...exchange.request.headers])} \${exchange.request.url}\`); },
        response() { throw new Error("with canary-cookie and \${process.env.DOCS_TOKEN}"); },
      },
      {
        name: "later",
        done() { setTimeout(() => { throw new Error("late: canary-header \${process.env.PLAIN_NAME}"); }, 0); },
      },
    ],
  };`
    .replaceAll(
      '"with canary-cookie and ${process.env.DOCS_TOKEN}"',
      "`with canary-cookie and ${process.env.DOCS_TOKEN}`",
    )
    .replaceAll('"late: canary-header ${process.env.PLAIN_NAME}"', "`late: canary-header ${process.env.PLAIN_NAME}`");

function expectClean(output: { stdout: string; stderr: string }): void {
  const all = output.stdout + output.stderr;
  expect(all).not.toMatch(/canary/i);
  expect(all).not.toContain(Buffer.from("user:canary-basic").toString("base64"));
}

describe.each(["text", "json"])("with --log-format %s at debug level", (format) => {
  test("a proxy in front of a server that fails, with plugins that log and throw", async () => {
    const upstream = await use(
      rawServer(async (connection) => {
        for await (const _ of connection.requests())
          connection.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
      }),
    );
    const cwd = folderWith({ "penstock.config.mjs": failing(upstream.url) });
    const cli = await use(startCli(["--log-level", "debug", "--log-format", format], { cwd, env }));
    const answer = await fetch(`${cli.url}/docs?token=canary-client-query`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: "Bearer canary-client",
        cookie: "a=b; token=canary-client-cookie",
      },
      body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
    });
    expect(await answer.text()).not.toMatch(/canary/);
    // The failure that nobody catches ends the proxy in order.
    expect(await within(cli.exited, "the exit")).toMatchObject({ code: 1 });
    const output = { stdout: cli.stdout(), stderr: cli.stderr() };
    expect(output.stderr).toMatch(/uncaughtException.*late: \[redacted\] \[redacted\]/);
    expect(output.stderr).toMatch(/with \[redacted\] and \[redacted\]/);
    expect(output.stderr).toMatch(/seen /);
    expectClean(output);
    if (format === "json")
      for (const line of (output.stdout + output.stderr).trim().split("\n"))
        expect(JSON.parse(line)).toMatchObject({
          time: expect.any(String),
          level: expect.any(String),
          message: expect.any(String),
        });
  });
});

// All commands load a configuration in one way; these two differ in how they tell what is wrong.
const commands = [
  ["check", "--json"],
  ["--port", "0", "--log-level", "debug"],
];

describe.each(commands.map((args) => [args.join(" "), args] as const))("penstock %s", (_, args) => {
  const good = server("http://127.0.0.1:9");
  test.each<[string, string, unknown]>([
    ["a wrong value", "a.json", { servers: { docs: good }, port: "canary-port-${DOCS_TOKEN}", tls: "canary-tls" }],
    ["an unknown key", "a.json", { servers: { docs: { ...good, token: "canary-unknown" } } }],
    ["headers that are none", "a.json", { servers: { docs: { ...good, headers: ["canary-list"] } } }],
    ["a password in the url", "a.json", { servers: { docs: { ...good, url: "http://u:canary-user@h/" } } }],
    ["a url that is none", "a.json", { servers: { docs: { ...good, url: "canary-${DOCS_TOKEN}" } } }],
    ["no JSON", "a.json", '{"servers":{"a":{"headers":{"x":canary}}}}'],
    ["no JavaScript", "a.mjs", 'export default { servers: { a: { headers: { x: "canary" "canary" } } } }'],
    ["code that throws", "a.mjs", "throw new Error(`no ${process.env.DOCS_TOKEN}`)"],
    [
      "code that throws later",
      "a.mjs",
      "setTimeout(() => { throw new Error(process.env.DOCS_TOKEN) }); await new Promise(() => setTimeout(() => {}, 5000));",
    ],
    [
      "a plugin that throws",
      "a.mjs",
      `export default { servers: { docs: ${JSON.stringify(good)} }, plugins: [{ name: "x", setup() { throw new Error("canary-header \${process.env.PLAIN_NAME}".replace("\${process.env.PLAIN_NAME}", process.env.PLAIN_NAME)); } }] }`,
    ],
  ])("with %s says so without a secret", async (_, file, content) => {
    const cwd = folderWith({ [file]: content });
    const output = await runCli([...args, "--config", file], { cwd, env });
    expect(output.code).toBe(1);
    const json = args.includes("--json");
    expect(json ? JSON.parse(output.stdout).error.message : output.stderr).toMatch(/./);
    // A port may be shown: it is no place for a secret, but its text is known to be one.
    const shown = {
      stdout: output.stdout.replaceAll("canary-port-", ""),
      stderr: output.stderr.replaceAll("canary-port-", ""),
    };
    expectClean(shown);
  });
});

test.each([["check"], ["check", "--json"], ["routes", "--json"]])(
  "penstock %s %s shows nothing of a valid configuration",
  async (...args) => {
    const cwd = folderWith({ "penstock.config.json": { servers: { docs: server("http://127.0.0.1:9") } } });
    const output = await runCli(args.filter(Boolean), { cwd, env });
    expect(output.code).toBe(0);
    expectClean(output);
  },
);

test("penstock --mcp-json and --url show nothing either", async () => {
  const cwd = folderWith({ "mcp.json": { mcpServers: { docs: { ...server("http://127.0.0.1:9"), tls: undefined } } } });
  const cli = await use(
    startCli(["--mcp-json", join(cwd, "mcp.json"), "--port", "0", "--log-level", "debug"], { env }),
  );
  expectClean({ stdout: cli.stdout(), stderr: cli.stderr() });
  const other = await use(
    startCli(["--url", "http://127.0.0.1:9/s/canary0a1b2c3d4e5f6a7b8c9d?key=canary-q", "--port", "0"]),
  );
  expectClean({ stdout: other.stdout(), stderr: other.stderr() });
});
