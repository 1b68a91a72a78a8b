/** Where the command line has its secret from. The file is tried out on the true file system, by proxies on each runtime. */
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { keptSecret, secretOfEnvironment } from "../../core/cli/secret.ts";
import { loadSources } from "../../core/cli/sources.ts";
import { checkConfig } from "../../core/config.ts";
import type { ProxyError } from "../../core/errors.ts";
import { SILENT } from "../../core/log.ts";
import { memoryStore } from "../../core/memory-store.ts";
import { createRedactor } from "../../core/redact.ts";
import { createSealer } from "../../core/seal.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { otherRuntime } from "../_harness/runtimes.ts";
import { testScope } from "../_harness/scope.ts";
import { environment, folderWith } from "./files.ts";

const use = testScope();
const args = ["--url", "http://127.0.0.1:9/mcp", "--port", "0"];
const CANARY = "canary-0123456789-abcdefghijklmnop";

/** A home folder of its own. @param more of the environment */
function home(more: Record<string, string | undefined> = {}) {
  const folder = folderWith({});
  const state = join(folder, "penstock");
  return {
    state,
    file: join(state, "secret"),
    options: { writes: true, env: { PENSTOCK_SECRET: undefined, XDG_STATE_HOME: folder, ...more } },
    /** @param text of a secret that is there already */
    with(text: string, mode = 0o600) {
      mkdirSync(state, { mode: 0o700 });
      writeFileSync(join(state, "secret"), text);
      chmodSync(join(state, "secret"), mode);
      return this;
    },
  };
}

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

describe("the file of the user", () => {
  test("is made once, for this user alone, and used again", async () => {
    const { state, file, options } = home();
    const first = await startCli(args, options);
    await first.close();
    const secret = readFileSync(file, "utf8");
    expect(secret).toMatch(/^[\w-]{43}\n$/);
    expect([mode(state), mode(file), readdirSync(state)]).toEqual(["700", "600", ["secret"]]);
    const second = await startCli(args, options);
    await second.close();
    expect(readFileSync(file, "utf8")).toBe(secret);
    for (const cli of [first, second]) {
      expect(cli.stderr()).not.toMatch(/secret/i);
      expect(cli.stdout()).not.toContain(secret.trim());
    }
  });

  test("is one for all that start at once", async () => {
    const { state, file, options } = home();
    const config = `export default { servers: { a: { url: "http://127.0.0.1:9/mcp" } }, plugins: [
      { name: "seals", setup: (app) => console.log("token", app.sealer.seal("test", "text", "anna")) },
    ] };`;
    const cwd = folderWith({ "penstock.config.mjs": config });
    const started = await Promise.all([1, 2, 3].map(() => use(startCli(["--port", "0"], { ...options, cwd }))));
    expect(readdirSync(state)).toEqual(["secret"]);
    const sealer = createSealer([readFileSync(file, "utf8").trim()]);
    for (const cli of started) {
      expect(cli.stderr()).not.toMatch(/secret/i);
      const token = /^token (\S+)$/m.exec(cli.stdout())![1]!;
      expect(sealer.open("test", token, "anna")).toBe("text");
    }
  });

  test("is asked for where the system keeps such things, below the home folder", async () => {
    const folder = folderWith({});
    await use(
      startCli(args, { writes: true, env: { PENSTOCK_SECRET: undefined, XDG_STATE_HOME: undefined, HOME: folder } }),
    );
    const path = process.platform === "darwin" ? "Library/Application Support" : ".local/state";
    expect(mode(join(folder, path, "penstock", "secret"))).toBe("600");
  });

  test("is left alone where there is another secret, and by commands that only look", async () => {
    const { state, options } = home({ PENSTOCK_SECRET: CANARY });
    await use(startCli(args, options));
    const check = await runCli(["check", ...args.slice(0, 2)], {
      ...options,
      env: { ...options.env, PENSTOCK_SECRET: undefined },
    });
    expect(check.code).toBe(0);
    expect(() => statSync(state)).toThrow("ENOENT");
  });

  test.each<[string, RegExp, (at: ReturnType<typeof home>) => void]>([
    ["that others can read", /others can read .*Remove it, and a new one is made/, (at) => at.with(CANARY, 0o640)],
    [
      "in a folder that others may write to",
      /others may write to .*chmod 700/,
      (at) => (at.with(CANARY), chmodSync(at.state, 0o777)),
    ],
    ["that is a link", /no regular file/, (at) => (mkdirSync(at.state), symlinkSync("/etc/hostname", at.file))],
    ["that is a folder", /no regular file/, (at) => mkdirSync(at.file, { recursive: true })],
    ["that is empty", /it is empty/, (at) => at.with("\n")],
    ["that is too short", /32 characters or more/, (at) => at.with(CANARY.slice(0, 20))],
  ])("%s stops the start with one sentence", (_, sentence, prepare) => {
    const at = home();
    prepare(at);
    environment(at.options.env);
    const refused = explained(() => keptSecret(SILENT, createRedactor()));
    expect(refused).toMatch(sentence);
    expect(refused.split("\n")).toHaveLength(1);
    expect(refused).not.toContain("canary");
  });

  test("that is refused ends the command line with that sentence", async () => {
    const { code, stdout, stderr } = await runCli(args, home().with(CANARY, 0o644).options);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^penstock: The proxy's secret: others can read .*\n$/);
  });

  test("may hold several, for a rotation", () => {
    environment(home().with(`${CANARY}\n${CANARY}-old\n`).options.env);
    const redactor = createRedactor();
    expect(keptSecret(SILENT, redactor)).toEqual([CANARY, `${CANARY}-old`]);
    expect(redactor.text(`${CANARY}-old`)).toBe("[redacted]");
  });

  test("where a file stands in the folder's place, this run has a secret of its own, and says so once", async () => {
    const at = home();
    writeFileSync(at.state, "");
    const cli = await use(startCli(args, at.options));
    expect(
      cli.stderr().match(/No secret can be kept in .*: E\w+\. Sessions of clients end with this process\./g),
    ).toHaveLength(1);
  });

  test.runIf(otherRuntime === "deno")("so does Deno where it may not write, and asks nobody", async () => {
    const cli = await use(startCli(args, { ...home().options, writes: false }));
    expect(cli.stderr().match(/No secret can be kept in .*: --allow-write is missing\./g)).toHaveLength(1);
  });
});

