/** Who gets in with an access token, and what the others are told. */
import { type JWTHeaderParameters, type JWTPayload, SignJWT, base64url } from "jose";
import { describe, expect, test } from "vitest";
import { apiKeys } from "mcp-penstock/plugins/api-keys";
import { type BearerAuthOptions, bearerAuth } from "mcp-penstock/plugins/bearer-auth";
import { rateLimit } from "mcp-penstock/plugins/rate-limit";
import { parseChallenges } from "../../plugins/_challenges.ts";
import { testScope } from "../_harness/scope.ts";
import { ASKING, startTokenIssuer } from "../_harness/token-issuer.ts";
import { DOCS, METADATA, NOTES, PUBLIC, startBearer } from "./bearer-auth-fixture.ts";

type Header = Partial<JWTHeaderParameters>;

const use = testScope();
const now = () => Math.floor(Date.now() / 1000);

async function started(options: Partial<BearerAuthOptions> = {}, more = {}) {
  const issuer = await use(startTokenIssuer());
  return { issuer, ...startBearer(use, { issuers: issuer.issuer, ...options }, more) };
}

/** Of one challenge. */
function paramsOf(field: string | null) {
  const [{ scheme, params }] = parseChallenges(field ?? "")! as [NonNullable<ReturnType<typeof parseChallenges>>[0]];
  return { scheme, ...Object.fromEntries(params.map(({ name, value }) => [name, value])) };
}

