/** Authorization servers that are asked, that change their keys, and that are not there. */
import { describe, expect, test } from "vitest";
import { testScope } from "../_harness/scope.ts";
import { ASKING, startTokenIssuer } from "../_harness/token-issuer.ts";
import { DOCS, NOTES, startBearer } from "./bearer-auth-fixture.ts";

const use = testScope();
const now = () => Math.floor(Date.now() / 1000);
const times = <T>(count: number, make: () => T) => Array.from({ length: count }, make);

describe("keys", () => {
  test("are fetched once for many callers, and again for one that is new", async () => {
    const issuer = await use(startTokenIssuer());
    const { ask } = startBearer(use, { issuers: issuer.issuer });
    const token = await issuer.token({ aud: DOCS });
    const all = await Promise.all(times(20, () => ask(`Bearer ${token}`)));
    expect(all.map(({ status }) => status)).toEqual(times(20, () => 200));
    expect(issuer.keysAsked()).toBe(1);
    await issuer.rotate();
    expect((await ask(`Bearer ${await issuer.token({ aud: DOCS })}`)).status).toBe(200);
    expect(issuer.keysAsked()).toBe(2);
  });

  test("whose names are made up are asked for once in a minute", async () => {
    const issuer = await use(startTokenIssuer());
    const { ask } = startBearer(use, { issuers: issuer.issuer });
    for (let i = 0; i < 5; i++)
      expect((await ask(`Bearer ${await issuer.token({ aud: DOCS }, { kid: `made-up-${i}` })}`)).status).toBe(401);
    expect(issuer.keysAsked()).toBe(2);
  });

  test("that are known go on serving while the issuer is down; without any the answer is 503, and no challenge", async () => {
    const issuer = await use(startTokenIssuer());
    const known = startBearer(use, { issuers: issuer.issuer });
    const token = `Bearer ${await issuer.token({ aud: DOCS })}`;
    expect((await known.ask(token)).status).toBe(200);
    issuer.down(true);
    expect((await known.ask(token)).status).toBe(200);
    // Nobody knows whether there is such a key now.
    expect((await known.ask(`Bearer ${await issuer.token({ aud: DOCS }, { kid: "other" })}`)).status).toBe(503);

    const unknown = startBearer(use, { issuers: issuer.issuer });
    const requests = issuer.requests.length;
    for (const { status, headers, challenge, text } of await Promise.all(times(5, () => unknown.ask(token)))) {
      expect([status, headers.get("retry-after"), challenge]).toEqual([503, "5", null]);
      expect(text).not.toMatch(/127\.0\.0\.1|ECONN/);
    }
    expect((await unknown.ask(token)).status).toBe(503);
    // All three places of the metadata, once, for whoever came.
    expect(issuer.requests.length - requests).toBe(3);
    expect(unknown.server.requests).toHaveLength(0);
  });

  test("of metadata that name another issuer are not used, nor those of the internal network", async () => {
    const other = await use(startTokenIssuer());
    for (const metadata of [{ issuer: other.issuer }, { jwks_uri: `${other.issuer}/keys` }]) {
      const issuer = await use(startTokenIssuer(metadata));
      const { ask } = startBearer(use, { issuers: issuer.issuer });
      expect((await ask(`Bearer ${await issuer.token({ aud: DOCS })}`)).status).toBe(503);
    }
    expect(other.requests).toHaveLength(0);
    const named = await use(startTokenIssuer({ jwks_uri: "https://nowhere.example.com" }));
    const { ask } = startBearer(use, { issuers: { issuer: named.issuer, jwksUri: `${named.issuer}/keys` } });
    expect((await ask(`Bearer ${await named.token({ aud: DOCS })}`)).status).toBe(200);
  });

  test("of two issuers are kept apart", async () => {
    const [one, two] = [await use(startTokenIssuer()), await use(startTokenIssuer())];
    const { ask } = startBearer(use, { issuers: [one.issuer, two.issuer] });
    expect((await ask(`Bearer ${await one.token({ aud: DOCS })}`)).status).toBe(200);
    expect((await ask(`Bearer ${await two.token({ aud: DOCS })}`)).status).toBe(200);
    expect((await ask(`Bearer ${await two.token({ aud: DOCS, iss: one.issuer })}`)).status).toBe(401);
  });
});

