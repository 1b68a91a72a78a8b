/** `penstock connect` logs in at servers that would have the code, the verifier or a token; and what it prints meanwhile. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type IssuerFaults, printedUrl, startLoginIssuer, startProtected, visit } from "../_harness/login-issuer.ts";
import { otherRuntime } from "../_harness/runtimes.ts";
import { testScope } from "../_harness/scope.ts";
import { INITIALIZE } from "../_harness/sse-client.ts";
import { rawStdio } from "../_harness/stdio-client.ts";

const use = testScope();

/** A home of its own, with a browser that only notes that it was started. */
function home() {
  const folder = mkdtempSync(join(tmpdir(), "penstock-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const opened = join(folder, "opened");
  for (const name of ["xdg-open", "open"]) {
    writeFileSync(join(folder, name), `#!/bin/sh\necho "$@" >> ${opened}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return { opened, env: { XDG_STATE_HOME: folder, PATH: `${folder}:${process.env.PATH}` } };
}

async function start(faults: IssuerFaults) {
  const issuer = await use(startLoginIssuer(faults));
  const server = await use(startProtected(issuer));
  const { opened, env } = home();
  const client = await use(rawStdio(["connect", server.url, "--open", "--log-level", "debug"], env, true));
  client.say(INITIALIZE);
  const url = async () => {
    await expect.poll(() => printedUrl(client.stderr()), { timeout: 8000 }).toBeDefined();
    return printedUrl(client.stderr())!;
  };
  const refusal = async () => ((await client.heard('"id":0')) as { error: { message: string } }).error.message;
  return { issuer, server, client, opened, url, refusal };
}

describe("AU-10 a login ends before a code or a verifier is sent", () => {
  const elsewhere = (name: string, value: string): IssuerFaults => ({
    metadata: (right) => ({ ...right, [name]: value }),
  });
  const WRONG: [string, IssuerFaults, string][] = [
    ["another issuer in the metadata", elsewhere("issuer", "https://login.example.com"), "says that its issuer is"],
    ["a token endpoint elsewhere", elsewhere("token_endpoint", "http://127.0.0.1:9/token"), "token_endpoint is at"],
    ["javascript:", elsewhere("authorization_endpoint", "javascript:alert(1)"), "authorization_endpoint is"],
    ["file:", elsewhere("authorization_endpoint", "file:///etc/passwd"), "authorization_endpoint is"],
    ["a shell's words", elsewhere("authorization_endpoint", "a:$(touch /tmp/x)"), "authorization_endpoint is"],
    ["no S256", elsewhere("code_challenge_methods_supported", "plain"), "does not list S256"],
  ];

  test("metadata that is wrong: nothing is registered, printed or opened", async () => {
    await Promise.all(
      WRONG.map(async ([what, faults, why]) => {
        const { issuer, client, opened, refusal } = await start(faults);
        expect([what, await refusal()]).toEqual([what, expect.stringContaining(why)]);
        expect(issuer.requests.filter(({ method }) => method === "POST")).toEqual([]);
        expect(printedUrl(client.stderr())).toBeUndefined();
        expect(existsSync(opened)).toBe(false);
      }),
    );
  });

  const ANSWERS: [string, IssuerFaults][] = [
    ["another iss", { redirect: (target) => target.searchParams.set("iss", "https://login.example.com") }],
    ["no iss, where one was promised", { redirect: (target) => target.searchParams.delete("iss") }],
    [
      "an error with another iss",
      {
        redirect: ({ searchParams }) => {
          searchParams.set("iss", "https://x.example.com");
          searchParams.set("error", "access_denied");
        },
      },
    ],
  ];

  test("an answer from elsewhere in the browser's address: the code is not sent on", async () => {
    await Promise.all(
      ANSWERS.map(async ([what, faults]) => {
        const { issuer, url, refusal } = await start(faults);
        const page = await visit(await url());
        expect([what, page.status]).toEqual([what, 400]);
        expect(await refusal()).toContain("The login failed");
        expect(issuer.grants("authorization_code")).toEqual([]);
        for (const secret of issuer.secrets) expect(page.text).not.toContain(secret);
      }),
    );
  });

  test("an answer with another state changes nothing: the login goes on", async () => {
    const { url, client, opened } = await start({});
    const login = await url();
    // Deno starts programs only where it was told.
    if (otherRuntime !== "deno")
      await expect.poll(() => existsSync(opened) && readFileSync(opened, "utf8")).toBe(`${login}\n`);
    const redirect = new URL(new URL(login).searchParams.get("redirect_uri")!);
    redirect.search = "?code=stolen&state=other&iss=x";
    const foreign = await fetch(redirect);
    expect([foreign.status, await foreign.text()]).toEqual([400, expect.stringContaining("Nothing was done")]);
    expect((await visit(login)).status).toBe(200);
    expect(await client.heard('"id":0')).toHaveProperty("result.serverInfo");
  });
});

test("OB-01 a login, a renewal and one that fails, with everything logged: no code, verifier or token in what is printed", async () => {
  const { issuer, client, url } = await start({ life: 1 });
  const login = await url();
  const page = await visit(login);
  await client.heard('"id":0');
  // The token ends within the margin, so each request renews it; then that fails, with the secrets in the answer.
  issuer.faults.token = (form) => [400, { error: "invalid_request", error_description: form.toString() }];
  client.say(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }));
  expect(await client.heard('"id":1')).toMatchObject({ error: { data: { code: "LOGIN_REQUIRED" } } });
  expect(issuer.secrets.length).toBeGreaterThan(4);
  const printed = [client.stderr(), ...client.lines, page.text].join("\n");
  for (const secret of issuer.secrets) expect(printed).not.toContain(secret);
  // The state must be in the address that was printed, and nowhere else.
  expect(printed.split(new URL(login).searchParams.get("state")!)).toHaveLength(2);
});
