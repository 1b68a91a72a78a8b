/** The README is code: every block of it is run here, and its tables are compared with what they describe. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify, stripVTControlCharacters } from "node:util";
import { expect, it } from "vitest";
import { ERRORS } from "mcp-penstock";
import { standard } from "mcp-penstock/plugins/standard";
import { HOOK_NAMES } from "../../core/hooks.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { checkConfig } from "../../core/config.ts";
import { DENO_FLAGS } from "../_harness/runtimes.ts";
import { printedUrl, startLoginIssuer, startProtected, visit } from "../_harness/login-issuer.ts";
import { testScope } from "../_harness/scope.ts";
import { startTokenIssuer } from "../_harness/token-issuer.ts";
import { connectV1, connectV2 } from "../_harness/clients.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { tokenServer } from "../_harness/token-server.ts";
import { INITIALIZE } from "../_harness/sse-client.ts";
import { rawStdio } from "../_harness/stdio-client.ts";

const readme = readFileSync("README.md", "utf8");
const run = promisify(execFile);
const use = testScope();

interface Block {
  language: string;
  label: string;
  code: string;
}

const blocks: Block[] = [...readme.matchAll(/^```(\w+) ?(.*)\n([^]*?)^```$/gm)].map(([, language, label, code]) => ({
  language: language!,
  label: label!,
  code: code!,
}));
const labelled = (label: string) => blocks.find((block) => block.label === label)!.code;

/** A folder inside the checkout, so that the package's name leads to its build; gone after the test. */
async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  mkdirSync(".tmp", { recursive: true });
  const folder = mkdtempSync(join(process.cwd(), ".tmp", "readme-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it("has no block that these tests do not know", () => {
  const known = [
    "npm ci && npm start\n",
    ...blocks.filter(({ code }) => code.startsWith("curl ")).map(({ code }) => code),
  ];
  const labels = [
    "run=check",
    "penstock.config.ts",
    "closed.config.ts",
    "machine-to-machine.config.ts",
    "github.config.ts",
    "playground/plugins/polite.ts",
    "polite.test.ts",
    "embedded.mjs",
    "claude_desktop_config.json",
    "run=login",
    "oauth_desktop_config.json",
    "penstock.config.json",
    "eras.config.json",
    // `reverse-proxy.test.ts`
    "server.conf",
    "Caddyfile",
    "company.config.ts",
    "team.config.ts",
  ];
  const unknown = blocks.filter(
    ({ language, label, code }) => language !== "text" && !labels.includes(label) && !known.includes(code),
  );
  expect(unknown).toEqual([]);
});

it("starts with the commands that the package and CI run", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
  expect(scripts.start).toContain("dist/core/cli.mjs --config playground/penstock.config.ts");
  expect(scripts.test).toContain("vitest run");
  const ci = readFileSync(".ci/run", "utf8");
  expect(ci).toMatch(/^npm ci$/m);
  expect(ci).toMatch(/^npm test$/m);
});

it("names the start on each runtime as the package has it, with the permissions that the tests give Deno", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
  const deno = `deno run ${DENO_FLAGS.join(" ")} dist/core/cli.mjs`;
  const rows = readme.split("\n").filter((line) => /^\| (?:Node|Bun|Deno) .*cli\.mjs/.test(line));
  const commands = [
    ["npm start", "start", "node dist/core/cli.mjs"],
    ["bun run start:bun", "start:bun", "bun dist/core/cli.mjs"],
    ["deno task start:deno", "start:deno", deno],
  ] as const;
  expect(rows).toHaveLength(commands.length);
  commands.forEach(([start, script, command], i) => {
    expect(rows[i]).toContain(`${start}\``);
    expect(rows[i]).toContain(`\`${command}\``);
    expect(scripts[script]).toContain(`${command} --config playground/penstock.config.ts`);
  });
});

it("has a program that embeds the proxy beside its own routes", async () => {
  await inFolder(async (folder) => {
    const file = join(folder, "embedded.mjs");
    writeFileSync(file, labelled("embedded.mjs"));
    const { default: app } = (await import(pathToFileURL(file).href)) as {
      default: { request(path: string): Promise<Response> };
    };
    expect(await (await app.request("/hello")).text()).toBe("hello");
    const refused = await app.request("/nothing");
    expect(refused.status).toBe(404);
    expect(await refused.text()).toContain("NOT_FOUND");
  });
});

