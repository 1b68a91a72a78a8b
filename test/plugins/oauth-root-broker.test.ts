/** Founding case 3 with real endpoints behind it: every row of its table under each policy, from the link to a call. */
import { describe, expect, test } from "vitest";
import { type RawClient, callWith, clientNamed, newBrowser, rawOAuthClient, walk } from "../_harness/broker-login.ts";
import { brokerOptions, serve } from "../_harness/broker-proxy.ts";
import { mounts, oauthBroker, oauthRoot } from "../_harness/plugins.ts";
import { type FakeProvider, startProvider, wanting } from "../_harness/provider.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";

const use = testScope();
const METADATA = "/.well-known/oauth-authorization-server";
const json = async (answer: Response) => (await answer.json()) as Record<string, unknown>;

/** Servers in upper case have a login of their own provider. */
async function start(names: readonly string[], policy?: string) {
  const providers: Record<string, FakeProvider> = {};
  const servers: Record<string, object> = {};
  for (const written of names) {
    const name = written.toLowerCase();
    if (name === written) {
      servers[name] = { url: (await use(startLegacyServer({ sessions: false }))).url };
      continue;
    }
    const provider = (providers[name] = await use(startProvider()));
    const { url } = await use(startLegacyServer({ sessions: false, intercept: wanting(provider) }));
    const clients = { [`listed-${name}`]: { redirectUris: ["http://127.0.0.1:9/callback"] } };
    servers[name] = { url, plugins: [oauthBroker(brokerOptions(provider, { scopes: [`${name}:use`], clients }))] };
  }
  const url = await serve(use, { servers, plugins: [mounts(), oauthRoot(policy === undefined ? {} : { policy })] });
  return { url, providers };
}

/** From the link to a call of the server. @returns `iss` of the answer */
async function wholeLogin(url: string, server: string, client: RawClient, params = {}): Promise<string | null> {
  const back = await walk(newBrowser(), client.link(params));
  expect(back.searchParams.get("state")).toBe("state-of-client");
  const { access_token } = await json(await client.redeem(back));
  expect((await callWith(`${url}/${server}/mcp`, access_token as string)).status).toBe(200);
  return back.searchParams.get("iss");
}

/** What everybody is told where no server is meant. */
async function expectNobody(url: string, names: readonly string[]): Promise<void> {
  const nobody = clientNamed(url, "nobody");
  const texts = new Set<string>();
  for (const answer of [
    await fetch(url + METADATA),
    await fetch(`${url}/.well-known/openid-configuration`),
    await fetch(`${url}/.well-known/oauth-protected-resource`),
    await fetch(`${url}/register`, { method: "POST", body: "{}" }),
    await newBrowser().go(nobody.link()),
    await nobody.refresh("x"),
  ]) {
    expect([answer.status, answer.headers.get("content-type")]).toEqual([404, "application/json"]);
    texts.add(await answer.text());
  }
  expect(texts.size).toBe(1);
  for (const name of names) expect([...texts][0]).not.toContain(name.toLowerCase());
}

/** Every request at the root leads to this server. */
async function expectRoot(url: string, server: string, provider: FakeProvider): Promise<void> {
  expect(await json(await fetch(url + METADATA))).toMatchObject({
    issuer: url,
    authorization_endpoint: `${url}/${server}/authorize?from=root`,
    token_endpoint: `${url}/${server}/token`,
    registration_endpoint: `${url}/${server}/register`,
    scopes_supported: [`${server}:use`],
  });
  expect(await json(await fetch(`${url}/.well-known/oauth-protected-resource`))).toMatchObject({
    resource: `${url}/${server}/mcp`,
    authorization_servers: [`${url}/${server}`],
  });
  // The default endpoints of revision 2025-03-26, on the origin.
  expect(await wholeLogin(url, server, await rawOAuthClient(url))).toBe(url);
  const login = provider.requests.find(({ target }) => target.startsWith("/login"))!;
  expect(new URL(login.target, url).searchParams.get("client_id")).toBe("penstock");
  expect(await wholeLogin(url, server, clientNamed(url, `listed-${server}`))).toBe(url);
  // A client that found the endpoints in the root's metadata is told the issuer that it found there.
  const client = await rawOAuthClient(`${url}/${server}`);
  expect(await wholeLogin(url, server, client, { from: "root" })).toBe(url);
  const unknown = await newBrowser().go(clientNamed(url, "nobody").link());
  expect([unknown.status, unknown.headers.get("location")]).toEqual([400, null]);
}

/** Each server by its own paths; and by its client ids at the root, unless nothing is served there. */
async function expectOwn(url: string, server: string, atRoot: boolean): Promise<void> {
  const client = await rawOAuthClient(`${url}/${server}`);
  expect(await wholeLogin(url, server, client)).toBe(`${url}/${server}`);
  const there = clientNamed(url, client.id);
  if (!atRoot) return expect((await newBrowser().go(there.link())).status).toBe(404);
  expect(await wholeLogin(url, server, there)).toBe(url);
  expect(await wholeLogin(url, server, there, { resource: `${url}/${server}/mcp` })).toBe(url);
  expect(await wholeLogin(url, server, clientNamed(url, `listed-${server}`))).toBe(url);
}

const ROWS: [string, readonly string[]][] = [
  ["exactly one, with a login", ["DOCS"]],
  ["one with a login beside one without", ["DOCS", "plain"]],
  ["two with a login", ["DOCS", "NOTES"]],
  ["none with a login", ["plain"]],
];
const withLogin = (names: readonly string[]) => names.filter((name) => name !== name.toLowerCase());

describe.each(ROWS)("%s", (_name, names) => {
  const servers = withLogin(names).map((name) => name.toLowerCase());

  test.each([undefined, "single"])("policy %s", async (policy) => {
    const { url, providers } = await start(names, policy);
    if (names.length === 1 && servers.length === 1) await expectRoot(url, "docs", providers.docs!);
    else await expectNobody(url, names);
    for (const server of servers) await expectOwn(url, server, true);
  });

  test("policy never", async () => {
    const { url } = await start(names, "never");
    await expectNobody(url, names);
    for (const server of servers) await expectOwn(url, server, false);
  });

  test("policy: a server's name", async () => {
    const named = names[0]!.toLowerCase();
    const { url, providers } = await start(names, named);
    if (servers.includes(named)) await expectRoot(url, named, providers[named]!);
    else await expectNobody(url, names);
    for (const server of servers) await expectOwn(url, server, true);
  });
});

test("the callback is that of the server whose state it is, and no other's", async () => {
  const { url, providers } = await start(["DOCS", "NOTES"]);
  for (const server of ["docs", "notes"]) {
    await wholeLogin(url, server, await rawOAuthClient(`${url}/${server}`));
    expect(providers[server]!.count("authorization_code")).toBe(1);
  }
  for (const query of ["", "?state=", "?state=x&code=y", "?code=y"]) {
    const answer = await newBrowser().go(`${url}/callback${query}`);
    expect([answer.status, answer.headers.get("location")]).toEqual([400, null]);
    expect(answer.headers.get("content-type")).toMatch("text/html");
    expect(await answer.text()).not.toMatch(/docs|notes/);
  }
});
