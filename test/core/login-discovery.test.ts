/** From a refusal to an authorization server, in the order in which clients look, and what is named where it goes wrong. */
import { describe, expect, test } from "vitest";
import { discover } from "../../core/cli/login/discovery.ts";
import { readRefusal } from "../../core/cli/login/refusal.ts";
import { createGuardedFetch } from "../../core/outbound/guarded-fetch.ts";
import { recordingServer } from "../_harness/servers/http.ts";
import { testScope } from "../_harness/scope.ts";
import { closeable } from "../_harness/loopback.ts";

const use = testScope();
const RESOURCE = "/.well-known/oauth-protected-resource";
const AS = "/.well-known/oauth-authorization-server";
const OPENID = "/.well-known/openid-configuration";

/** What is served: a document, a status, or a page. `{own}` and `{as}` stand for the origins of the server and of its login server. */
type Served = Record<string, object | number | string>;

/** A server at `/srv/mcp` that refuses, and a login server beside it. */
async function walk(own: Served, as: Served, challenge?: string) {
  const asked: string[] = [];
  const origins = { own: "", as: "" };
  const fill = (text: string) => text.replaceAll("{own}", origins.own).replaceAll("{as}", origins.as);
  const serve = async (name: "own" | "as", documents: Served) => {
    const server = await recordingServer(
      async () => {},
      ({ method, target, headers }, _request, response) => {
        asked.push(`${method} ${name} ${target}`);
        expect(headers["mcp-protocol-version"]).toBe("2025-11-25");
        const found = documents[target];
        if (typeof found === "string" && found.startsWith("/"))
          response.writeHead(302, { location: found, "content-type": "application/json" }).end();
        else if (typeof found === "string") response.writeHead(200, { "content-type": "text/html" }).end(found);
        else if (typeof found === "object")
          response.writeHead(200, { "content-type": "application/json" }).end(fill(JSON.stringify(found)));
        else response.writeHead(found ?? 404, { "content-type": "text/plain" }).end("no");
        return true;
      },
    );
    await use(closeable({ close: server.stop }));
    origins[name] = `http://127.0.0.1:${server.port}`;
  };
  await serve("own", own);
  await serve("as", as);
  const headers = new Headers(challenge === undefined ? {} : { "www-authenticate": fill(challenge) });
  const found = await discover(new URL(`${origins.own}/srv/mcp`), readRefusal(401, headers)!, {
    fetch: createGuardedFetch({ trusted: ["127.0.0.1"], maxRedirects: 3 }),
    trusts: () => false,
    signal: AbortSignal.timeout(8000),
  });
  const mistakes = found.mistakes.map(({ code, fatal }) => (fatal ? `${code}!` : code));
  return { ...found, asked, mistakes, origins };
}

const metadata = (issuer: string, more: object = {}) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  registration_endpoint: `${issuer}/register`,
  code_challenge_methods_supported: ["S256"],
  ...more,
});
const resource = (named: string, issuer = "{as}/t1") => ({ resource: named, authorization_servers: [issuer] });
const CHALLENGE = `Bearer resource_metadata="{own}/here", scope="a b"`;

describe("the order in which clients look", () => {
  test.each<[string, Served, Served, string | undefined, string[], string[]]>([
    [
      "401 without a header, and nothing served: the forms for the resource, then the origin as in 2025-03-26",
      {},
      {},
      undefined,
      [`GET own ${RESOURCE}/srv/mcp`, `GET own ${RESOURCE}`, `GET own ${AS}`, `GET own ${OPENID}`],
      ["no-challenge", "no-metadata"],
    ],
    [
      "the challenge says where, and the issuer has a path: the inserted form first",
      { "/here": resource("{own}/srv/mcp") },
      { [`${AS}/t1`]: metadata("{as}/t1") },
      CHALLENGE,
      ["GET own /here", `GET as ${AS}/t1`],
      [],
    ],
    [
      "an OpenID provider with a path: the last of three forms",
      { "/here": resource("{own}/srv/mcp") },
      { [`/t1${OPENID}`]: metadata("{as}/t1") },
      CHALLENGE,
      ["GET own /here", `GET as ${AS}/t1`, `GET as ${OPENID}/t1`, `GET as /t1${OPENID}`],
      [],
    ],
    [
      "metadata of the resource at the root only, for the origin: accepted, and too wide",
      { [RESOURCE]: resource("{own}", "{as}") },
      { [AS]: metadata("{as}") },
      "Bearer",
      [`GET own ${RESOURCE}/srv/mcp`, `GET own ${RESOURCE}`, `GET as ${AS}`],
      ["resource-too-wide"],
    ],
    [
      "at the root, for another server: the end",
      { [RESOURCE]: resource("{own}/other/mcp") },
      {},
      "Bearer",
      [`GET own ${RESOURCE}/srv/mcp`, `GET own ${RESOURCE}`],
      ["resource-mismatch!"],
    ],
    [
      "for the URL behind a proxy: the end",
      { [`${RESOURCE}/srv/mcp`]: resource("https://internal.example.com/srv/mcp") },
      {},
      "Bearer",
      [`GET own ${RESOURCE}/srv/mcp`],
      ["resource-mismatch!"],
    ],
    [
      "a path that only begins with the same letters is another server's",
      { [`${RESOURCE}/srv/mcp`]: resource("{own}/sr") },
      {},
      "Bearer",
      [`GET own ${RESOURCE}/srv/mcp`],
      ["resource-mismatch!"],
    ],
    [
      "metadata of a login server with the issuer of another one: the end",
      { [`${RESOURCE}/srv/mcp`]: resource("{own}/srv/mcp", "{as}") },
      { [AS]: metadata("https://login.example.com") },
      "Bearer",
      [`GET own ${RESOURCE}/srv/mcp`, `GET as ${AS}`],
      ["issuer-mismatch!"],
    ],
    [
      "a 5xx is told, and the rest is looked for all the same",
      { [`${RESOURCE}/srv/mcp`]: 500, [AS]: metadata("{own}") },
      {},
      "Bearer",
      [`GET own ${RESOURCE}/srv/mcp`, `GET own ${RESOURCE}`, `GET own ${AS}`],
      ["server-error"],
    ],
    [
      "2025-03-26 with metadata of the login server at the origin",
      { [AS]: metadata("{own}") },
      {},
      "Bearer",
      [`GET own ${RESOURCE}/srv/mcp`, `GET own ${RESOURCE}`, `GET own ${AS}`],
      [],
    ],
  ])("%s", async (_what, own, as, challenge, order, mistakes) => {
    const found = await walk(own, as, challenge);
    expect(found.asked).toEqual(order);
    expect(found.mistakes).toEqual(mistakes);
    if (found.reason) expect(found.as && !found.reason).toBeFalsy();
  });

  test("a server of 2025-03-26 has its endpoints at its origin, and tokens for no resource", async () => {
    const { as, isAssumed, resource, origins } = await walk({}, {}, "Bearer");
    expect({ as, isAssumed, resource }).toEqual({
      isAssumed: true,
      resource: undefined,
      as: {
        issuer: origins.own,
        authorization_endpoint: `${origins.own}/authorize`,
        token_endpoint: `${origins.own}/token`,
        registration_endpoint: `${origins.own}/register`,
      },
    });
  });
});