it("has a row for every plugin, every hook and every command", () => {
  const plugins = readdirSync("plugins").filter((file) => /^[a-z][\w-]*\.ts$/.test(file) && file !== "standard.ts");
  for (const file of plugins) expect(readme).toContain(`](plugins/${file})`);
  const inPreset = new Set(standard().map(({ name }) => name));
  for (const file of plugins) {
    const [, , , preset] = readme
      .split("\n")
      .find((line) => line.startsWith("| [") && line.includes(`](plugins/${file})`))!
      .split("|");
    expect({ file, preset: preset!.trim() }).toEqual({ file, preset: inPreset.has(file.slice(0, -3)) ? "yes" : "no" });
  }
  for (const hook of ["config", "setup", ...HOOK_NAMES, "close"])
    expect(readme).toMatch(new RegExp(`^\\| \`${hook}\` +\\|`, "m"));
  for (const command of readdirSync("core/cli/commands"))
    if (command !== "start.ts" && command !== "check.ts")
      expect(readme).toContain(`| \`penstock ${command.slice(0, -3)}\``);
});

it("shows what the start prints, and its curl commands do what it says", async () => {
  const cli = await use(startCli(["--config", "playground/penstock.config.ts", "--port", "0"]));
  const runtime = / on (\S+ \S+) listening on /.exec(cli.stdout())![1]!;
  const here = (text: string) => text.replaceAll("http://127.0.0.1:3333", cli.url).replace(/Node\.js [\d.]+/, runtime);
  const banner = blocks.find(({ language }) => language === "text")!.code;
  for (const line of banner.split("\n").filter(Boolean)) expect(cli.stdout()).toContain(here(line).trim());

  const [call, slow] = blocks.filter(({ code }) => code.startsWith("curl ")).map(({ code }) => here(code));
  const { stdout } = await run("sh", ["-c", call!]);
  expect(stdout).toContain("OSLO");
  const { stdout: events } = await run("sh", ["-c", slow!]);
  expect(events.match(/notifications\/progress/g)!.length).toBeGreaterThan(2);
  expect(events).toMatch(/"id":2/);
});

it("lets a new client use an old server, and an old client a new one", async () => {
  const old = await use(startLegacyServer());
  const modern = await use(startModernServer());
  const recipe = labelled("eras.config.json");
  await inFolder(async (folder) => {
    const file = join(folder, "eras.json");
    writeFileSync(
      file,
      recipe.replace("https://old.example.com/mcp", old.url).replace("https://new.example.com/mcp", modern.url),
    );
    await using cli = await startCli(["--config", file, "--port", "0"]);
    const echo = { name: "echo", arguments: { text: "across" } };
    await using newClient = await connectV2(`${cli.url}/old/mcp`, { mode: "modern" });
    expect(JSON.stringify(await newClient.client.callTool(echo))).toContain("across");
    await using oldClient = await connectV1(`${cli.url}/new/mcp`);
    expect(JSON.stringify(await oldClient.client.callTool(echo))).toContain("across");
  });
});

it("has an entry for a desktop client that works", async () => {
  expect(
    checkConfig(JSON.parse(labelled("penstock.config.json")), "/penstock.config.json").servers.files,
  ).toMatchObject({
    command: "npx",
  });
  const { mcpServers } = JSON.parse(labelled("claude_desktop_config.json")) as {
    mcpServers: { docs: { args: string[]; env: Record<string, string> } };
  };
  const { args, env } = mcpServers.docs;
  expect(args.slice(0, 3)).toEqual(["-y", "mcp-penstock", "connect"]);
  const server = await use(startLegacyServer());
  const client = await use(rawStdio([args[2]!, server.url, ...args.slice(4)], env));
  client.say(INITIALIZE);
  expect(await client.heard('"id":0')).toMatchObject({ result: { serverInfo: { name: "legacy-fixture" } } });
  expect(server.requests[0]!.headers.authorization).toBe(`Bearer ${env.DOCS_TOKEN}`);
});

