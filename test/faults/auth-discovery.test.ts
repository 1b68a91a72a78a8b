/** Discovery documents of several mounts and of the root: each mount has its own, and nobody gets a neighbour's. */
import { bearerAuth, broker, mounts, oauthRoot, standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { jsonAnswer } from "../_harness/wire.ts";
import { describe, expect, test } from "vitest";
import { asking } from "./asking.ts";

const use = testScope();
const RESOURCE = "/.well-known/oauth-protected-resource";
const METADATA = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
const PAGE = "origin: https://app.example.com";

/** A server that checks tokens of its own authorization server, and publishes which one that is. */
async function tenant(name: string) {
  const upstream = await scripted(({ target }) =>
    target === `${RESOURCE}/mcp`
      ? jsonAnswer(
          `{"resource":"https://${name}.example.com/mcp","authorization_servers":["https://as.${name}.example.com"]}`,
        )
      : jsonAnswer("{}", "404 Not Found"),
  );
  await use(upstream.server);
  return { url: `${upstream.server.url}/mcp`, auth: "passthrough" };
}

/** As the Host of every request says. */
const url = "http://localhost";

async function start(config: object) {
  const proxy = await use(startProxy(config));
  return asking(use, Number(new URL(proxy.url).port));
}

const json = (body: string) => JSON.parse(body) as Record<string, unknown>;

describe("AU-08 two mounts whose servers use OAuth, and one at the root", () => {
  async function tenants() {
    const servers = {
      docs: await tenant("docs"),
      notes: { ...(await tenant("notes")), path: ["/notes/mcp", "/team/notes"] },
      home: { ...(await tenant("home")), path: "/" },
      open: { url: "http://127.0.0.1:9/mcp" },
    };
    return start({ servers, plugins: [standard()] });
  }
  const OWN = [
    [`${RESOURCE}/docs/mcp`, "docs", "/docs/mcp"],
    [`${RESOURCE}/notes/mcp`, "notes", "/notes/mcp"],
    [`${RESOURCE}/team/notes`, "notes", "/team/notes"],
    [RESOURCE, "home", "/"],
  ] as const;

  test("each has its own document, with GET and HEAD, with a slash behind it and without", async () => {
    const ask = await tenants();
    for (const [path, name, mount] of OWN)
      for (const target of [path, `${path}/`]) {
        const { status, body, headers } = await ask({ method: "GET", target });
        expect([target, status, json(body)]).toEqual([
          target,
          200,
          { resource: url + mount, authorization_servers: [`https://as.${name}.example.com`] },
        ]);
        expect(headers["content-type"]).toMatch(/^application\/json/);
        const head = await ask({ method: "HEAD", target });
        expect([target, head.status, head.body]).toEqual([target, 200, ""]);
        expect(head.headers["content-type"]).toBe(headers["content-type"]);
      }
  });

  test("pages may ask for them first; other methods are refused", async () => {
    const ask = await tenants();
    for (const [target] of OWN) {
      const preflight = ["access-control-request-method: GET", "access-control-request-headers: mcp-protocol-version"];
      const { status, headers, body } = await ask({ method: "OPTIONS", target, fields: [PAGE, ...preflight] });
      expect([target, status, body, headers["access-control-allow-origin"]]).toEqual([target, 204, "", "*"]);
      for (const method of ["POST", "PUT", "DELETE"])
        expect([method, (await ask({ method, target })).status]).toEqual([method, 405]);
    }
  });

  test("whoever asks for another gets 404 as JSON, which names no server and no neighbour's document", async () => {
    const ask = await tenants();
    const unknown = [
      ...["/nothing/mcp", "/docs", "/docs/mcpx", "/docs/mcp/x", "/Docs/mcp", "/open/mcp", "/notes", "/mcp"].map(
        (path) => RESOURCE + path,
      ),
      ...METADATA.flatMap((path) => [path, `${path}/nothing`, `${path}/docs`, `${path}/docs/mcp`]),
      ...["/docs/mcp", "/docs"].map((path) => `${path}/.well-known/oauth-authorization-server`),
      "/.well-known/other",
      "/.well-known/",
    ];
    for (const target of unknown) {
      const { status, headers, body } = await ask({ method: "GET", target });
      expect([target, status, headers["content-type"]]).toEqual([
        target,
        404,
        expect.stringMatching(/^application\/json/),
      ]);
      expect(json(body)).toHaveProperty("error");
      expect(body).not.toMatch(/example\.com|docs|notes|home/);
      const head = await ask({ method: "HEAD", target });
      expect([target, head.status, head.body]).toEqual([target, 404, ""]);
    }
  });
});

describe("AU-08 logins that the proxy serves itself", () => {
  const servers = { docs: { url: "http://127.0.0.1:9/mcp" }, notes: { url: "http://127.0.0.1:9/mcp" } };
  const logins = (policy?: string) =>
    start({
      servers,
      plugins: [mounts(), oauthRoot(policy === undefined ? {} : { policy }), broker({ servers: ["docs", "notes"] })],
    });

  test("each has the documents of its own; the root, which could be either, has none", async () => {
    const ask = await logins();
    for (const [name, other] of [
      ["docs", "notes"],
      ["notes", "docs"],
    ] as const) {
      const server = await ask({ method: "GET", target: `${METADATA[0]}/${name}` });
      expect(json(server.body)).toMatchObject({ issuer: `${url}/${name}`, token_endpoint: `${url}/${name}/token` });
      const resource = await ask({ method: "GET", target: `${RESOURCE}/${name}/mcp` });
      expect(json(resource.body)).toMatchObject({
        resource: `${url}/${name}/mcp`,
        authorization_servers: [`${url}/${name}`],
      });
      expect(server.body + resource.body).not.toContain(other);
    }
    for (const path of [...METADATA, RESOURCE])
      for (const target of [path, `${path}/`]) {
        const { status, headers, body } = await ask({ method: "GET", target });
        expect([target, status, headers["content-type"]]).toEqual([target, 404, "application/json"]);
        expect(body).not.toMatch(/docs|notes/);
      }
  });

  test("the root is the one that the configuration names, with GET, HEAD and OPTIONS", async () => {
    const ask = await logins("notes");
    for (const path of METADATA)
      for (const target of [path, `${path}/`]) {
        const { status, headers, body } = await ask({ method: "GET", target });
        expect(status).toBe(200);
        expect(json(body)).toMatchObject({
          issuer: url,
          authorization_endpoint: `${url}/notes/authorize?from=root`,
          token_endpoint: `${url}/notes/token`,
          registration_endpoint: `${url}/notes/register`,
          scopes_supported: ["notes:use"],
          code_challenge_methods_supported: ["S256"],
        });
        expect(headers).toMatchObject({ "access-control-allow-origin": "*", "cache-control": "no-store" });
      }
    expect(json((await ask({ method: "GET", target: RESOURCE })).body)).toEqual({
      resource: `${url}/notes/mcp`,
      authorization_servers: [`${url}/notes`],
      scopes_supported: ["notes:use"],
    });
    for (const target of [...METADATA, RESOURCE]) {
      const head = await ask({ method: "HEAD", target });
      expect([head.status, head.body]).toEqual([200, ""]);
      expect((await ask({ method: "POST", target })).status).toBe(405);
    }
    for (const target of [...METADATA, RESOURCE, "/register", "/token"]) {
      const { status, headers } = await ask({ method: "OPTIONS", target, fields: [PAGE] });
      expect([status, headers["access-control-allow-origin"]]).toEqual([204, "*"]);
      expect(headers["access-control-allow-headers"]).toContain("Authorization");
    }
  });
});

test("AU-08 mounts whose tokens are checked here: each its own document at each of its paths, and 404 for all others", async () => {
  const server = { url: "http://127.0.0.1:9/mcp" };
  const issuers = "https://as.example.com";
  const docs = { ...server, path: ["/docs/mcp", "/old"], plugins: [bearerAuth({ issuers, scopes: ["docs"] })] };
  const notes = { ...server, plugins: [bearerAuth({ issuers, scopes: ["notes"] })] };
  const ask = await start({ servers: { docs, notes, open: server }, plugins: [standard()] });
  for (const [path, name] of [
    ["/docs/mcp", "docs"],
    ["/old", "docs"],
    ["/notes/mcp", "notes"],
    ["/notes/sse", "notes"],
  ] as const) {
    const target = RESOURCE + path;
    const { status, body } = await ask({ method: "GET", target });
    expect([target, status, json(body)]).toMatchObject([
      target,
      200,
      { resource: url + path, authorization_servers: [issuers], scopes_supported: [name] },
    ]);
    expect((await ask({ method: "GET", target: `${target}/` })).body).toBe(body);
    expect((await ask({ method: "HEAD", target })).status).toBe(200);
    expect(
      (await ask({ method: "OPTIONS", target, fields: [PAGE, "access-control-request-method: GET"] })).status,
    ).toBe(204);
    expect((await ask({ target })).status).toBe(405);
    // The challenge leads there.
    const { headers } = await ask({ method: "GET", target: path });
    expect(headers["www-authenticate"]).toBe(`Bearer scope="${name}", resource_metadata="${url}${target}"`);
  }
  for (const path of ["", "/", "/docs", "/open/mcp", "/unknown/mcp", "/docs/mcp/more"]) {
    const { status, body } = await ask({ method: "GET", target: RESOURCE + path });
    expect([path, status]).toEqual([path, 404]);
    expect(body).not.toMatch(/as\.example\.com|notes/);
  }
});
