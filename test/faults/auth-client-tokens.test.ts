/** Tokens that the proxy gets by itself: how often, for whom, and who learns of them. */
import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { configModule } from "../_harness/child-config.ts";
import { connectV1, connectV2 } from "../_harness/clients.ts";
import { byName, byToken, oauthClient, standard } from "../_harness/plugins.ts";
import { runCli, startCli, startProxy } from "../_harness/proxy.ts";
import type { Closeable } from "../_harness/loopback.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { type TokenServer, tokenServer } from "../_harness/token-server.ts";
import { jsonAnswer } from "../_harness/wire.ts";
import { folderWith } from "../core/files.ts";

const use = testScope();
const RESULT = '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}';
const account = { grant: "client_credentials", clientId: "penstock", clientSecret: "canary-client-secret" } as const;

async function start(servers: object, more: unknown[] = []): Promise<string> {
  return (await use(startProxy({ servers, plugins: [standard(), ...more] }))).url;
}

/** A server that takes what is alive at an authorization server. */
async function guarded(tokens: TokenServer) {
  const upstream = await scripted(({ headers }) =>
    tokens.live.has(headers.authorization?.slice("Bearer ".length) ?? "")
      ? jsonAnswer(RESULT)
      : jsonAnswer("{}", "401 Unauthorized", "www-authenticate: Bearer\r\n"),
  );
  await use(upstream.server);
  return upstream;
}

async function call(url: string): Promise<number> {
  const response = await fetch(`${url}/docs/mcp`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
    body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}',
  });
  await response.text();
  return response.status;
}

const burst = (url: string) => Promise.all(Array.from({ length: 50 }, () => call(url)));
const all = (status: number) => Array.from({ length: 50 }, () => status);

describe("AU-12 a token of the proxy's own", () => {
  test("fifty requests share one, and fifty refusals of it one other", async () => {
    const tokens = await use(tokenServer());
    const upstream = await guarded(tokens);
    const { tokenEndpoint } = tokens;
    const docs = {
      url: `${upstream.server.url}/mcp`,
      era: "legacy",
      plugins: oauthClient({ ...account, tokenEndpoint }),
    };
    const url = await start({ docs });
    expect(await burst(url)).toEqual(all(200));
    expect(tokens.requests).toHaveLength(1);
    tokens.revokeAll();
    expect(await burst(url)).toEqual(all(200));
    expect(tokens.requests).toHaveLength(2);
  });

  test.each([
    [59, 2, "ends within the margin"],
    [61, 1, "does not"],
    [0, 2, "has ended"],
    [-60, 2, "has ended long ago"],
  ])("one that lives %s s is asked for %s times for two bursts: it %s", async (lifetime, asked) => {
    const tokens = await use(tokenServer({ lifetime }));
    const upstream = await guarded(tokens);
    const plugin = oauthClient({ ...account, tokenEndpoint: tokens.tokenEndpoint, floor: 0 });
    const url = await start({ docs: { url: `${upstream.server.url}/mcp`, era: "legacy", plugins: plugin } });
    expect(await burst(url)).toEqual(all(200));
    const first = tokens.requests.length;
    expect(await call(url)).toBe(200);
    expect(tokens.requests.length - first).toBe(asked - 1);
  });

  test("a provider in trouble is not asked by every request of a storm, and is asked again", async () => {
    let isDown = true;
    const tokens = await use(tokenServer({ answer: () => (isDown ? { status: 500, body: {} } : undefined) }));
    const upstream = await guarded(tokens);
    const plugin = oauthClient({ ...account, tokenEndpoint: tokens.tokenEndpoint });
    const url = await start({ docs: { url: `${upstream.server.url}/mcp`, era: "legacy", plugins: plugin } });
    for (let i = 0; i < 4; i++) expect(await burst(url)).toEqual(all(503));
    expect(tokens.requests.length).toBeLessThan(4);
    expect(upstream.requests).toEqual([]);
    isDown = false;
    await expect.poll(() => call(url), { timeout: 5000, interval: 200 }).toBe(200);
  });
});