it("gets from nothing to the tools of a server that wants a login, and from there to a desktop client", async () => {
  const issuer = await use(startLoginIssuer());
  const server = await use(startProtected(issuer));
  await inFolder(async (folder) => {
    const env = { XDG_STATE_HOME: folder };
    const here = (text: string) => text.replace("https://docs.example.com/mcp", server.url);
    const [, ...args] = here(labelled("run=login")).trim().split(" ");
    const doctor = await use(rawStdio(args, env, true));
    await expect.poll(() => printedUrl(doctor.stderr()), { timeout: 8000 }).toBeDefined();
    await visit(printedUrl(doctor.stderr())!);
    expect(await doctor.exited).toBe(0);
    expect(doctor.lines.join("\n")).toMatch(/tools +\d/);
    const { mcpServers } = JSON.parse(here(labelled("oauth_desktop_config.json"))) as {
      mcpServers: { docs: { args: string[] } };
    };
    const client = await use(rawStdio(mcpServers.docs.args.slice(2), env, true));
    client.say(INITIALIZE);
    expect(await client.heard('"id":0')).toHaveProperty("result.serverInfo");
    expect(client.stderr()).toBe("");
  });
});

it("has a configuration that is valid, and a command that starts", async () => {
  await inFolder(async (folder) => {
    writeFileSync(join(folder, "penstock.config.ts"), labelled("penstock.config.ts"));
    const { code, stdout, stderr } = await runCli(["check", "--config", join(folder, "penstock.config.ts")], {
      env: { DOCS_TOKEN: "t" },
    });
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toMatch(/files\s+\/files\/mcp/);
    expect(stdout).toContain("tool-filter");
  });
  const [, , ...args] = labelled("run=check").trim().split(" ");
  const cli = await use(startCli([...args, "--port", "0"]));
  expect(cli.stdout()).toContain("https://docs.example.com/mcp");
});

it("has a configuration with keys that is valid, and says which key is missing", async () => {
  await inFolder(async (folder) => {
    const file = join(folder, "closed.config.ts");
    writeFileSync(file, labelled("closed.config.ts"));
    const keys = { ANNA_KEY: "0123456789abcdef", CI_KEY: "fedcba9876543210" };
    const valid = await runCli(["check", "--config", file], { env: keys });
    expect(valid).toMatchObject({ code: 0, stderr: "" });
    expect(valid.stdout).toMatch(/host-guard[^]*api-keys/);
    const missing = await runCli(["check", "--config", file], { env: { ...keys, CI_KEY: undefined } });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain(`keys["ci"]: there is no key.`);
  });
});

it("has a recipe for a server that wants a token of the proxy's own, and it works", async () => {
  const tokens = await use(tokenServer());
  const server = await use(startModernServer({ intercept: tokens.protect() }));
  await inFolder(async (folder) => {
    const file = join(folder, "penstock.config.ts");
    const recipe = labelled("machine-to-machine.config.ts");
    writeFileSync(
      file,
      recipe.replace("https://reports.example.com/mcp", server.url).replace("https://login.example.com", tokens.issuer),
    );
    const env = { REPORTS_SECRET: "canary-of-reports" };
    await using cli = await startCli(["--config", file, "--port", "0"], { env });
    for (const connect of [connectV1, connectV2]) {
      await using connected = await connect(`${cli.url}/reports/mcp`);
      expect((await connected.client.listTools()).tools.length).toBeGreaterThan(0);
    }
    expect(tokens.requests.map(({ parameters }) => parameters)).toEqual([
      { grant_type: "client_credentials", scope: "reports:read", resource: server.url },
    ]);
    const missing = await runCli(["check", "--config", file], { env: { REPORTS_SECRET: undefined } });
    expect(missing).toMatchObject({ code: 1 });
    expect(missing.stderr).toContain("clientSecret or privateKey is needed");
  });
});

