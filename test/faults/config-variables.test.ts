/** `${VAR}` in a configuration: what is missing is named, what is there is never shown, and nothing is looked at twice. */
import { runCli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { jsonAnswer } from "../_harness/wire.ts";
import { folderWith } from "../core/files.ts";
import { describe, expect, test } from "vitest";
import { asking } from "./asking.ts";

const use = testScope();
const url = "http://127.0.0.1:9/mcp";
const env = { F_SECRET: "canary-5ecret", F_OUTER: "F_INNER", F_INNER: "canary-inner", F_NONE: undefined };

/** Runs the start of a configuration that is refused. */
async function refusal(servers: object, file = "penstock.config.json") {
  const imported = file === "mcp.json";
  const cwd = folderWith({ [file]: { [imported ? "mcpServers" : "servers"]: servers } });
  const args = ["--port", "0", "--log-level", "debug", ...(imported ? ["--mcp-json", file] : [])];
  const { code, stdout, stderr } = await runCli(args, { cwd, env });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).not.toMatch(/canary/i);
  return stderr;
}

describe("CF-02 variables that cannot be filled in are named, with their places, and no other's value", () => {
  test("missing, nested, without a name, and beside secrets that are there", async () => {
    const said = await refusal({
      a: {
        url: "http://127.0.0.1:9/${F_NONE}?key=${F_SECRET}",
        headers: {
          a: "${F_NONE}",
          b: "${F_${F_OUTER}}",
          c: "${${F_OUTER}}",
          d: "${}",
          e: "${F_SECRET:-x}",
          f: "${F_SECRET}",
        },
      },
    });
    const unnamed = (text: string) => `"${text}" names no variable; allowed is \${NAME} with letters, digits and _.`;
    expect(said.split("\n").slice(1, -1)).toEqual([
      "  - servers.a.url: the environment variable F_NONE is not set.",
      "  - servers.a.headers.a: the environment variable F_NONE is not set.",
      `  - servers.a.headers.b: ${unnamed("${F_${F_OUTER}")}`,
      `  - servers.a.headers.c: ${unnamed("${${F_OUTER}")}`,
      `  - servers.a.headers.d: ${unnamed("${}")}`,
      `  - servers.a.headers.e: ${unnamed("${F_SECRET:-x}")}`,
    ]);
  });

  test("in an imported file, too", async () => {
    const said = await refusal(
      { a: { url, headers: { a: "${env:F_NONE}", b: "${F_${F_OUTER}}", c: "${F_SECRET}" } } },
      "mcp.json",
    );
    expect(said).toContain("servers.a.headers.a: the environment variable F_NONE is not set.");
    expect(said).toContain('servers.a.headers.b: "${F_${F_OUTER}" names no variable');
  });
});

describe("CF-02 a secret in a URL that fails is not told", () => {
  test("that is none, that has a password, whose port is none: the start stops", async () => {
    const urls = [
      "http//user:${F_SECRET}@127.0.0.1/mcp",
      "http://user:${F_SECRET}@127.0.0.1/mcp",
      "http://127.0.0.1:${F_SECRET}/mcp",
    ];
    const said = await refusal(Object.fromEntries(urls.map((url, i) => [`s${i}`, { url }])));
    expect(said.split("\n").slice(1, -1)).toEqual([
      expect.stringContaining("servers.s0.url: found a string; allowed is an http: or https: URL"),
      expect.stringContaining("servers.s1.url: found a string; allowed is a URL without user and password"),
      expect.stringContaining("servers.s2.url: found a string; allowed is an http: or https: URL"),
    ]);
  });

  test("whose server is not there: neither the caller nor the log is told", async () => {
    const down = await scripted(() => "hang");
    await down.server.close();
    const server = { url: `${down.server.url}/\${F_SECRET}/mcp?key=\${F_INNER}`, path: "/mcp" };
    const cwd = folderWith({ "penstock.config.json": { servers: { a: server } } });
    const cli = await use(startCli(["--port", "0", "--log-level", "debug"], { cwd, env }));
    const { status, body } = await asking(use, cli.port)();
    expect(status).toBe(502);
    expect(body).toContain("'a'");
    await expect.poll(() => cli.stdout() + cli.stderr(), { timeout: 2000 }).toMatch(/ 502 /);
    expect(body + cli.stdout() + cli.stderr()).not.toMatch(/canary/i);
  });
});

test("CF-02 what was filled in is not looked at again", async () => {
  const upstream = await scripted(() => jsonAnswer("{}"));
  await use(upstream.server);
  const server = { url: `${upstream.server.url}/mcp`, path: "/mcp", headers: { "x-token": "a${F_TOKEN}b${F_TOKEN}" } };
  const cwd = folderWith({ "penstock.config.json": { servers: { a: server } } });
  const token = { F_TOKEN: "${F_INNER}$&$1", F_INNER: "expanded" };
  const cli = await use(startCli(["--port", "0"], { cwd, env: token }));
  expect((await asking(use, cli.port)()).status).toBe(200);
  expect(upstream.requests[0]!.headers["x-token"]).toBe("a${F_INNER}$&$1b${F_INNER}$&$1");
});
