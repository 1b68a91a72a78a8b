/** Logins of `penstock connect` and `penstock doctor`: what does not depend on the runtime. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { printedUrl, startLoginIssuer, startProtected, visit } from "../_harness/login-issuer.ts";
import { testScope } from "../_harness/scope.ts";
import { INITIALIZE, INITIALIZED } from "../_harness/sse-client.ts";
import { rawStdio } from "../_harness/stdio-client.ts";
import { folderWith } from "./files.ts";

const use = testScope();

/** A folder of its own for each test: logins are kept there. */
const home = () => ({ XDG_STATE_HOME: folderWith({}) });

const call = (id: number) =>
  JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "echo", arguments: { text: "here" } } });

async function urlOf(client: { stderr(): string }): Promise<string> {
  await expect.poll(() => printedUrl(client.stderr()), { timeout: 8000 }).toBeDefined();
  return printedUrl(client.stderr())!;
}

async function run(args: string[], env: Record<string, string>) {
  const command = await use(rawStdio(args, env, true));
  return { code: await command.exited, text: command.lines.join("\n") };
}

test("a modern client waits, too, while the server cannot even be asked what it is", async () => {
  const issuer = await use(startLoginIssuer());
  const server = await use(startProtected(issuer, "modern"));
  const client = await use(rawStdio(["connect", server.url], home(), true));
  const prefix = "io.modelcontextprotocol/";
  const _meta = { [`${prefix}protocolVersion`]: "2026-07-28", [`${prefix}clientCapabilities`]: {} };
  client.say(JSON.stringify({ jsonrpc: "2.0", id: "a", method: "tools/list", params: { _meta } }));
  await visit(await urlOf(client));
  expect(await client.heard('"a"')).toHaveProperty("result.tools");
});

test("two that want to log in at once: each has its own verifier, and one login serves both", async () => {
  const issuer = await use(startLoginIssuer());
  const server = await use(startProtected(issuer));
  const env = home();
  const [one, two] = [
    await use(rawStdio(["connect", server.url], env, true)),
    await use(rawStdio(["connect", server.url], env, true)),
  ];
  one.say(INITIALIZE);
  two.say(INITIALIZE);
  const urls = [await urlOf(one), await urlOf(two)];
  const challenges = urls.map((url) => new URL(url).searchParams.get("code_challenge"));
  expect(new Set(challenges).size).toBe(2);
  expect((await visit(urls[1]!)).status).toBe(200);
  for (const client of [one, two]) expect(await client.heard('"id":0')).toHaveProperty("result.serverInfo");
  expect(issuer.grants("authorization_code")).toHaveLength(1);
});

test("a call that needs more: one more login, with all scopes; a server that is never content is asked no more", async () => {
  const issuer = await use(startLoginIssuer());
  const server = await use(startProtected(issuer));
  const client = await use(rawStdio(["connect", server.url], home(), true));
  client.say(INITIALIZE);
  await visit(await urlOf(client));
  await client.heard('"id":0');
  client.say(INITIALIZED);
  server.needs.push("write");
  const before = client.stderr().length;
  client.say(call(1));
  const more = await urlOf({ stderr: () => client.stderr().slice(before) });
  expect(new URL(more).searchParams.get("scope")).toBe("read write");
  await visit(more);
  expect(JSON.stringify(await client.heard('"id":1'))).toContain("here");
  server.needs.splice(0, 1, "never");
  issuer.faults.token = () => undefined;
  // The issuer grants everything: that scope is taken away again.
  const later = client.stderr().length;
  client.say(call(2));
  const third = await urlOf({ stderr: () => client.stderr().slice(later) });
  const granted = new URL(third);
  granted.searchParams.set("scope", "read");
  await visit(granted.href);
  const refused = await client.heard('"id":2');
  expect(refused).toMatchObject({ error: { data: { code: "LOGIN_REQUIRED" } } });
  expect(JSON.stringify(refused)).toContain("names no scope that was not asked for already (never)");
});

