/** A login that somebody meddles with, at a proxy that stands in front of a provider with one client. */
import { describe, expect, test } from "vitest";
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
import { startBrokered } from "../_harness/broker-proxy.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();
const json = async (answer: Response) => (await answer.json()) as Record<string, unknown>;

describe("AU-10 a provider that is not the one it says it is", () => {
  const OTHER = "https://other.example";
  test.each([
    ["another issuer", { issuer: OTHER }],
    ["a script in place of the login", { authorization_endpoint: "javascript:alert(1)" }],
    ["a file in place of the login", { authorization_endpoint: "file:///etc/passwd" }],
    ["a command in place of the login", { authorization_endpoint: "a:$(touch x)" }],
    ["a token endpoint in the clear", { token_endpoint: "http://192.0.2.7/token" }],
    ["no S256", { code_challenge_methods_supported: ["plain"] }],
  ])("metadata with %s: nobody is sent there", async (_name, metadata) => {
    const { base, provider } = await startBrokered(use, {}, { provider: { metadata } });
    const client = await rawOAuthClient(base);
    const back = new URL(await decide(newBrowser(), client.link()));
    expect(back.href).toMatch(`${REDIRECT}?`);
    expect(back.searchParams.get("error")).toBe("temporarily_unavailable");
    expect(provider.requests.filter(({ target }) => !target.startsWith("/.well-known/"))).toEqual([]);
  });

  test.each([
    ["wrong", { iss: true, wrongIss: OTHER }],
    ["wrong where none was announced", { wrongIss: OTHER }],
    ["missing", { metadata: { authorization_response_iss_parameter_supported: true } }],
  ])("an answer whose iss is %s: neither code nor verifier goes anywhere", async (_name, provider) => {
    const around = await startBrokered(use, {}, { provider });
    const client = await rawOAuthClient(around.base);
    const back = await walk(newBrowser(), client.link());
    expect(Object.fromEntries(back.searchParams)).toMatchObject({ error: "server_error", iss: around.base });
    expect(back.searchParams.has("code")).toBe(false);
    expect(around.provider.count("authorization_code")).toBe(0);
  });

  test("the right one is believed; what it refuses reaches the client as its own error", async () => {
    const { base, provider, mcp } = await startBrokered(use, {}, { provider: { iss: true } });
    const client = await rawOAuthClient(base);
    expect((await callWith(mcp, (await logInRaw(client)).access_token)).status).toBe(200);
    for (const [said, told] of [
      ["access_denied", "access_denied"],
      ["some_secret_error", "server_error"],
    ] as const) {
      provider.error = said;
      const back = await walk(newBrowser(), client.link());
      expect(Object.fromEntries(back.searchParams)).toMatchObject({ error: told, state: "state-of-client", iss: base });
    }
  });
});

