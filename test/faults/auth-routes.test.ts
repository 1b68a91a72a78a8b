/** Every path of the proxy, with every method and without a credential. A new public route fails here until it is listed. */
import { readFileSync, readdirSync } from "node:fs";
import { configModule } from "../_harness/child-config.ts";
import { rawServer } from "../_harness/peers.ts";
import { apiKeys, bearerAuth, oauthBroker, routes, standard } from "../_harness/plugins.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { folderWith } from "../core/files.ts";
import { describe, expect, test } from "vitest";
import { asking } from "./asking.ts";

const use = testScope();

/** Plugins of this package that add routes and are not in `standard()`, by their names. */
const WITH_ROUTES: Record<string, () => object> = {
  "bearer-auth": () => bearerAuth({ issuers: "https://as.example.com" }),
  "oauth-broker": () => oauthBroker({ issuer: "https://login.example.com", clientId: "penstock" }),
};

/** `METHOD path` of everything that answers callers without a credential. */
const PUBLIC: readonly string[] = [
  ...["/healthz", "/readyz", "/authorize", "/callback"].flatMap((path) => [`GET ${path}`, `HEAD ${path}`]),
  // Discovery comes before a login (RFC 8414, RFC 9728, RFC 7591), and a token is what its caller has not got yet.
  ...["oauth-authorization-server", "oauth-protected-resource", "openid-configuration"].flatMap((name) =>
    ["GET", "HEAD", "OPTIONS"].map((method) => `${method} /.well-known/${name}`),
  ),
  ...["/register", "/token"].flatMap((path) => [`POST ${path}`, `OPTIONS ${path}`]),
];

/** What a login needs before there is a token. */
const LOGIN = [
  /^(?:GET|HEAD|OPTIONS) (?:\/[^ ]*)?\/\.well-known\/(?:oauth-protected-resource|oauth-authorization-server|openid-configuration)(?:\/|$)/,
  /^(?:GET|HEAD) \/one\/(?:authorize|callback)$/,
  /^POST \/one\/consent$/,
  /^(?:POST|OPTIONS) \/one\/(?:register|token|revoke)$/,
];

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"];
const REFUSED = new Set([401, 403, 405]);
/** Behind a proxy: a caller on this machine may see details without a credential. */
const STRANGER = "x-forwarded-for: 192.0.2.7";
const KEY = "0123456789abcdef";

/** @returns the paths of the proxy, and what was answered with another status than a refusal, as `METHOD path` */
async function walk(extra: readonly object[] = [], only?: readonly string[]) {
  const server = await use(rawServer());
  const url = `${server.url}/mcp`;
  const all = {
    one: { url },
    two: { url, path: ["/own", "/deep/:name/mcp"] },
    rest: { url, path: "/rest/**", ssePath: "/:tenant/events" },
  };
  const servers = only ? { one: { url, path: only } } : all;
  const plugins = [standard(), apiKeys({ keys: { ci: KEY } }), ...extra];
  const cwd = folderWith({ "penstock.config.mjs": configModule({ servers, plugins }) });
  const listed = JSON.parse((await runCli(["routes", "--json"], { cwd })).stdout) as { routes: { path: string }[] };
  const paths = [...new Set(listed.routes.map(({ path }) => path))];
  const cli = await use(startCli(["--port", "0"], { cwd }));
  const ask = asking(use, cli.port);
  const answered: string[] = [];
  for (const path of paths) {
    const target = path.replaceAll(/\*\*(?::\w+)?/g, "a/b").replaceAll(/:\w+|\*/g, "x");
    for (const method of METHODS) {
      const { status } = await ask({ method, target, fields: [STRANGER] });
      if (!REFUSED.has(status)) answered.push(`${method} ${path}`);
    }
  }
  expect(server.requests).toBe(0);
  expect(server.connections).toHaveLength(0);
  return { paths, answered: answered.sort(), ask };
}

describe("AU-03 without a credential", () => {
  test("nothing answers but what is listed; every plugin of the package that adds routes is walked", async () => {
    const { paths, answered } = await walk();
    expect(paths).toEqual(
      expect.arrayContaining([
        "/one/mcp",
        "/own",
        "/deep/:name/mcp",
        "/rest/**",
        "/health",
        "/one/sse",
        "/one/messages",
        "/:tenant/messages",
      ]),
    );
    expect(answered).toEqual([...PUBLIC].sort());

    const adding = readdirSync("plugins")
      .filter((file) => /^[^_].*\.ts$/.test(file))
      .filter((file) => readFileSync(`plugins/${file}`, "utf8").match(/\.route\(|protectMounts\(/))
      .map((file) => file.slice(0, -3));
    const walked = [...Object.keys(WITH_ROUTES), ...standard().map(({ name }) => name)];
    expect(adding.filter((name) => !walked.includes(name))).toEqual([]);
  });

  test.each(Object.entries(WITH_ROUTES))("%s: nothing answers but what a login needs", async (_name, make) => {
    const { answered } = await walk([make()], ["/one/mcp"]);
    const besides = answered.filter((line) => PUBLIC.includes(line) || !LOGIN.some((pattern) => pattern.test(line)));
    expect(besides).toEqual([...PUBLIC].sort());
  });

  test("a route that a plugin opened is found, whatever its path looks like; the others answer to a key only", async () => {
    const { answered, ask } = await walk([
      routes(
        { path: "/open" },
        { method: "POST", path: "/:server/open" },
        { method: "PUT", path: "/files/**" },
        { path: "/own-page", access: "principal" },
        { method: "DELETE", path: "/own-page", access: "principal" },
        { path: "/state", access: "details" },
        { method: "OPTIONS", path: "/state", access: "details" },
      ),
    ]);
    const found = answered.filter((line) => !PUBLIC.includes(line));
    expect(found).toEqual(["GET /open", "HEAD /open", "POST /:server/open", "PUT /files/**"]);
    for (const [method, target] of [
      ["GET", "/own-page"],
      ["DELETE", "/own-page"],
      ["GET", "/state"],
    ] as const) {
      const { status, headers } = await ask({ method, target, fields: [STRANGER] });
      expect([status, headers["www-authenticate"]]).toEqual([401, "Bearer"]);
      expect((await ask({ method, target, fields: [STRANGER, `x-api-key: ${KEY}`] })).status).toBe(200);
    }
  });
});