describe("mistakes that are named, with what to do", () => {
  const at = `${RESOURCE}/srv/mcp`;
  const good = { [at]: resource("{own}/srv/mcp", "{as}") };
  test.each<[string, Served, Served, string | undefined, string[]]>([
    [
      "a page in place of JSON",
      { [at]: "<html>", [RESOURCE]: "<html>" },
      {},
      "Bearer",
      ["not-json", "not-json", "no-metadata"],
    ],
    ["redirects in a circle", { [at]: at, [RESOURCE]: 404, [AS]: metadata("{own}") }, {}, "Bearer", ["redirects"]],
    ["no document where the challenge says", {}, {}, CHALLENGE, ["no-metadata", "no-metadata"]],
    ["a challenge without a URL", good, { [AS]: metadata("{as}") }, 'Bearer resource_metadata="/x"', ["bad-metadata"]],
    [
      "no login server is named",
      { [at]: { resource: "{own}/srv/mcp" }, [AS]: metadata("{own}") },
      {},
      "Bearer",
      ["bad-metadata"],
    ],
    ["a login server without metadata", good, {}, "Bearer", ["no-metadata!"]],
    [
      "an issuer that is none",
      { [at]: resource("{own}/srv/mcp", "file:///etc/passwd") },
      {},
      "Bearer",
      ["bad-metadata!"],
    ],
    [
      "no S256",
      good,
      { [AS]: metadata("{as}", { code_challenge_methods_supported: ["plain"] }) },
      "Bearer",
      ["no-s256!"],
    ],
    [
      "no list of methods",
      good,
      { [AS]: metadata("{as}", { code_challenge_methods_supported: undefined }) },
      "Bearer",
      ["no-s256!"],
    ],
    [
      "nobody can register",
      good,
      { [AS]: metadata("{as}", { registration_endpoint: undefined }) },
      "Bearer",
      ["no-registration!"],
    ],
    [
      "a token endpoint elsewhere",
      good,
      { [AS]: metadata("{as}", { token_endpoint: "{own}/token" }) },
      "Bearer",
      ["foreign-endpoint!"],
    ],
    [
      "an authorization endpoint elsewhere",
      good,
      { [AS]: metadata("{as}", { authorization_endpoint: "https://login.example.com/authorize" }) },
      "Bearer",
      ["foreign-endpoint!"],
    ],
    ...[
      "javascript:alert(1)",
      "file:///etc/passwd",
      "a:$(touch /tmp/x)",
      "http://login.example.com/authorize",
      "https://user:pw@login.example.com/",
      7,
    ].map((endpoint): [string, Served, Served, string, string[]] => [
      `an authorization endpoint ${endpoint}`,
      good,
      { [AS]: metadata("{as}", { authorization_endpoint: endpoint }) },
      "Bearer",
      ["bad-endpoint!"],
    ]),
  ])("%s", async (_what, own, as, challenge, mistakes) => {
    const found = await walk(own, as, challenge);
    expect(found.mistakes).toEqual(mistakes);
  });

  test("http: in the metadata of a server behind TLS, and a private host that nobody named", async () => {
    const asked: string[] = [];
    const found = await discover(
      new URL("https://mcp.example.com/srv/mcp"),
      readRefusal(401, new Headers({ "www-authenticate": 'Bearer resource_metadata="http://mcp.example.com/x"' }))!,
      {
        async fetch(url) {
          asked.push(String(url));
          return String(url).startsWith("https:")
            ? Response.json({
                resource: "http://mcp.example.com/srv/mcp",
                authorization_servers: ["https://as.example.com"],
              })
            : new Response(null, { status: 404 });
        },
        trusts: () => false,
        signal: AbortSignal.timeout(8000),
      },
    );
    expect(found.mistakes.map(({ code }) => code)).toEqual([
      "wrong-scheme",
      "no-metadata",
      "wrong-scheme",
      "resource-mismatch",
    ]);
    expect(found.reason?.advice).toContain("publicUrl");
  });
});