describe("AU-11 a login that is not its user's", () => {
  /** From the link to the address at which the provider's answer arrives. */
  async function toCallback(link: string, browser = newBrowser()) {
    const login = await decide(browser, link);
    return { browser, location: (await browser.go(login)).headers.get("location")! };
  }

  test("another redirect URI is no one's: not at the beginning, not at the end", async () => {
    const { base, provider } = await startBrokered(use);
    const client = await rawOAuthClient(base);
    for (const redirect_uri of [
      `${REDIRECT}/x`,
      `${REDIRECT}?x=1`,
      "https://evil.example/callback",
      "javascript:alert(1)",
    ]) {
      const answer = await newBrowser().go(client.link({ redirect_uri }));
      expect([redirect_uri, answer.status, answer.headers.get("location")]).toEqual([redirect_uri, 400, null]);
    }
    const back = await walk(newBrowser(), client.link());
    expect((await client.redeem(back, { redirect_uri: `${REDIRECT}/x` })).status).toBe(400);
    expect(provider.count("authorization_code")).toBe(0);
  });

  test("a state is good once, in the browser that gave its consent, and nowhere else", async () => {
    const { base, url } = await startBrokered(use);
    const client = await rawOAuthClient(base);
    const { browser, location } = await toCallback(client.link());
    const stranger = newBrowser();
    await stranger.go(client.link());
    for (const [who, target] of [
      [newBrowser(), location],
      [stranger, location],
      [browser, location.replace(/state=[^&]*/, "state=x")],
      [browser, location.replace(/state=[^&]*/, "")],
      [browser, `${location}&state=x`],
      [browser, location.replace("/callback", "/docs/callback")],
    ] as const) {
      const answer = await who.go(target);
      expect([target, answer.status, answer.headers.get("location")]).toEqual([target, 400, null]);
    }
    const back = new URL((await browser.go(location)).headers.get("location")!);
    expect(back.href).toMatch(`${REDIRECT}?`);
    const again = await browser.go(location);
    expect([again.status, again.headers.get("location")]).toEqual([400, null]);
    expect((await client.redeem(back)).status).toBe(200);
    expect((await fetch(`${url}/callback`)).status).toBe(400);
  });

  test("two logins at once in one browser: each ends with its own verifier and client", async () => {
    const { base, mcp, provider } = await startBrokered(use);
    const [one, two] = [await rawOAuthClient(base), await rawOAuthClient(base)];
    const browser = newBrowser();
    const first = await toCallback(one.link(), browser);
    const second = await toCallback(two.link(), browser);
    const backTwo = new URL((await browser.go(second.location)).headers.get("location")!);
    const backOne = new URL((await browser.go(first.location)).headers.get("location")!);
    expect((await one.redeem(backTwo)).status).toBe(400);
    for (const [client, back] of [
      [one, backOne],
      [two, backTwo],
    ] as const) {
      const { access_token } = await json(await client.redeem(back));
      expect((await callWith(mcp, access_token as string)).status).toBe(200);
    }
    const challenges = provider.requests
      .filter(({ target }) => target.startsWith("/login"))
      .map(({ target }) => new URL(target, base).searchParams.get("code_challenge"));
    expect(new Set(challenges).size).toBe(2);
  });

  test("without consent nobody is sent to the provider", async () => {
    const { base, provider } = await startBrokered(use);
    const client = await rawOAuthClient(base);
    const browser = newBrowser();
    const page = await browser.go(client.link());
    const { action, ticket } = formOf(await page.text());
    const post = (form: Record<string, string>, headers: Record<string, string> = {}, who = browser) =>
      who.go(new URL(action, base).href, { method: "POST", body: new URLSearchParams(form), headers });
    // Another page's form, another browser's, a changed one, and no decision.
    for (const answer of [
      await post({ ticket, decision: "approve" }, { "sec-fetch-site": "cross-site" }),
      await post({ ticket, decision: "approve" }, {}, newBrowser()),
      await post({ ticket: `${ticket.slice(0, -4)}AAAA`, decision: "approve" }),
      await post({ ticket }),
      await post({ decision: "approve" }),
      await browser.go(`${new URL(action, base).href}?${new URLSearchParams({ ticket, decision: "approve" })}`),
    ])
      expect([[400, 405].includes(answer.status), answer.headers.get("location")]).toEqual([true, null]);
    expect(provider.requests.filter(({ target }) => target.startsWith("/login"))).toEqual([]);
    expect((await post({ ticket, decision: "approve" })).status).toBe(200);
  });

  test("HTML in the name of a client is text, and the page can be put in no frame", async () => {
    const { base } = await startBrokered(use);
    const client = await rawOAuthClient(base, { client_name: `</title><script>alert(1)</script>"onload='x` });
    const answer = await newBrowser().go(client.link({ state: `"><script>` }));
    const page = await answer.text();
    expect(page).not.toMatch(/<script|"onload/);
    expect(page).toContain("&#60;script&#62;alert(1)");
    expect(answer.headers.get("content-security-policy")).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
    expect(answer.headers.get("x-frame-options")).toBe("DENY");
  });
});

describe("AU-12 refreshes at a provider that takes each refresh token once", () => {
  test("50 calls at once are refused: it is asked once, and all succeed", async () => {
    const { base, mcp, provider } = await startBrokered(use);
    const { access_token } = await logInRaw(await rawOAuthClient(base));
    provider.good.clear();
    const answers = await Promise.all(Array.from({ length: 50 }, () => callWith(mcp, access_token)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(provider.count("refresh_token")).toBe(1);
  });

  test("a client that refreshes ten times at once has one login afterwards, and it works", async () => {
    const { base, mcp, provider } = await startBrokered(use, {}, { provider: { expiresIn: 3600 } });
    const client = await rawOAuthClient(base);
    const { refresh_token } = await logInRaw(client);
    const answers = await Promise.all(Array.from({ length: 10 }, () => client.refresh(refresh_token)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(provider.count("refresh_token")).toBe(1);
    for (const answer of answers) {
      const { access_token } = await json(answer);
      expect((await callWith(mcp, access_token as string)).status).toBe(200);
    }
  });
});