describe("a token", () => {
  test("of the issuer for this mount is let in with every method; the server never gets it", async () => {
    const { issuer, ask, server } = await started();
    const token = await issuer.token({ aud: DOCS });
    for (const method of ["POST", "GET", "DELETE"]) expect((await ask(`Bearer ${token}`, { method })).status).toBe(200);
    expect(server.requests).toHaveLength(3);
    for (const { headers } of server.requests) expect([...headers].join()).not.toMatch(/bearer|eyJ/i);
    expect(issuer.keysAsked()).toBe(1);
  });

  test.each<[string, JWTPayload, Header]>([
    ["several audiences", { aud: ["https://other.example.com", DOCS] }, {}],
    ["a slash behind the audience", { aud: `${DOCS}/` }, {}],
    ["an audience that is configured", { aud: "api://docs" }, {}],
    ["a clock that goes wrong by less than 30 s", { aud: DOCS, exp: now() - 20, nbf: now() + 20 }, {}],
    ["the usual type", { aud: DOCS }, { typ: "JWT" }],
    ["its type in full", { aud: DOCS }, { typ: "application/at+jwt" }],
    ["no type", { aud: DOCS }, { typ: undefined }],
    ["no name of its key", { aud: DOCS }, { kid: undefined }],
  ])("with %s is let in", async (_, claims, header) => {
    const { issuer, ask } = await started({ audiences: ["api://docs"] });
    expect((await ask(`Bearer ${await issuer.token(claims, header)}`)).status).toBe(200);
  });

  const anything = "https://as.example.com";
  test.each<[string, JWTPayload, Header, RegExp]>([
    ["expired", { aud: DOCS, exp: now() - 40 }, {}, /expired/],
    ["not valid yet", { aud: DOCS, nbf: now() + 40 }, {}, /not valid yet/],
    ["without end", { aud: DOCS, exp: undefined }, {}, /no claim exp/],
    ["for a neighbour", { aud: NOTES }, {}, /resource https:\/\/gw\.example\.com\/docs\/mcp$/],
    ["for the whole origin", { aud: PUBLIC }, {}, /not for this server/],
    ["for a longer path", { aud: `${DOCS}/more` }, {}, /not for this server/],
    ["for nobody", {}, {}, /./],
    ["of another issuer", { aud: DOCS, iss: anything }, {}, /another issuer/],
    ["of one whose name has a slash more", { aud: DOCS, iss: "slash" }, {}, /another issuer/],
    ["of no issuer", { aud: DOCS, iss: undefined }, {}, /cannot be read/],
    ["of nobody", { aud: DOCS, sub: undefined }, {}, /whose it is/],
    ["of somebody without a name", { aud: DOCS, sub: "" }, {}, /whose it is/],
    ["of somebody who is no text", { aud: DOCS, sub: 7 as never }, {}, /./],
    ["of half a character", { aud: DOCS, sub: "\ud800" }, {}, /whose it is/],
    ["bound to a certificate", { aud: DOCS, cnf: { "x5t#S256": "x" } }, {}, /bound to something/],
    ["that is an ID-JAG", { aud: DOCS }, { typ: "oauth-id-jag+jwt" }, /no access token/],
    ["that is a proof", { aud: DOCS }, { typ: "dpop+jwt" }, /no access token/],
  ])("%s is refused, and the challenge says why and where to log in", async (_, claims, header, why) => {
    const { issuer, ask, server, log } = await started({ scopes: ["mcp:use"] });
    if (claims.iss === "slash") claims.iss = `${issuer.issuer}/`;
    const token = await issuer.token(claims, header);
    const { status, challenge, headers, text } = await ask(`Bearer ${token}`);
    expect(status).toBe(401);
    expect(paramsOf(challenge)).toEqual({
      scheme: "Bearer",
      error: "invalid_token",
      error_description: expect.stringMatching(why) as string,
      scope: "mcp:use",
      resource_metadata: METADATA,
    });
    expect(headers.get("cache-control")).toBe("no-store");
    expect(JSON.parse(text)).toMatchObject({ id: null, error: { data: { code: "UNAUTHENTICATED" } } });
    expect(server.requests).toHaveLength(0);
    expect(log.join()).not.toContain(token);
  });

  test("that somebody else has signed, changed or not signed at all is refused", async () => {
    const { issuer, ask, server } = await started();
    const [head, body, signature] = (await issuer.token({ aud: DOCS })).split(".") as [string, string, string];
    const encode = (value: object) => base64url.encode(JSON.stringify(value));
    const claims = { ...JSON.parse(new TextDecoder().decode(base64url.decode(body))), sub: "bert" } as object;
    const stranger = await use(startTokenIssuer());
    const jwk = stranger.publicKey();
    const key = new TextEncoder().encode(JSON.stringify(issuer.publicKey()));
    const tokens = [
      `${head}.${encode(claims)}.${signature}`,
      `${head}.${body}.${signature.slice(0, -2)}AA`,
      `${head}.${body}.`,
      `${encode({ alg: "none" })}.${body}.`,
      `${encode({ alg: "none" })}.${body}.${signature}`,
      `${encode({ alg: "NONE", kid: "key-1" })}.${body}.`,
      // The public key as a secret (RFC 8725 §2.1).
      await new SignJWT(claims as never).setProtectedHeader({ alg: "HS256", kid: "key-1" }).sign(key),
      await stranger.token({ aud: DOCS, iss: issuer.issuer }),
      // Keys that come along are nobody's.
      await stranger.token({ aud: DOCS, iss: issuer.issuer }, { jwk, kid: undefined }),
      await stranger.token({ aud: DOCS, iss: issuer.issuer }, { jku: `${stranger.issuer}/keys`, kid: "key-9" }),
    ];
    for (const token of tokens) {
      const { status, challenge } = await ask(`Bearer ${token}`);
      expect([token, status, paramsOf(challenge)]).toMatchObject([token, 401, { error: "invalid_token" }]);
    }
    expect(stranger.keysAsked()).toBe(0);
    expect(server.requests).toHaveLength(0);
  });

  test("is for the Host of the request only on this machine, or where publicUrl says so", async () => {
    const { issuer, penstock } = await started({}, { publicUrl: undefined });
    const statusAt = async (origin: string) => {
      const token = await issuer.token({ aud: `${origin}/docs/mcp` });
      const { status, body } = await penstock.fetch(
        new Request(`${origin}/docs/mcp`, { method: "DELETE", headers: { authorization: `Bearer ${token}` } }),
      );
      await body?.cancel();
      return status;
    };
    expect(await statusAt("http://localhost:3333")).toBe(200);
    expect(await statusAt("http://anything.example.com")).toBe(401);
  });

  test("of a secret, and of a type that is configured", async () => {
    const secret = "0123456789abcdef0123456789abcdef";
    const issuer = "https://as.example.com";
    const { ask } = startBearer(use, { issuers: { issuer, secret, type: "at+jwt" } });
    const sign = (alg: string, typ: string, by = secret) =>
      new SignJWT({ iss: issuer, sub: "anna", aud: DOCS, exp: now() + 60 })
        .setProtectedHeader({ alg, typ })
        .sign(new TextEncoder().encode(by));
    expect((await ask(`Bearer ${await sign("HS256", "at+jwt")}`)).status).toBe(200);
    expect((await ask(`Bearer ${await sign("HS512", "at+jwt", secret + secret)}`)).status).toBe(401);
    expect((await ask(`Bearer ${await sign("HS256", "JWT")}`)).status).toBe(401);
    expect((await ask(`Bearer ${await sign("HS256", "at+jwt", `${secret}x`)}`)).status).toBe(401);
  });
});

