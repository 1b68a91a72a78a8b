/** AU-03: every path of the proxy, with every method and without a credential. A new public route fails here until it is listed. */
import { readFileSync, readdirSync } from "node:fs";
import { type Penstock, type Plugin, createPenstock } from "mcp-penstock";
import { apiKeys } from "mcp-penstock/plugins/api-keys";
import { standard } from "mcp-penstock/plugins/standard";
import { expect, test } from "vitest";
import { closeable } from "../_harness/loopback.ts";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { call } from "../_harness/wire.ts";

const use = testScope();

/** Plugins of this package that add routes and are not in `standard()`, by their names. */
const WITH_ROUTES: Record<string, () => Plugin> = {};

/** `METHOD path` of everything that answers callers without a credential. */
const PUBLIC: readonly string[] = [
  ...["/healthz", "/readyz", "/authorize"].flatMap((path) => [`GET ${path}`, `HEAD ${path}`]),
  // Discovery comes before a login (RFC 8414, RFC 9728, RFC 7591), and a token is what its caller has not got yet.
  ...["oauth-authorization-server", "oauth-protected-resource", "openid-configuration"].flatMap((name) =>
    ["GET", "HEAD", "OPTIONS"].map((method) => `${method} /.well-known/${name}`),
  ),
  ...["/register", "/token"].flatMap((path) => [`POST ${path}`, `OPTIONS ${path}`]),
];

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"];
const REFUSED = new Set([401, 403, 405]);

/** @returns what was answered with another status than a refusal, as `METHOD path status` */
async function walk(extra: readonly Plugin[] = []) {
  const server = await use(rawServer());
  const url = `${server.url}/mcp`;
  const servers = { one: { url }, two: { url, path: ["/own", "/deep/:name/mcp"] }, rest: { url, path: "/rest/**" } };
  const plugins = [...standard(), apiKeys({ keys: { ci: "0123456789abcdef" } }), ...extra];
  const penstock = createPenstock({ servers, plugins });
  const { port, close } = await penstock.serve({ port: 0 });
  await use(closeable({ close }));
  const answered: string[] = [];
  for (const path of new Set(penstock.paths.map(({ path }) => path)))
    for (const method of METHODS) {
      const status = await ask(port, method, path);
      if (!REFUSED.has(status)) answered.push(`${method} ${path} ${status}`);
    }
  expect(server.requests).toBe(0);
  expect(server.connections).toHaveLength(0);
  return { penstock, answered };
}

async function ask(port: number, method: string, path: string): Promise<number> {
  const target = path.replaceAll(/\*\*(?::\w+)?/g, "a/b").replaceAll(/:\w+|\*/g, "x");
  const client = await use(rawClient(port));
  // Behind a proxy: a caller on this machine may see details without a credential.
  const lines = [`${method} ${target} HTTP/1.1`, "host: localhost", "x-forwarded-for: 192.0.2.7"];
  const body = ["GET", "HEAD", "OPTIONS", "TRACE"].includes(method) ? "" : call();
  if (body) lines.push("content-type: application/json", `content-length: ${body.length}`);
  client.send(`${lines.join("\r\n")}\r\n\r\n${body}`);
  const { status } = await client.receiveResponse({ method });
  await client.close();
  return status;
}

const withoutStatus = (list: readonly string[]) => list.map((line) => line.replace(/ \d+$/, "")).sort();
const pathsOf = ({ paths }: Penstock) => paths.map(({ path }) => path);

test("nothing answers a caller without a credential, but what is listed", async () => {
  const { penstock, answered } = await walk(Object.values(WITH_ROUTES).map((make) => make()));
  expect(pathsOf(penstock)).toEqual(expect.arrayContaining(["/one/mcp", "/own", "/deep/:name/mcp", "/rest/**"]));
  expect(withoutStatus(answered)).toEqual([...PUBLIC].sort());
});

test("the walk finds a route that is open, whatever its path looks like", async () => {
  const routes: Plugin = {
    name: "routes",
    setup(app) {
      const handler = () => Response.json({});
      app.route({ method: "GET", path: "/open", access: "public", handler });
      app.route({ method: "POST", path: "/:server/open", access: "public", handler });
      app.route({ method: "PUT", path: "/files/**", access: "public", handler });
      app.route({ method: "GET", path: "/own-page", access: "principal", handler });
      app.route({ method: "DELETE", path: "/own-page", access: "principal", handler });
      app.route({ method: "GET", path: "/state", access: "details", handler });
      app.route({ method: "OPTIONS", path: "/state", access: "details", handler });
    },
  };
  const { answered } = await walk([routes]);
  const found = withoutStatus(answered).filter((line) => !PUBLIC.includes(line));
  expect(found).toEqual(["GET /open", "HEAD /open", "POST /:server/open", "PUT /files/**"]);
});

test("every plugin of the package that adds routes is walked", () => {
  const adding = readdirSync("plugins")
    .filter((file) => /^[^_].*\.ts$/.test(file))
    .filter((file) => /\.route\(/.test(readFileSync(`plugins/${file}`, "utf8")))
    .map((file) => file.slice(0, -3));
  const walked = [...Object.keys(WITH_ROUTES), ...standard().map(({ name }) => name)];
  expect(adding.filter((name) => !walked.includes(name))).toEqual([]);
});