describe("AU-13 tokens that are had for what callers present", () => {
  test.each([
    ["of the old era", startLegacyServer],
    ["of the new era", startModernServer],
  ])("never cross, before a server %s", async (_, startServer) => {
    const tokens = await use(tokenServer());
    const crossed: string[] = [];
    const owners = new Set<string>();
    const intercept = tokens.protect((owner, method, body) => {
      owners.add(owner);
      const said = /"text":"(\w+) /.exec(JSON.stringify(body) ?? "")?.[1];
      if (said !== undefined && !owner.startsWith(`of.${said}.`)) crossed.push(`${method} of ${said} with ${owner}`);
    });
    const upstream = await use(startServer({ intercept }));
    const plugin = oauthClient({
      ...account,
      grant: "token-exchange",
      tokenEndpoint: tokens.tokenEndpoint,
      scopes: "tools",
    });
    const url = await start({ docs: { url: upstream.url, plugins: plugin } }, [byToken()]);
    const work = ["anna", "bert"].flatMap((name) =>
      [connectV1, connectV2].map(async (connect, i) => {
        const headers = { authorization: `Bearer of.${name}.${i}` };
        const connected = await connect(`${url}/docs/mcp`, { headers });
        await use<Closeable>(connected);
        const client = connected.client as { callTool(call: object): Promise<{ content?: unknown }> };
        for (let n = 0; n < 4; n++) {
          const text = `${name} says ${n}`;
          const result = await client.callTool({ name: "echo", arguments: { text } });
          expect(JSON.stringify(result.content)).toContain(text);
        }
      }),
    );
    await Promise.all(work);
    expect(crossed).toEqual([]);
    expect([...owners].sort()).toEqual(["of.anna.0", "of.anna.1", "of.bert.0", "of.bert.1"]);
    // What one token was exchanged for was used as long as it was presented, and each was exchanged once.
    expect(tokens.requests.map(({ parameters }) => parameters.subject_token).sort()).toEqual([...owners].sort());
  });

  test("a caller whose token has ended, or who brought none that can be exchanged, gets nobody else's", async () => {
    const tokens = await use(tokenServer());
    const upstream = await guarded(tokens);
    const plugin = oauthClient({ ...account, grant: "token-exchange", tokenEndpoint: tokens.tokenEndpoint });
    const docs = { url: `${upstream.server.url}/mcp`, era: "legacy", plugins: plugin };
    const url = await start({ docs }, [byToken(), byName()]);
    const ask = async (fields: Record<string, string>) => {
      const response = await fetch(`${url}/docs/mcp`, {
        method: "POST",
        headers: { ...fields, "content-type": "application/json", accept: "application/json" },
        body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}',
      });
      return [response.status, /"code":"(\w+)"/.exec(await response.text())?.[1]];
    };
    const now = Math.floor(Date.now() / 1000);
    expect(await ask({ authorization: "Bearer of.anna.1" })).toEqual([200, undefined]);
    expect(await ask({ authorization: `Bearer of.anna.2.${now + 60}` })).toEqual([200, undefined]);
    // Its end has come, whatever the plugin thinks that let it in; and a key in the same field is no token.
    expect(await ask({ authorization: `Bearer of.anna.3.${now - 1}` })).toEqual([403, "NO_UPSTREAM_TOKEN"]);
    expect(await ask({ authorization: "Bearer key-of-bert", "x-name": "bert" })).toEqual([403, "NO_UPSTREAM_TOKEN"]);
    expect(await ask({ "x-name": "anna" })).toEqual([403, "NO_UPSTREAM_TOKEN"]);
    expect(await ask({ authorization: "Bearer stranger" })).toEqual([401, "UNAUTHENTICATED"]);
    const subjects = tokens.requests.map(({ parameters }) => parameters.subject_token);
    expect(subjects).toEqual(["of.anna.1", `of.anna.2.${now + 60}`]);
  });
});

describe("OB-01 secrets of a client", () => {
  test("are in no log line, answer, health report or word of the doctor, also where a provider repeats them", async () => {
    const echo = ({ parameters, authorization }: { parameters: object; authorization?: string }) => ({
      status: 400,
      body: { error: "invalid_client", error_description: `canary: ${JSON.stringify(parameters)} ${authorization}` },
    });
    const echoing = await use(tokenServer({ answer: echo }));
    const tokens = await use(
      tokenServer({
        answer: (_, token) => ({ body: { access_token: `canary-${token}`, token_type: "Bearer", expires_in: 60 } }),
      }),
    );
    const upstream = await guarded(tokens);
    const refusing = await scripted(() => jsonAnswer("{}", "401 Unauthorized"));
    await use(refusing.server);
    const url = `${upstream.server.url}/mcp`;
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const jwk = privateKey.export({ format: "jwk" }) as { d: string };
    const signed = { ...account, clientSecret: undefined, privateKey: jwk };
    const from = ({ tokenEndpoint }: TokenServer) => ({ tokenEndpoint });
    const servers = {
      docs: { url, plugins: oauthClient({ ...account, ...from(tokens) }) },
      post: { url, plugins: oauthClient({ ...account, ...from(echoing), authMethod: "client_secret_post" }) },
      basic: { url, plugins: oauthClient({ ...account, ...from(echoing) }) },
      signed: { url, plugins: oauthClient({ ...signed, ...from(echoing) } as never) },
      refused: { url: `${refusing.server.url}/mcp`, plugins: oauthClient({ ...account, ...from(tokens) }) },
      exchange: { url, plugins: oauthClient({ ...account, ...from(echoing), grant: "token-exchange" }) },
      stored: { url, plugins: oauthClient({ tokens: { bert: "canary-stored-token" }, header: "x-canary" }) },
    };
    const module = configModule({ servers, port: 0, plugins: [standard(), byToken()] });
    const cwd = folderWith({ "penstock.config.mjs": module });
    const cli = await use(startCli(["--log-level", "debug"], { cwd }));
    const said: string[] = [];
    for (const server of Object.keys(servers)) {
      for (const name of ["anna", "bert"]) {
        const response = await fetch(`${cli.url}/${server}/mcp`, {
          method: "POST",
          headers: {
            authorization: `Bearer of.${name}.canary-of-the-caller`,
            "content-type": "application/json",
            accept: "application/json, text/event-stream",
          },
          body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}',
        });
        said.push(`${server} ${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`);
      }
    }
    for (const path of ["/health", "/readyz"]) said.push(await (await fetch(`${cli.url}${path}`)).text());
    const doctor = await runCli(["doctor", "--json", "--log-level", "debug"], { cwd });
    await cli.close();
    const everything = [...said, cli.stdout(), cli.stderr(), doctor.stdout, doctor.stderr].join("\n");
    expect((everything.match(/.*canary-.*/gi) ?? []).join("\n")).toBe("");
    expect(everything).not.toContain(jwk.d);
    expect(everything).not.toContain(Buffer.from("penstock:canary").toString("base64").slice(0, 16));
    for (const code of ["UPSTREAM_TOKEN_REFUSED", "UPSTREAM_UNAUTHORIZED"]) expect(everything).toContain(code);
    expect(everything).toContain("oauth client credentials at http://127.0.0.1:");
    expect(tokens.requests.length + echoing.requests.length).toBeGreaterThan(4);
  });
});