describe("no token that could be read", () => {
  test.each([undefined, "Basic YTpi", "Negotiate x", "BearerX y", ""])("%j: 401 without an error", async (field) => {
    const { ask } = await started({ scopes: ["a", "b"] });
    const { status, challenge } = await ask(field);
    expect([status, paramsOf(challenge)]).toEqual([
      401,
      { scheme: "Bearer", scope: "a b", resource_metadata: METADATA },
    ]);
  });

  test.each([
    "Bearer",
    "bearer ",
    "Bearer a b",
    "Bearer a,b",
    "Bearer a, Bearer b",
    'Bearer "a"',
    "DPoP",
    `Bearer ${"x".repeat(65_536)}`,
  ])("%.20j: 400, and nobody is asked", async (field) => {
    const { ask, issuer, server } = await started();
    const { status, challenge, text } = await ask(field);
    expect([status, paramsOf(challenge)]).toMatchObject([
      400,
      { error: "invalid_request", resource_metadata: METADATA },
    ]);
    expect(text).toContain("INVALID_CREDENTIAL");
    expect([server.requests.length, issuer.requests.length]).toEqual([0, 0]);
  });

  test("a token in the query is none", async () => {
    const { ask, issuer } = await started();
    const token = await issuer.token({ aud: DOCS });
    expect((await ask(undefined, { path: `/docs/mcp?access_token=${token}` })).status).toBe(401);
  });
});

