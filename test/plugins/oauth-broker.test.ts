/** Penstock as authorization server in front of a provider that knows one client: every step, and what is refused at each. */
import { describe, expect, test } from "vitest";
import type { OAuthBrokerOptions } from "mcp-penstock/plugins/oauth-broker";
import {
  REDIRECT,
  callWith,
  decide,
  formOf,
  logInRaw,
  newBrowser,
  rawOAuthClient,
  walk,
} from "../_harness/broker-login.ts";
import { mounts, oauthBroker, oauthRoot } from "../_harness/plugins.ts";
import { PROVIDER_SECRET, type ProviderOptions, startProvider, wanting } from "../_harness/provider.ts";
import { serve, startBrokered } from "../_harness/broker-proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";

const use = testScope();
const RESOURCE = "/.well-known/oauth-protected-resource";

const start = (options: Partial<OAuthBrokerOptions> = {}, provider: ProviderOptions = {}) =>
  startBrokered(use, options, { provider });

const json = async (answer: Response) => (await answer.json()) as Record<string, unknown>;

describe("metadata", () => {
  test("each document names the server's own endpoints, and what it can do", async () => {
    const { url, base } = await start();
    for (const place of [
      "/.well-known/oauth-authorization-server/docs",
      "/.well-known/openid-configuration/docs",
      "/docs/.well-known/openid-configuration",
    ]) {
      const answer = await fetch(url + place);
      expect(answer.headers.get("access-control-allow-origin")).toBe("*");
      expect(await json(answer)).toEqual({
        issuer: base,
        authorization_endpoint: `${base}/authorize`,
        token_endpoint: `${base}/token`,
        registration_endpoint: `${base}/register`,
        revocation_endpoint: `${base}/revoke`,
        scopes_supported: ["read", "write"],
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        token_endpoint_auth_methods_supported: ["none", "client_secret_basic", "client_secret_post"],
        revocation_endpoint_auth_methods_supported: ["none", "client_secret_basic", "client_secret_post"],
        code_challenge_methods_supported: ["S256"],
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: true,
      });
    }
    expect(await json(await fetch(`${url}${RESOURCE}/docs/mcp`))).toEqual({
      resource: `${url}/docs/mcp`,
      authorization_servers: [base],
      scopes_supported: ["read", "write"],
      bearer_methods_supported: ["header"],
    });
  });

  test("a call without a token, and one with a bad one, is told where to find it", async () => {
    const { url, mcp, server } = await start();
    const where = `scope="read write", resource_metadata="${url}${RESOURCE}/docs/mcp"`;
    const none = await callWith(mcp, undefined);
    expect([none.status, none.headers.get("www-authenticate")]).toEqual([401, `Bearer ${where}`]);
    const bad = await callWith(mcp, "nonsense");
    expect([bad.status, bad.headers.get("www-authenticate")]).toEqual([401, `Bearer error="invalid_token", ${where}`]);
    expect(server.requests).toEqual([]);
  });
});