it("has a company's identity provider in front of everything", async () => {
  const server = await use(startLegacyServer());
  const issuer = await use(startTokenIssuer());
  const recipe = labelled("company.config.ts")
    .replace("https://docs.example.com/mcp", server.url)
    .replace("https://login.example.com", issuer.issuer)
    .replace("delete_*", "ech*");
  await inFolder(async (folder) => {
    const file = join(folder, "company.config.ts");
    writeFileSync(file, recipe);
    await using cli = await startCli(["--config", file, "--port", "0"], { env: { DOCS_TOKEN: "of-the-proxy" } });
    const ask = (token: string, method = "tools/list", params = {}) =>
      fetch(`${cli.url}/docs/mcp`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
        },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
      });
    const aud = "https://mcp.example.com/docs/mcp";
    expect((await ask(await issuer.token({ aud, scope: "mcp:use", exp: 1 }))).status).toBe(401);
    const token = await issuer.token({ aud, scope: "mcp:use" });
    expect(await (await ask(token)).text()).toContain("echo");
    expect(server.requests.at(-1)!.headers.authorization).toBe("Bearer of-the-proxy");
    const { status, headers } = await ask(token, "tools/call", { name: "echo", arguments: { text: "a" } });
    expect(status).toBe(403);
    expect(headers.get("www-authenticate")).toMatch(/scope="mcp:use mcp:admin"/);
  });
});

it("has keys for a team", async () => {
  const server = await use(startLegacyServer());
  await inFolder(async (folder) => {
    const file = join(folder, "team.config.ts");
    writeFileSync(file, labelled("team.config.ts").replace("https://docs.example.com/mcp", server.url));
    const env = { ANNA_KEY: "0123456789abcdef", CI_KEY: "fedcba9876543210" };
    await using cli = await startCli(["--config", file, "--port", "0"], { env });
    const status = async (key: string) =>
      (await fetch(`${cli.url}/docs/mcp`, { method: "DELETE", headers: { authorization: `Bearer ${key}` } })).status;
    expect(await status(env.ANNA_KEY)).not.toBe(401);
    expect(await status("0123456789abcdee")).toBe(401);
  });
});

it("has a configuration for a provider with one client id that is valid, and says what is missing", async () => {
  await inFolder(async (folder) => {
    const file = join(folder, "github.config.ts");
    writeFileSync(file, labelled("github.config.ts"));
    const env = { GITHUB_CLIENT_ID: "Iv1.0123456789abcdef", GITHUB_CLIENT_SECRET: "0123456789abcdef0123456789abcdef" };
    const valid = await runCli(["routes", "--config", file], { env });
    expect(valid).toMatchObject({ code: 0, stderr: "" });
    for (const path of [
      "callback",
      "github/authorize",
      "github/token",
      ".well-known/oauth-authorization-server/github",
    ])
      expect(valid.stdout).toContain(`/${path} `);
    const missing = await runCli(["check", "--config", file], { env: { ...env, GITHUB_CLIENT_ID: undefined } });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("clientId is missing");
  });
});

it("has a plugin and a test of it that pass", async () => {
  await inFolder(async (folder) => {
    mkdirSync(join(folder, "playground/plugins"), { recursive: true });
    writeFileSync(join(folder, "playground/plugins/polite.ts"), labelled("playground/plugins/polite.ts"));
    writeFileSync(join(folder, "polite.test.ts"), labelled("polite.test.ts"));
    const { stdout } = await run(
      "node",
      ["node_modules/vitest/vitest.mjs", "run", "--config", "vitest.config.ts", "--dir", folder],
      {
        env: { ...process.env, PENSTOCK_TEST_INCLUDE: "**/*.test.ts" },
      },
    );
    expect(stripVTControlCharacters(stdout)).toMatch(/Tests\s+7 passed/);
  });
}, 20_000);

/** A Markdown table without the padding that the formatter gives it. */
const plain = (table: string) => table.trim().replaceAll(/ +/g, " ").replaceAll(/-{3,}/g, "---");

it("lists every error code with its status and text", () => {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, rpc, text }]) => `| \`${code}\` | ${status} | ${rpc} | ${text} |`,
  );
  const table = ["| code | HTTP | JSON-RPC | message |", "| --- | --- | --- | --- |", ...rows].join("\n");
  const [before, shown, after] = readme.split(/(?<=<!-- errors -->)|(?=<!-- \/errors -->)/) as [string, string, string];
  // To bring the README in step: UPDATE_DOCS=1 npx vitest run test/docs
  if (process.env.UPDATE_DOCS) writeFileSync("README.md", `${before}\n\n${table}\n\n${after}`);
  else expect(plain(shown)).toBe(plain(table));
});