describe("the principal", () => {
  test("is issuer and subject, and nobody can be another one by the choice of a name", async () => {
    const { issuer, ask } = await started({}, { around: rateLimit({ perMinute: 1, burst: 1 }) });
    const who = [
      { sub: "anna" },
      { sub: "Anna" },
      { sub: "anna " },
      { sub: "anna%20" },
      { sub: "#anna" },
      { sub: undefined, client_id: "anna" },
      { sub: "?client_id=anna" },
      { sub: "anna\0docs" },
    ];
    // Each has a bucket of his own, and it holds one request.
    for (const claims of who)
      expect((await ask(`Bearer ${await issuer.token({ aud: DOCS, ...claims })}`)).status).toBe(200);
    for (const claims of who)
      expect((await ask(`Bearer ${await issuer.token({ aud: DOCS, ...claims })}`)).status).toBe(429);
  });

  test("has scopes and claims, and no token", async () => {
    const seen: unknown[] = [];
    const { issuer, ask } = await started(
      {},
      { around: { name: "see", request: ({ principal }: { principal: unknown }) => void seen.push(principal) } },
    );
    const token = await issuer.token({ aud: DOCS, scope: "a b a", email: "a@example.com" });
    await ask(`Bearer ${token}`);
    await ask(`Bearer ${await issuer.token({ aud: DOCS, scp: ["c"] })}`);
    expect(seen).toMatchObject([
      { id: `${issuer.issuer}#anna`, scopes: ["a", "b"], claims: { email: "a@example.com" } },
      { scopes: ["c"] },
    ]);
    expect(JSON.stringify(seen)).not.toContain(token);
  });

  test("may be known by a key instead", async () => {
    const key = "key-of-anna-0123456789";
    const keys = { ci: { key, scopes: ["mcp:use"] }, old: "key-of-bert-0123456789" };
    const { issuer, ask } = await started({ scopes: ["mcp:use"] }, { around: apiKeys({ keys }) });
    expect((await ask(`Bearer ${key}`)).status).toBe(200);
    expect((await ask(undefined, { headers: { "x-api-key": key } })).status).toBe(200);
    expect((await ask(`Bearer ${await issuer.token({ aud: DOCS, scope: "mcp:use" })}`)).status).toBe(200);
    // What is needed is needed of keys too.
    expect((await ask(undefined, { headers: { "x-api-key": keys.old } })).status).toBe(403);
    expect((await ask("Bearer key-of-nobody-0123456789")).status).toBe(401);
  });
});

describe("options", () => {
  const issuers = "https://as.example.com";
  const introspection = ASKING;
  test.each<[object, RegExp]>([
    [{}, /at least one authorization server/],
    [{ issuers: [] }, /at least one authorization server/],
    [{ issuers: "as.example.com" }, /is no issuer/],
    [{ issuers: "http://as.example.com" }, /is no issuer/],
    [{ issuers: "https://as.example.com?x=1" }, /is no issuer/],
    [{ issuers: "https://u:p@as.example.com" }, /is no issuer/],
    [{ issuers: [issuers, { issuer: issuers }] }, /twice/],
    [{ issuers: { issuer: issuers, algorithms: [] } }, /algorithms may be/],
    [{ issuers: { issuer: issuers, algorithms: ["none"] } }, /algorithms may be/],
    [{ issuers: { issuer: issuers, algorithms: ["HS256"] } }, /need `secret`/],
    [{ issuers: { issuer: issuers, secret: "short" } }, /32 bytes/],
    [{ issuers: { issuer: issuers, secret: "x".repeat(32), algorithms: ["RS256"] } }, /algorithms may be/],
    [{ issuers: { issuer: issuers, jwksUri: "http://keys.example.com" } }, /jwksUri/],
    [{ issuers: { issuer: issuers, type: "" } }, /type/],
    [{ issuers: { issuer: issuers, introspection: { clientId: "a" } } }, /clientSecret/],
    [{ issuers: { issuer: issuers, introspection: { ...introspection, authMethod: "none" } } }, /authMethod/],
    [{ issuers: { issuer: issuers, introspection: { ...introspection, maxAge: -1 } } }, /maxAge/],
    [{ issuers: { issuer: issuers, introspection: { ...introspection, endpoint: "x" } } }, /endpoint/],
    [{ issuers: [issuers, "https://b"].map((issuer) => ({ issuer, introspection })) }, /one of them/],
    [{ issuers, audiences: [""] }, /audiences/],
    [{ issuers, scopes: ["a b"] }, /scopes must be/],
    [{ issuers, tools: { x: ['"'] } }, /tools\["x"\]/],
    [{ issuers, dpop: true }, /dpop/],
    [{ issuers, skew: -1 }, /skew/],
    [{ issuers, skew: 1e9 }, /skew/],
  ])("%j are refused", (options, why) => {
    expect(() => bearerAuth(options as BearerAuthOptions)).toThrow(why);
  });
});