test("register, consent, login, token, call, refresh, call, revoke, refused", async () => {
  const { url, base, mcp, provider, server } = await start();
  const client = await rawOAuthClient(base);
  const browser = newBrowser();
  const back = await walk(browser, client.link({ resource: mcp, scope: "read" }));
  expect(back.origin + back.pathname).toBe(REDIRECT);
  expect(back.searchParams.get("state")).toBe("state-of-client");
  expect(back.searchParams.get("iss")).toBe(base);
  const answer = await client.redeem(back, { resource: mcp });
  expect([answer.status, answer.headers.get("cache-control")]).toEqual([200, "no-store"]);
  const tokens = await json(answer);
  expect(tokens).toEqual({
    access_token: expect.any(String),
    token_type: "Bearer",
    expires_in: 600,
    refresh_token: expect.any(String),
    scope: "read",
  });
  const login = new URL(provider.requests.find(({ target }) => target.startsWith("/login"))!.target, url);
  expect(Object.fromEntries(login.searchParams)).toMatchObject({
    client_id: "penstock",
    redirect_uri: `${url}/callback`,
    scope: "read",
    code_challenge_method: "S256",
  });
  expect((await callWith(mcp, tokens.access_token as string)).status).toBe(200);
  const sent = server.requests.at(-1)!.headers.authorization!;
  expect(provider.good.has(sent.slice("Bearer ".length))).toBe(true);

  const renewed = await json(await client.refresh(tokens.refresh_token as string));
  expect(provider.count("refresh_token")).toBe(1);
  expect((await callWith(mcp, renewed.access_token as string)).status).toBe(200);
  expect(server.requests.at(-1)!.headers.authorization).not.toBe(sent);

  const revoked = await fetch(`${base}/revoke`, {
    method: "POST",
    body: new URLSearchParams({ token: renewed.refresh_token as string, client_id: client.id }),
  });
  expect(revoked.status).toBe(200);
  expect(provider.count("revoke")).toBe(1);
  for (const token of [tokens.access_token, renewed.access_token])
    expect((await callWith(mcp, token as string)).status).toBe(401);
  expect(await json(await client.refresh(renewed.refresh_token as string))).toMatchObject({ error: "invalid_grant" });
});

test("consent is remembered for a client and a browser, and asked again for more", async () => {
  const { base } = await start();
  const client = await rawOAuthClient(base);
  const browser = newBrowser();
  await walk(browser, client.link({ scope: "read" }));
  expect((await browser.go(client.link({ scope: "read" }))).status).toBe(302);
  expect((await browser.go(client.link({ scope: "read write" }))).status).toBe(200);
  expect((await browser.go(client.link({ scope: "read", prompt: "consent" }))).status).toBe(200);
  expect((await newBrowser().go(client.link({ scope: "read" }))).status).toBe(200);
  const other = await rawOAuthClient(base);
  expect((await browser.go(other.link({ scope: "read" }))).status).toBe(200);
});

test("who denies is sent back to the client, and the provider is not asked", async () => {
  const { base, provider } = await start();
  const client = await rawOAuthClient(base);
  const back = new URL(await decide(newBrowser(), client.link(), "deny"));
  expect(back.href).toMatch(`${REDIRECT}?`);
  expect(Object.fromEntries(back.searchParams)).toMatchObject({
    error: "access_denied",
    state: "state-of-client",
    iss: base,
  });
  expect(provider.requests.filter(({ target }) => target.startsWith("/login"))).toEqual([]);
});

test("the consent page shows who asks, in words and not in HTML, and can be put in no frame", async () => {
  const { base, mcp } = await start();
  const name = `<img src=x onerror=alert(1)>"'&\u202e\u200b evil`;
  const client = await rawOAuthClient(base, { client_name: name });
  const answer = await newBrowser().go(client.link());
  const page = await answer.text();
  expect(page).not.toContain("<img");
  expect(page).toContain("&#60;img src=x onerror=alert(1)&#62;&#34;&#39;&#38; evil");
  expect(page).not.toMatch(/[\u202e\u200b]|<script/);
  for (const shown of [REDIRECT, "read", "write", mcp, "docs", 'lang="en"']) expect(page).toContain(shown);
  const policy = answer.headers.get("content-security-policy");
  expect(policy).toMatch(/default-src 'none'.*frame-ancestors 'none'.*form-action 'self'/);
  expect(answer.headers.get("x-frame-options")).toBe("DENY");
  expect(answer.headers.get("cache-control")).toBe("no-store");
});

