import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCli } from "../_harness/proxy.ts";
import { folderWith } from "./files.ts";

const FILE = "penstock.config.ts";
const url = "https://docs.example.com/mcp";
const written = (cwd: string) => readFileSync(join(cwd, FILE), "utf8");

/** `penstock init --from` on a file with this content, and what `check` says about the result. */
async function converted(content: unknown, env: Record<string, string> = {}) {
  const cwd = folderWith({ "mcp.json": content });
  const init = await runCli(["init", "--from", "mcp.json"], { cwd });
  expect(init).toMatchObject({ code: 0, stderr: "" });
  const check = await runCli(["check", "--json"], { cwd, env });
  return { stdout: init.stdout, text: written(cwd), check, cwd };
}

describe("without a file", () => {
  test("a configuration is written that check takes, in a folder where the package is not installed", async () => {
    const cwd = folderWith({});
    expect(await runCli(["init"], { cwd })).toMatchObject({
      code: 0,
      stdout: `Wrote ${FILE}.\n\nNext: put your server into it, then \`penstock check\` and \`penstock\`.\n`,
      stderr: "",
    });
    expect(await runCli(["check"], { cwd })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/docs {2}\/docs\/mcp \/mcp[^]*sse-relay[^]*The configuration is valid\.\n$/),
    });
    expect(readdirSync(cwd)).toEqual([FILE]);
  });

  test("what it proposes as comments is valid too", async () => {
    const cwd = folderWith({});
    await runCli(["init"], { cwd });
    const all = written(cwd).replaceAll(
      /^( *)\/\/ (import|headers|plugins|timeouts|port|host|rateLimit|files)/gm,
      "$1$2",
    );
    expect(all).not.toMatch(/\/\/ \w+[:(]/);
    writeFileSync(join(cwd, FILE), all);
    const { code, stdout } = await runCli(["check", "--json"], { cwd, env: { DOCS_TOKEN: "t" } });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).servers[0].plugins.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(["rate-limit", "tool-filter"]),
    );
  });

  test("nothing is overwritten, unless --force says so", async () => {
    const cwd = folderWith({ [FILE]: "mine" });
    expect(await runCli(["init"], { cwd })).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `penstock: ${FILE} is here already. Overwrite it with --force.\n`,
    });
    expect(written(cwd)).toBe("mine");
    expect((await runCli(["init", "--force"], { cwd })).code).toBe(0);
    expect(written(cwd)).toContain("defineConfig");
  });

  test("another configuration beside it would be read first: refused, with --force too", async () => {
    const cwd = folderWith({ "penstock.config.json": "{}" });
    for (const args of [["init"], ["init", "--force"]])
      expect((await runCli(args, { cwd })).stderr).toMatch(
        /^penstock: penstock\.config\.json is here already\. Remove or rename it; .*\n$/,
      );
    expect(readdirSync(cwd)).toEqual(["penstock.config.json"]);
  });

  test("files of other products are pointed at, and left alone", async () => {
    const cwd = folderWith({ ".mcp.json": { mcpServers: {} } });
    mkdirSync(join(cwd, ".vscode"));
    writeFileSync(join(cwd, ".vscode/mcp.json"), "no JSON");
    const { stdout } = await runCli(["init", "--json"], { cwd });
    expect(JSON.parse(stdout)).toEqual({
      file: join(cwd, FILE),
      servers: ["docs"],
      variables: [],
      skipped: [],
      found: [".mcp.json", ".vscode/mcp.json"],
    });
    expect((await runCli(["init", "--force"], { cwd })).stdout).toContain("`penstock init --force --from .mcp.json`");
  });
});