describe("PENSTOCK_SECRET and the configuration", () => {
  const url = "http://127.0.0.1:9/mcp";
  const configured = (secret: unknown, redactor = createRedactor()) =>
    checkConfig({ servers: { a: { url } }, secret }, "/etc/penstock.json", redactor).secret;

  test("several in the variable, which wins over the file", async () => {
    environment({ PENSTOCK_SECRET: `${CANARY}, ${CANARY}-old\n${CANARY}-older` });
    const cwd = folderWith({ "penstock.config.json": { servers: { a: { url } }, secret: "x".repeat(3) + CANARY } });
    const redactor = createRedactor();
    const { config } = await loadSources({ config: join(cwd, "penstock.config.json") }, SILENT, redactor);
    expect(config.secret).toEqual([CANARY, `${CANARY}-old`, `${CANARY}-older`]);
    expect(redactor.text(`${CANARY} xxx${CANARY}`)).toBe("[redacted] [redacted]");
  });

  test("one in the file, or several, from variables too", () => {
    environment({ MINE: CANARY });
    const redactor = createRedactor();
    expect(configured(CANARY, redactor)).toBe(CANARY);
    expect(configured(["${MINE}", `${CANARY}-old`], redactor)).toEqual([CANARY, `${CANARY}-old`]);
    expect(redactor.text(`${CANARY}-old ${CANARY}`)).toBe("[redacted] [redacted]");
  });

  test.each([
    ["canary-short", /PENSTOCK_SECRET: 32 characters or more/],
    ["canary".repeat(8), /PENSTOCK_SECRET: it can be guessed/],
    [" , ", /PENSTOCK_SECRET: it is empty/],
  ])("%j in the variable stops the start, unquoted", (value, sentence) => {
    environment({ PENSTOCK_SECRET: value });
    const refused = explained(() => secretOfEnvironment(createRedactor()));
    expect(refused).toMatch(sentence);
    expect(refused).not.toContain("canary");
  });

  test.each<[unknown, RegExp]>([
    ["canary-short", /secret: found a string; allowed is another one: 32 characters or more/],
    [[CANARY, "canary-short"], /secret\.1: found a string; allowed is another one: 32 characters/],
    [12_345_678, /secret: found a number; allowed is a secret, or a list of them/],
    [[], /secret: found a list; allowed is at least one secret/],
    ["${PENSTOCK_NOT_SET}", /secret: the environment variable PENSTOCK_NOT_SET is not set/],
  ])("%j in the file stops the start, unquoted", (secret, sentence) => {
    const refused = explained(() => configured(secret));
    expect(refused).toMatch(sentence);
    expect(refused).not.toMatch(/canary|12345678/);
  });

  test("a store is an object, and goes on as it is", () => {
    const store = { ...memoryStore(), mark: "${NOT_SET}" };
    const config = { servers: { a: { url } }, store };
    expect(checkConfig(config, "/etc/penstock.json").store).toBe(store);
    expect(explained(() => checkConfig({ ...config, store: "redis" }, "/etc/penstock.json"))).toContain(
      'store: found "redis"; allowed is an object with the operations of a Store.',
    );
  });
});

/** What the user reads. */
function explained(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toMatchObject({ name: "ProxyError", code: "BAD_CONFIG" });
    return (error as ProxyError).details.hint!;
  }
  return "";
}