describe("nobody is sent anywhere with", () => {
  const cases: [string, Record<string, string | undefined>][] = [
    ["an unknown client", { client_id: "nobody" }],
    ["no client", { client_id: undefined }],
    ["another redirect URI", { redirect_uri: "http://127.0.0.1:9/other" }],
    ["one of another host", { redirect_uri: "https://evil.example/callback" }],
    ["one with a fragment", { redirect_uri: `${REDIRECT}#x` }],
    ["one with a user", { redirect_uri: "http://x@127.0.0.1:9/callback" }],
    ["one with dot segments", { redirect_uri: "http://127.0.0.1:9/x/../callback" }],
    ["none", { redirect_uri: undefined }],
  ];
  test.each(cases)("%s", async (_name, params) => {
    const { base } = await start();
    const client = await rawOAuthClient(base);
    const answer = await newBrowser().go(client.link(params));
    expect([answer.status, answer.headers.get("location")]).toEqual([400, null]);
    expect(await answer.text()).not.toMatch(/evil|refresh/);
  });
});

test.each([
  ["unsupported_response_type", { response_type: "token" }],
  ["invalid_request", { code_challenge: undefined }],
  ["invalid_request", { code_challenge_method: "plain" }],
  ["invalid_request", { code_challenge_method: undefined }],
  ["invalid_target", { resource: "https://elsewhere.example/mcp" }],
  ["invalid_scope", { scope: "admin" }],
  ["request_not_supported", { request: "x" }],
] as [string, Record<string, string | undefined>][])("the client is told %s for %j", async (error, params) => {
  const { base } = await start();
  const client = await rawOAuthClient(base);
  const answer = await newBrowser().go(client.link(params));
  const back = new URL(answer.headers.get("location")!);
  expect(back.href).toMatch(`${REDIRECT}?`);
  expect(Object.fromEntries(back.searchParams)).toMatchObject({ error, state: "state-of-client", iss: base });
});

describe("at the token endpoint", () => {
  test("a code is good once; the second time ends what came of it", async () => {
    const { base, mcp } = await start();
    const client = await rawOAuthClient(base);
    const back = await walk(newBrowser(), client.link());
    const tokens = await json(await client.redeem(back));
    expect((await callWith(mcp, tokens.access_token as string)).status).toBe(200);
    expect(await json(await client.redeem(back))).toMatchObject({ error: "invalid_grant" });
    expect((await callWith(mcp, tokens.access_token as string)).status).toBe(401);
  });

  test("a code is for its client, redirect URI, verifier and resource only", async () => {
    const { base, provider } = await start();
    const client = await rawOAuthClient(base);
    const other = await rawOAuthClient(base);
    const back = await walk(newBrowser(), client.link());
    for (const [error, more] of [
      ["invalid_grant", { client_id: other.id }],
      ["invalid_grant", { redirect_uri: "http://127.0.0.1:9/other" }],
      ["invalid_grant", { code_verifier: other.verifier }],
      ["invalid_grant", { code_verifier: "" }],
      ["invalid_grant", { code: "x" }],
      ["invalid_target", { resource: "https://elsewhere.example/mcp" }],
      ["invalid_client", { client_id: "nobody" }],
      ["unsupported_grant_type", { grant_type: "password" }],
    ] as [string, Record<string, string>][])
      expect(await json(await client.redeem(back, more))).toMatchObject({ error });
    expect(provider.count("authorization_code")).toBe(0);
    expect((await client.redeem(back)).status).toBe(200);
  });

  test("a refresh token that was replaced is good for a moment more, then it ends the grant", async () => {
    const { base, mcp } = await start({ refreshGrace: 0 });
    const client = await rawOAuthClient(base);
    const first = await logInRaw(client);
    const second = await json(await client.refresh(first.refresh_token));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await json(await client.refresh(first.refresh_token))).toMatchObject({ error: "invalid_grant" });
    expect(await json(await client.refresh(second.refresh_token as string))).toMatchObject({ error: "invalid_grant" });
    expect((await callWith(mcp, second.access_token as string)).status).toBe(401);

    const patient = await start();
    const lost = await rawOAuthClient(patient.base);
    const { refresh_token } = await logInRaw(lost);
    const answers = await Promise.all(Array.from({ length: 10 }, () => lost.refresh(refresh_token)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(patient.provider.count("refresh_token")).toBe(1);
    const tokens = await json(answers[9]!);
    expect((await callWith(patient.mcp, tokens.access_token as string)).status).toBe(200);
  });

  test("clients with a secret use it as they registered", async () => {
    const { base } = await start();
    const made = await fetch(`${base}/register`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ redirect_uris: [REDIRECT], token_endpoint_auth_method: "client_secret_basic" }),
    });
    const { client_id, client_secret } = (await made.json()) as Record<string, string>;
    const ask = (headers: Record<string, string>, form: Record<string, string> = {}) =>
      fetch(`${base}/token`, {
        method: "POST",
        headers,
        body: new URLSearchParams({ grant_type: "refresh_token", refresh_token: "x", ...form }),
      });
    const basic = (secret: string) => ({ authorization: `Basic ${btoa(`${client_id}:${secret}`)}` });
    expect(await json(await ask(basic(client_secret!)))).toMatchObject({ error: "invalid_grant" });
    for (const answer of [
      await ask(basic("wrong")),
      await ask({}, { client_id: client_id! }),
      await ask({}, { client_id: client_id!, client_secret: client_secret! }),
      await ask({ authorization: "Basic %%%" }),
    ]) {
      expect(answer.status).toBe(401);
      expect(await json(answer)).toMatchObject({ error: "invalid_client" });
    }
  });
});