describe("from a file of another product", () => {
  test("Claude's: its servers are served", async () => {
    const { check, stdout } = await converted({ mcpServers: { docs: { type: "http", url }, "my files": { url } } });
    expect(check.code).toBe(0);
    expect(
      JSON.parse(check.stdout).servers.map((server: { name: string; upstream: string }) => [
        server.name,
        server.upstream,
      ]),
    ).toEqual([
      ["docs", url],
      ["my files", url],
    ]);
    expect(stdout).toContain("Servers: docs, my files");
    expect(stdout).not.toContain("variables");
  });

  test("VS Code's, with comments, trailing commas and inputs", async () => {
    const text = `{
      // what the user is asked for
      "inputs": [{ "id": "docs-token", "type": "promptString", "password": true, },],
      "servers": { /* one */ "docs": { "type": "http", "url": "${url}", "headers": { "Authorization": "Bearer \${input:docs-token}", } } },
    }`;
    const { stdout, text: config, check } = await converted(text, { DOCS_TOKEN: "t" });
    expect(config).toContain('headers: { Authorization: "Bearer ${DOCS_TOKEN}" }');
    expect(stdout).toContain("Set these environment variables before the start:\n  DOCS_TOKEN\n");
    expect(check.code).toBe(0);
  });

  test("Cursor's variables become ours; a default may be a secret, and goes", async () => {
    const headers = { authorization: "Bearer ${env:TOKEN}", "x-key": "${KEY:-c4nary}", accept: "${ACCEPT}" };
    const { text } = await converted({ mcpServers: { docs: { url: "https://${env:HOST}/mcp", headers } } });
    expect(text).toContain(
      'url: "https://${HOST}/mcp", headers: { authorization: "Bearer ${TOKEN}", "x-key": "${KEY}", accept: "${ACCEPT}" }',
    );
    expect(text).not.toContain("c4nary");
  });

  test("no secret is copied or printed; each becomes a variable of its own", async () => {
    const server = {
      url: "https://user:c4nary-1@docs.example.com/s/c4nary2b3c4d5e6f7a8b9c0d/mcp?api_key=c4nary-3&page=2&x=c4nary4b3c4d5e6f7a8b9c0d",
      headers: { Cookie: "sid=c4nary-5", "X-Api-Key": "c4nary-6", "X-Workspace": "c4nary-7", "User-Agent": "mine/1" },
      env: { A: "c4nary-8" },
    };
    const { text, stdout, check } = await converted({
      mcpServers: {
        docs: server,
        Docs: { url, headers: { "x-api-key": "c4nary-9" } },
        local: { command: "npx", args: ["--key", "c4nary-10"], env: { TOKEN: "c4nary-11" } },
        old: { type: "sse", url: "https://old.example.com/sse?token=c4nary-12", headers: { a: "c4nary-13" } },
      },
    });
    const names = /before the start:\n((?: {2}\w+\n)+)/.exec(stdout)![1]!.trim().split(/\s+/);
    expect(names.toSorted()).toEqual([
      "DOCS_API_KEY",
      "DOCS_AUTHORIZATION",
      "DOCS_COOKIE",
      "DOCS_URL_KEY",
      "DOCS_X",
      "DOCS_X_API_KEY",
      "DOCS_X_API_KEY_2",
      "DOCS_X_WORKSPACE",
      "LOCAL_KEY",
      "LOCAL_TOKEN",
      "OLD_A",
      "OLD_TOKEN",
    ]);
    expect(text).toContain('transport: "sse"');
    expect(text + stdout + check.stdout + check.stderr).not.toContain("c4nary");
    expect(text).toContain('"User-Agent": "mine/1"');
    // Every variable is asked for, and with all of them the configuration is valid.
    expect(check.code).toBe(1);
    for (const name of names) expect(check.stdout).toContain(`the environment variable ${name} is not set.`);
    const again = await converted(
      { mcpServers: { docs: server } },
      Object.fromEntries(names.map((name) => [name, "value"])),
    );
    expect(again.check.code).toBe(0);
  });

  test("a command keeps what says nothing about its user", async () => {
    const local = {
      command: "npx",
      args: [
        "-y",
        "server",
        "--token=c4nary-1",
        "--api-key",
        "c4nary-2",
        "--root",
        "/srv/data",
        "c4nary3b3c4d5e6f7a8b9c0d",
      ],
      env: {
        DEBUG: "1",
        MODE: "fast",
        DATA: "/srv/data",
        DB: "postgres://u:c4nary-4@h/d",
        SECRET: "plain",
        T: "${env:T}",
      },
      cwd: "sub",
    };
    const { text, check } = await converted(
      { mcpServers: { local } },
      { LOCAL_TOKEN: "1", LOCAL_API_KEY: "2", LOCAL_ARG: "3", LOCAL_DB: "4", LOCAL_SECRET: "5", T: "6" },
    );
    expect(text).toContain(
      'local: { command: "npx", args: ["-y","server","--token=${LOCAL_TOKEN}","--api-key","${LOCAL_API_KEY}","--root","/srv/data","${LOCAL_ARG}"], ' +
        'env: { DEBUG: "1", MODE: "fast", DATA: "/srv/data", DB: "${LOCAL_DB}", SECRET: "${LOCAL_SECRET}", T: "${T}" }, cwd: "sub" },',
    );
    expect(text).not.toContain("c4nary");
    expect(check.code).toBe(0);
  });

  test("what cannot be served yet stands there as a comment, with its reason", async () => {
    const { text, stdout } = await converted({
      mcpServers: {
        a: { url },
        both: { command: "npx", url },
        off: { url, disabled: true },
        odd: 5,
        __proto__x: { url: "ftp://h/" },
      },
    });
    expect(text).toContain(
      `    // Left out, because it has both a command and a url:\n    // both: {"command":"npx","url":"${url}"},\n`,
    );
    expect(stdout).toMatch(
      /Left out, as comments in the file:\n {2}both: .*command.*\n {2}off: it is disabled there\n {2}odd: it is no object\n {2}__proto__x: it has neither a command nor an http: or https: url\n/,
    );
  });

  test("names and values of a stranger's file stay names and values", async () => {
    const evil = '"]}; globalThis.process.exit(7); //';
    const { check, text } = await converted(
      `{"mcpServers": {
        ${JSON.stringify(evil)}: {"url": "${url}"},
        "a\u2028process.exit(7)": {"command": "x\u2028process.exit(7)", "url": "${url}"},
        "b\\nprocess.exit(7)": {"type": "sse", "url": "https://h/\u2029process.exit(7)"},
        "__proto__": {"url": "${url}"},
        "\`\${process.exit(7)}\`": {"url": "${url}", "headers": {"User-Agent": "\`'\\"\\\\ \u2028"}}
      }}`,
    );
    expect(text).not.toMatch(/[\u2028\u2029]/);
    expect(
      text
        .split("\n")
        .filter((line) => line.includes("process.exit"))
        .every((line) => /^ {4}(?:\/\/ )?"/.test(line)),
    ).toBe(true);
    expect(JSON.parse(check.stdout).servers.map((server: { name: string }) => server.name)).toEqual([
      evil,
      "b\nprocess.exit(7)",
      "`${process.exit(7)}`",
    ]);
  });

  test.each<[string, unknown, string | RegExp]>([
    ["no JSON", '{"mcpServers": {"a": {"headers": {"x": c4nary}}}}', "mcp.json is not JSON: see line 1, column 40."],
    ["other content", { x: 1 }, 'mcp.json: it has neither "mcpServers" nor "servers".'],
    [
      "nothing of use",
      { mcpServers: { a: { command: 5 } } },
      /^mcp\.json: no server in it can be used\.\n {2}- "a": it has neither a command nor/,
    ],
  ])("%s: nothing is written", async (_, content, line) => {
    const cwd = folderWith({ "mcp.json": content });
    const { code, stdout, stderr } = await runCli(["init", "--from", "mcp.json"], { cwd });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    if (typeof line === "string") expect(stderr).toBe(`penstock: ${line}\n`);
    else expect(stderr.replace("penstock: ", "")).toMatch(line);
    expect(readdirSync(cwd)).toEqual(["mcp.json"]);
  });

  test("a missing file", async () => {
    expect(await runCli(["init", "--from", "no.json"], { cwd: folderWith({}) })).toMatchObject({
      code: 1,
      stderr: "penstock: There is no readable file no.json (ENOENT). Name an existing one with --from.\n",
    });
  });
});
