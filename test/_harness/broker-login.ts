import { createHash, randomBytes } from "node:crypto";

/** A browser without a screen: cookies of each origin, redirects one by one. */
export interface Browser {
  /** One request, no redirect followed. */
  go(url: string, init?: RequestInit): Promise<Response>;
  readonly cookies: Map<string, string>;
}

export function newBrowser(): Browser {
  const cookies = new Map<string, string>();
  return {
    cookies,
    async go(url, init = {}) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
      const headers = { ...(init.headers as Record<string, string>), ...(cookie && { cookie }) };
      const answer = await fetch(url, { redirect: "manual", ...init, headers });
      for (const line of answer.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
        if (/max-age=0\b/i.test(line)) cookies.delete(name!);
        else cookies.set(name!, value!);
      }
      return answer;
    },
  };
}

/** A text of an HTML attribute. */
export function unescape(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
}

/** Where a page sends the browser at once. */
export async function refreshOf(answer: Response): Promise<string> {
  const page = await answer.text();
  const [, target] = /http-equiv="refresh" content="0;url=([^"]*)"/.exec(page) ?? [];
  if (target === undefined) throw new Error(`the page leads nowhere: HTTP ${answer.status} ${page}`);
  return unescape(target);
}

/** The form of a consent page. */
export function formOf(page: string): { action: string; ticket: string } {
  const [, action] = /<form method="post" action="([^"]*)"/.exec(page) ?? [];
  const [, ticket] = /name="ticket" value="([^"]*)"/.exec(page) ?? [];
  if (action === undefined || ticket === undefined) throw new Error(`this is no consent page: ${page}`);
  return { action: unescape(action), ticket: unescape(ticket) };
}

/** What a user decides on the consent page. @returns where the browser is sent: to the provider, or back to the client */
export async function decide(browser: Browser, url: string, decision: "approve" | "deny" = "approve"): Promise<string> {
  const first = await browser.go(url);
  const remembered = first.headers.get("location");
  if (remembered !== null) return remembered;
  const { action, ticket } = formOf(await first.text());
  const origin = new URL(url).origin;
  return refreshOf(
    await browser.go(new URL(action, url).href, {
      method: "POST",
      body: new URLSearchParams({ ticket, decision }),
      headers: { origin, "sec-fetch-site": "same-origin" },
    }),
  );
}

/** The whole way of a browser, from the client's link to where the client waits. */
export async function walk(browser: Browser, url: string): Promise<URL> {
  let next = await decide(browser, url);
  for (let hops = 0; hops < 5; hops++) {
    const answer = await browser.go(next);
    const location = answer.headers.get("location");
    if (location === null) throw new Error(`no way on from ${next}: HTTP ${answer.status} ${await answer.text()}`);
    next = new URL(location, next).href;
    if (new URL(next).port === "9" || !next.startsWith("http")) return new URL(next);
  }
  throw new Error(`the browser is sent on and on: ${next}`);
}

/** A client that writes its own requests. */
export interface RawClient {
  readonly id: string;
  readonly verifier: string;
  /** Its link. @param more in place of what it would send */
  link(more?: Record<string, string | undefined>): string;
  /** Its token request for what came back. */
  redeem(back: URL, more?: Record<string, string>): Promise<Response>;
  refresh(token: string, more?: Record<string, string>): Promise<Response>;
}

export const REDIRECT = "http://127.0.0.1:9/callback";

/** Registers one. @param base of the server's endpoints, e.g. `http://localhost:1234/docs` */
export async function rawOAuthClient(base: string, metadata: object = {}): Promise<RawClient> {
  const answer = await fetch(`${base}/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ client_name: "Raw client", redirect_uris: [REDIRECT], ...metadata }),
  });
  if (answer.status !== 201) throw new Error(`not registered: HTTP ${answer.status} ${await answer.text()}`);
  return clientNamed(base, ((await answer.json()) as { client_id: string }).client_id);
}

/** One whose id is known. */
export function clientNamed(base: string, id: string): RawClient {
  const verifier = randomBytes(32).toString("base64url");
  const post = (form: Record<string, string>) =>
    fetch(`${base}/token`, { method: "POST", body: new URLSearchParams(form) });
  return {
    id,
    verifier,
    link(more = {}) {
      const params: Record<string, string | undefined> = {
        response_type: "code",
        client_id: id,
        redirect_uri: REDIRECT,
        code_challenge: createHash("sha256").update(verifier).digest("base64url"),
        code_challenge_method: "S256",
        state: "state-of-client",
        ...more,
      };
      const given = Object.entries(params).filter((entry): entry is [string, string] => entry[1] !== undefined);
      return `${base}/authorize?${new URLSearchParams(given)}`;
    },
    redeem: (back, more = {}) =>
      post({
        grant_type: "authorization_code",
        client_id: id,
        code: back.searchParams.get("code") ?? "",
        redirect_uri: REDIRECT,
        code_verifier: verifier,
        ...more,
      }),
    refresh: (token, more = {}) => post({ grant_type: "refresh_token", client_id: id, refresh_token: token, ...more }),
  };
}

/** What a token endpoint gives. */
export interface Tokens {
  access_token: string;
  refresh_token: string;
  expires_in: number;
  scope?: string;
}

/** From the link to the tokens. */
export async function logInRaw(client: RawClient, browser: Browser = newBrowser()): Promise<Tokens> {
  const answer = await client.redeem(await walk(browser, client.link()));
  if (answer.status !== 200) throw new Error(`no tokens: HTTP ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Tokens;
}

/** A call of `tools/list` with a token. */
export function callWith(url: string, token: string | undefined): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: {} }),
  });
}
