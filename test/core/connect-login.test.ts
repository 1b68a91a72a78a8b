/** `penstock connect` logs in at a protected server: the way of most users, on every runtime. */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { expect, test } from "vitest";
import { connectOver } from "../_harness/clients.ts";
import { printedUrl, startLoginIssuer, startProtected, visit } from "../_harness/login-issuer.ts";
import { cliCommand } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { INITIALIZE } from "../_harness/sse-client.ts";
import { rawStdio } from "../_harness/stdio-client.ts";
import { folderWith } from "./files.ts";

const use = testScope();

test("an SDK client over stdio waits while its user logs in: its calls go on, the token is kept, and renewed in time", async () => {
  const issuer = await use(startLoginIssuer());
  const server = await use(startProtected(issuer));
  const env = { XDG_STATE_HOME: folderWith({}) };
  const transport = new StdioClientTransport({ ...cliCommand(["connect", server.url], env, true), stderr: "pipe" });
  let stderr = "";
  transport.stderr!.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const connecting = connectOver(transport);
  await expect.poll(() => printedUrl(stderr), { timeout: 8000 }).toBeDefined();
  const login = printedUrl(stderr)!;
  const asked = new URL(login).searchParams;
  expect(Object.fromEntries(asked)).toMatchObject({
    response_type: "code",
    code_challenge_method: "S256",
    resource: server.url,
    scope: "read",
    redirect_uri: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/callback$/) as string,
  });
  const { status, text, at, headers } = await visit(login);
  expect([status, text]).toEqual([200, expect.stringContaining("You are logged in to 127.0.0.1")]);
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(headers.get("referrer-policy")).toBe("no-referrer");
  const { client, close } = await use(connecting);
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain("echo");
  await close();
  // Nobody listens there any more.
  await expect(fetch(at)).rejects.toThrow();
  expect([...issuer.clients.values()]).toMatchObject([
    { application_type: "native", token_endpoint_auth_method: "none", redirect_uris: [asked.get("redirect_uri")] },
  ]);

  const folder = join(env.XDG_STATE_HOME, "penstock", "logins");
  const files = readdirSync(folder);
  expect(files).toHaveLength(1);
  expect(statSync(join(folder, files[0]!)).mode & 0o777).toBe(0o600);
  expect(JSON.parse(readFileSync(join(folder, files[0]!), "utf8"))).toMatchObject({
    server: server.url,
    resource: server.url,
    as: { issuer: issuer.issuer },
  });
  // Two at once, with a token that has ended: one of them renews it, the other one takes that.
  issuer.tokens.clear();
  const again = await Promise.all([0, 1].map(async () => use(rawStdio(["connect", server.url], env, true))));
  for (const one of again) one.say(INITIALIZE);
  for (const one of again) expect(await one.heard('"id":0')).toHaveProperty("result.serverInfo");
  expect(again.map((one) => one.stderr())).toEqual(["", ""]);
  expect(issuer.grants("refresh_token")).toHaveLength(1);
  expect(issuer.grants("refresh_token")[0]!.get("resource")).toBe(server.url);
});