test("where nobody can log in it says what to do, at once; where nobody does, after a while", async () => {
  const issuer = await use(startLoginIssuer());
  const server = await use(startProtected(issuer));
  for (const [args, more] of [
    [["--no-login"], {}],
    [[], { CI: "true" }],
  ] as const) {
    const client = await use(rawStdio(["connect", server.url, ...args], { ...home(), ...more }, true));
    client.say(INITIALIZE);
    const { error } = (await client.heard('"id":0')) as { error: { message: string; data: { code: string } } };
    expect(error.data.code).toBe("LOGIN_REQUIRED");
    expect(error.message).toContain(`penstock doctor --url ${server.url} --login`);
    expect(printedUrl(client.stderr())).toBeUndefined();
  }
  const client = await use(rawStdio(["connect", server.url], { ...home(), PENSTOCK_LOGIN_TIMEOUT: "300" }, true));
  client.say(INITIALIZE);
  const { error } = (await client.heard('"id":0')) as { error: { message: string } };
  expect(error.message).toMatch(/Nobody has logged in within 0\.3 s\. Log in beforehand/);
});

test("a credential of the user's own is no reason to log in", async () => {
  const issuer = await use(startLoginIssuer());
  const server = await use(startProtected(issuer));
  const client = await use(rawStdio(["connect", server.url, "-H", "Authorization: Bearer not-good"], home(), true));
  client.say(INITIALIZE);
  expect(await client.heard('"id":0')).toMatchObject({ error: { data: { code: "UPSTREAM_UNAUTHORIZED" } } });
  expect(issuer.requests).toEqual([]);
});

test("a client that was registered beforehand brings its secret, which stands in no file", async () => {
  const issuer = await use(startLoginIssuer());
  const server = await use(startProtected(issuer));
  const env = { ...home(), ID_SECRET: "canary-of-a-client" };
  const named = ["--client-id", "desk", "--client-secret", "${ID_SECRET}"];
  const client = await use(rawStdio(["connect", server.url, ...named], env, true));
  client.say(INITIALIZE);
  const url = await urlOf(client);
  expect(new URL(url).searchParams.get("client_id")).toBe("desk");
  await visit(url);
  expect(await client.heard('"id":0')).toHaveProperty("result.serverInfo");
  expect(issuer.clients.size).toBe(0);
  expect(issuer.grants("authorization_code")[0]!.get("client_secret")).toBe("canary-of-a-client");
  const folder = join(env.XDG_STATE_HOME, "penstock", "logins");
  for (const file of readdirSync(folder)) expect(readFileSync(join(folder, file), "utf8")).not.toContain("canary-of-a");
});

test("the doctor shows the way to a login, logs in, and lists; then connect needs no login, until it logs out", async () => {
  const issuer = await use(startLoginIssuer());
  const server = await use(startProtected(issuer));
  const env = home();
  const seen = await run(["doctor", "--url", server.url], env);
  expect(seen.code).toBe(1);
  expect(seen.text).toContain("authorization server metadata");
  expect(seen.text).toContain("✔ a client can log in");
  expect(seen.text).toContain(`penstock doctor --url ${server.url} --login`);
  expect(issuer.clients.size).toBe(0);

  const doctor = await use(rawStdio(["doctor", "--url", server.url, "--login", "--json"], env, true));
  await visit(await urlOf(doctor));
  expect(await doctor.exited).toBe(0);
  const { servers } = JSON.parse(doctor.lines.join("\n")) as { servers: Record<string, unknown>[] };
  expect(servers).toMatchObject([
    { state: "healthy", auth: "login", tools: expect.any(Number), login: { possible: true, outcome: "done" } },
  ]);

  const client = await use(rawStdio(["connect", server.url], env, true));
  client.say(INITIALIZE);
  expect(await client.heard('"id":0')).toHaveProperty("result.serverInfo");
  expect(client.stderr()).toBe("");
  await client.close();
  const out = await run(["connect", server.url, "--logout"], env);
  expect([out.code, out.text]).toEqual([0, expect.stringContaining("the tokens are revoked and forgotten")]);
  expect(issuer.tokens.size).toBe(0);
  expect(readdirSync(join(env.XDG_STATE_HOME, "penstock", "logins"))).toEqual([]);
  expect((await run(["connect", server.url, "--logout"], env)).text).toContain("no login");
});