describe("introspection", () => {
  async function started(options: object = {}) {
    const issuer = await use(startTokenIssuer());
    const introspection = { ...ASKING, ...options };
    const asked = () => issuer.requests.filter(({ target }) => target === "/tenant/introspect").length;
    return { issuer, asked, ...startBearer(use, { issuers: { issuer: issuer.issuer, introspection } }) };
  }

  test.each(["basic", "post"] as const)("asks once for many, with the secret as %s", async (authMethod) => {
    const { issuer, ask, asked, log } = await started({ authMethod });
    const token = issuer.opaque({ aud: DOCS });
    const all = await Promise.all(times(10, () => ask(`Bearer ${token}`)));
    expect(all.map(({ status }) => status)).toEqual(times(10, () => 200));
    expect((await ask(`Bearer ${token}`, { method: "DELETE" })).status).toBe(200);
    expect(asked()).toBe(1);
    // What is known of it is looked at anew at another mount.
    expect((await ask(`Bearer ${token}`, { path: "/notes/mcp" })).status).toBe(401);
    expect(log.join()).not.toContain(token);
  });

  test.each<[string, object]>([
    ["not active", { active: false, aud: DOCS }],
    ["active in another sense", { active: "true", aud: DOCS }],
    ["expired", { aud: DOCS, exp: now() - 40 }],
    ["without an end that is a number", { aud: DOCS, exp: "never" }],
    ["not valid yet", { aud: DOCS, nbf: now() + 40 }],
    ["for a neighbour", { aud: [NOTES] }],
    ["for nobody", {}],
    ["of another issuer", { aud: DOCS, iss: "https://as.example.com" }],
    ["of nobody", { aud: DOCS, sub: undefined }],
  ])("a token that is %s is refused", async (_, claims) => {
    const { issuer, ask, server } = await started();
    const { status } = await ask(`Bearer ${issuer.opaque(claims)}`);
    // An answer that is none is no reason to log in.
    expect(status).toBe("active" in claims && typeof claims.active !== "boolean" ? 503 : 401);
    expect(server.requests).toHaveLength(0);
  });

  test("a revoked token is refused as soon as the answer has had its time", async () => {
    const { issuer, ask } = await started({ maxAge: 0 });
    const token = issuer.opaque({ aud: DOCS });
    expect((await ask(`Bearer ${token}`)).status).toBe(200);
    issuer.told.set(token, { active: false });
    expect((await ask(`Bearer ${token}`)).status).toBe(401);
  });

  test("a token that names another issuer is shown to nobody", async () => {
    const { issuer, ask, asked } = await started();
    const stranger = await use(startTokenIssuer());
    expect((await ask(`Bearer ${await stranger.token({ aud: DOCS })}`)).status).toBe(401);
    expect(asked()).toBe(0);
    const own = await issuer.token({ aud: DOCS });
    issuer.told.set(own, { active: true, sub: "anna", aud: DOCS });
    expect((await ask(`Bearer ${own}`)).status).toBe(200);
    expect(asked()).toBe(1);
  });

  test("an issuer that is down, or does not know this proxy, is a 503", async () => {
    const wrong = await started({ clientSecret: "wrong" });
    expect((await wrong.ask(`Bearer ${wrong.issuer.opaque({ aud: DOCS })}`)).status).toBe(503);
    expect(wrong.log.join()).not.toMatch(/opaque-|wrong/);
    const { issuer, ask, server } = await started();
    issuer.down(true);
    const { status, headers } = await ask(`Bearer ${issuer.opaque({ aud: DOCS })}`);
    expect([status, headers.get("retry-after")]).toEqual([503, "5"]);
    expect(server.requests).toHaveLength(0);
  });
});