test.each([
  [{ redirect_uris: [] }, "invalid_redirect_uri"],
  [{ redirect_uris: ["http://evil.example/callback"] }, "invalid_redirect_uri"],
  [{ redirect_uris: ["javascript:alert(1)"] }, "invalid_redirect_uri"],
  [{ redirect_uris: ["data:text/html,x"] }, "invalid_redirect_uri"],
  [{ redirect_uris: ["https://a.example/%2e%2e/x"] }, "invalid_redirect_uri"],
  [{ redirect_uris: ["https://a.example/x#y"] }, "invalid_redirect_uri"],
  [{ redirect_uris: ["https://u:p@a.example/x"] }, "invalid_redirect_uri"],
  [{ redirect_uris: ["https://A.example/x"] }, "invalid_redirect_uri"],
  [{ redirect_uris: Array.from({ length: 17 }, (_, i) => `https://a.example/${i}`) }, "invalid_redirect_uri"],
  [
    { redirect_uris: [`https://a.example/${"x".repeat(1000)}`, `https://a.example/${"y".repeat(600)}`] },
    "invalid_redirect_uri",
  ],
  [{ redirect_uris: [REDIRECT], application_type: "web" }, "invalid_redirect_uri"],
  [{ redirect_uris: [REDIRECT], grant_types: ["implicit"] }, "invalid_client_metadata"],
  [{ redirect_uris: [REDIRECT], token_endpoint_auth_method: "private_key_jwt" }, "invalid_client_metadata"],
  [{ redirect_uris: [REDIRECT], client_name: { a: 1 } }, "invalid_client_metadata"],
])("a registration of %j is refused: %s", async (metadata, error) => {
  const { base } = await start();
  const answer = await fetch(`${base}/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(metadata),
  });
  expect([answer.status, await json(answer)]).toEqual([400, expect.objectContaining({ error })]);
});

test("a loopback redirect URI may have another port, and nothing else", async () => {
  const { base } = await start();
  const client = await rawOAuthClient(base, { redirect_uris: ["http://localhost/cb", "com.example.app:/cb"] });
  for (const [status, redirect_uri] of [
    [200, "http://localhost:4711/cb"],
    [200, "com.example.app:/cb"],
    [400, "http://127.0.0.1:4711/cb"],
    [400, "http://localhost:4711/cb/"],
    [400, "http://localhost:4711/cb?x"],
    [400, "com.example.app:/cbx"],
  ] as const)
    expect([redirect_uri, (await newBrowser().go(client.link({ redirect_uri }))).status]).toEqual([
      redirect_uri,
      status,
    ]);
});

describe("the provider's tokens", () => {
  test("a 401 of the server: one refresh for all, and every call succeeds", async () => {
    const { base, mcp, provider } = await start();
    const { access_token } = await logInRaw(await rawOAuthClient(base));
    provider.good.clear();
    const answers = await Promise.all(Array.from({ length: 50 }, () => callWith(mcp, access_token)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(provider.count("refresh_token")).toBe(1);
  });

  test("a server that takes none: the client is told to log in again", async () => {
    const { base, mcp, refusing, provider, url } = await start();
    const { access_token } = await logInRaw(await rawOAuthClient(base));
    for (const token of provider.good) refusing.add(token);
    provider.answer = { status: 400, body: { error: "invalid_grant" } };
    const answer = await callWith(mcp, access_token);
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toBe(
      `Bearer error="invalid_token", scope="read write", resource_metadata="${url}${RESOURCE}/docs/mcp"`,
    );
    expect((await callWith(mcp, access_token)).status).toBe(401);
    expect(provider.count("refresh_token")).toBe(0);
  });

  test("our tokens end before the provider's do", async () => {
    const { base } = await start({}, { expiresIn: 120 });
    const { expires_in } = await logInRaw(await rawOAuthClient(base));
    expect(expires_in).toBeGreaterThan(80);
    expect(expires_in).toBeLessThanOrEqual(90);
  });

  test("a provider as old as GitHub's: no metadata, forms for answers, and the user is told by a page", async () => {
    const provider = await use(startProvider({ old: true, refreshes: false }));
    const server = await use(startLegacyServer({ sessions: false, intercept: wanting(provider) }));
    const broker = oauthBroker({
      authorizationEndpoint: `${provider.issuer}/login`,
      tokenEndpoint: `${provider.issuer}/token`,
      userinfoEndpoint: `${provider.issuer}/user`,
      subjectClaim: "id",
      clientId: "penstock",
      clientSecret: PROVIDER_SECRET,
    });
    const url = await serve(use, { servers: { docs: { url: server.url } }, plugins: [mounts(), oauthRoot(), broker] });
    const client = await rawOAuthClient(`${url}/docs`);
    const tokens = await logInRaw(client);
    expect((await callWith(`${url}/docs/mcp`, tokens.access_token)).status).toBe(200);
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200);
    // The user took the permission back there: nothing but a new login helps.
    provider.good.clear();
    expect((await callWith(`${url}/docs/mcp`, tokens.access_token)).status).toBe(401);
    expect((await client.refresh(tokens.refresh_token)).status).toBe(400);
  });

  test("a provider that cannot be asked: the client may try again, nothing is lost", async () => {
    const { base, provider } = await start();
    const client = await rawOAuthClient(base);
    const { refresh_token } = await logInRaw(client);
    provider.answer = { status: 500, body: {} };
    const failed = await client.refresh(refresh_token);
    expect([failed.status, await json(failed)]).toEqual([
      503,
      expect.objectContaining({ error: "temporarily_unavailable" }),
    ]);
    provider.answer = undefined;
    expect((await client.refresh(refresh_token)).status).toBe(200);
  });
});

test("the form of the page is good in its own browser only, and only posted from the page", async () => {
  const { base } = await start();
  const client = await rawOAuthClient(base);
  const browser = newBrowser();
  const { action, ticket } = formOf(await (await browser.go(client.link())).text());
  const send = (who: typeof browser, site: string) =>
    who.go(new URL(action, base).href, {
      method: "POST",
      body: new URLSearchParams({ ticket, decision: "approve" }),
      headers: { "sec-fetch-site": site },
    });
  const other = newBrowser();
  await other.go(client.link());
  expect((await send(other, "same-origin")).status).toBe(400);
  expect((await send(newBrowser(), "same-origin")).status).toBe(400);
  expect((await send(browser, "cross-site")).status).toBe(400);
  expect((await send(browser, "same-origin")).status).toBe(200);
});
