/** Servers that check their callers' tokens themselves: challenges (AU-07) and metadata (AU-08) name the mount, and nothing else of them changes. */
import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { type LogText, createPenstock } from "mcp-penstock";
import { parseChallenges } from "../../plugins/_challenges.ts";
import { closeable } from "../_harness/loopback.ts";
import { logIn, startFakeIssuer } from "../_harness/oauth.ts";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { gate } from "../_harness/peers/gate.ts";
import { closed, oauthRelay, oauthRoot } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { type RecordedRequest, startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { call, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const WELL_KNOWN = "/.well-known/oauth-protected-resource";
const passthrough = { auth: "passthrough" } as const;

/** A proxy at a public URL, `docs` behind it; requests of a mount are answered with `status` and these fields. */
async function challenged(
  status: string,
  fields: string,
  more: object = {},
  publicUrl = "https://gw.example.com/team",
) {
  const server = await use(
    rawServer(async (connection) => {
      for await (const { target } of connection.requests())
        connection.send(
          target === "/mcp"
            ? jsonAnswer("{}", status, fields.replaceAll("<own>", server.url))
            : jsonAnswer("{}", "404 Not Found"),
        );
    }),
  );
  const servers = { docs: { url: `${server.url}/mcp`, path: "/docs/mcp", ...passthrough } };
  const proxy = await use(startProxy({ servers, plugins: [oauthRelay()], publicUrl, ...more }));
  const client = await use(rawClient(Number(new URL(proxy.url).port)));
  return { client, server, proxy };
}

const OURS = `resource_metadata="https://gw.example.com${WELL_KNOWN}/team/docs/mcp"`;

describe("challenges", () => {
  test.each<[string, string, string[], string]>([
    [
      "401 Unauthorized",
      'WWW-Authenticate: Bearer resource_metadata="<own>/.well-known/x"\r\n',
      [`Bearer ${OURS}`],
      "the URL",
    ],
    ["401 Unauthorized", "", [`Bearer ${OURS}`], "none came"],
    ["401 Unauthorized", "WWW-Authenticate: Bearer\r\n", [`Bearer ${OURS}`], "a bare one"],
    [
      "401 Unauthorized",
      'WWW-Authenticate: Bearer error="invalid_token", error_description="expired, \\"old\\"", scope="a b"\r\n',
      [`Bearer error="invalid_token", error_description="expired, \\"old\\"", scope="a b", ${OURS}`],
      "escapes, and no URL",
    ],
    [
      "401 Unauthorized",
      'WWW-Authenticate: Bearer scope="a, b", resource_metadata="http://x/\\"y", realm="mcp"\r\n',
      [`Bearer scope="a, b", realm="mcp", ${OURS}`],
      "quoted commas",
    ],
    [
      "401 Unauthorized",
      'WWW-Authenticate: Basic realm="a, Bearer b", Bearer resource_metadata=x, Negotiate YWJj==\r\n',
      [`Basic realm="a, Bearer b", Bearer ${OURS}, Negotiate YWJj==`],
      "several in a field",
    ],
    [
      "401 Unauthorized",
      'WWW-Authenticate: Basic realm="a"\r\nWWW-Authenticate: DPoP algs="ES256", resource_metadata="http://x/"\r\n',
      ['Basic realm="a"', `DPoP algs="ES256", ${OURS}`],
      "several fields",
    ],
    [
      "401 Unauthorized",
      'WWW-Authenticate: Bearer realm="<own>/mcp"\r\n',
      [`Bearer realm="https://gw.example.com/team/docs/mcp", ${OURS}`],
      "a realm that is the server's URL",
    ],
    [
      "401 Unauthorized",
      'WWW-Authenticate: Bearer realm="https://other.example/"\r\n',
      [`Bearer realm="https://other.example/", ${OURS}`],
      "a realm that is another URL",
    ],
    [
      "401 Unauthorized",
      'WWW-Authenticate: Bearer resource_metadata="http://x/", resource_metadata="http://y/"\r\n',
      [`Bearer ${OURS}`],
      "the URL twice",
    ],
    [
      "401 Unauthorized",
      'WWW-Authenticate: Bearer resource_metadata="http://internal/\r\n',
      [`Bearer ${OURS}`],
      "malformed: dropped, ours added",
    ],
    [
      "401 Unauthorized",
      'WWW-Authenticate: Bearer x="open\r\nWWW-Authenticate: Bearer scope="a"\r\n',
      [`Bearer scope="a", ${OURS}`],
      "one of two malformed",
    ],
    [
      "403 Forbidden",
      'WWW-Authenticate: Bearer error="insufficient_scope", scope="a b", resource_metadata="<own>/x"\r\n',
      [`Bearer error="insufficient_scope", scope="a b", ${OURS}`],
      "step-up",
    ],
    ["403 Forbidden", "", [], "a plain 403"],
  ])("%s, %j: %j (%s)", async (status, fields, expected) => {
    const { client } = await challenged(status, fields);
    client.send(post(call(7), "/docs/mcp", "content-type: application/json\r\nauthorization: Bearer t\r\n"));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(Number(status.slice(0, 3)));
    const values = answer.rawHeaders.filter(([name]) => /^www-authenticate$/i.test(name)).map(([, value]) => value);
    expect(values).toEqual(expected);
    for (const value of values) expect(parseChallenges(value)).toBeDefined();
    expect(answer.headers["cache-control"]).toBe("no-store");
  });

  test("GET and DELETE are challenged too, and an alias names itself", async () => {
    const { server } = await challenged("401 Unauthorized", "");
    const proxy = await use(
      startProxy({
        servers: { docs: { url: `${server.url}/mcp`, path: ["/docs/mcp", "/mcp"], ...passthrough } },
        plugins: [oauthRelay()],
      }),
    );
    for (const method of ["GET", "DELETE"])
      for (const path of ["/docs/mcp", "/mcp", "/mcp/"]) {
        const answer = await fetch(proxy.url + path, { method });
        await answer.text();
        expect(answer.status).toBe(401);
        const named = WELL_KNOWN + path.replace(/\/$/, "");
        expect(answer.headers.get("www-authenticate")).toBe(`Bearer resource_metadata="${proxy.url}${named}"`);
      }
  });

  test("what the proxy itself refuses says nothing of the server's metadata", async () => {
    const { client } = await challenged("200 OK", "", { plugins: [oauthRelay(), closed()] });
    client.send(post(call(), "/docs/mcp"));
    const answer = await client.receiveResponse();
    expect([answer.status, answer.headers["www-authenticate"]]).toEqual([401, "Bearer"]);
  });

  test("without the plugin, the server's own URL reaches the client, who cannot use it", async () => {
    const { client, server } = await challenged(
      "401 Unauthorized",
      'WWW-Authenticate: Bearer resource_metadata="<own>/x"\r\n',
      { plugins: [] },
    );
    client.send(post(call(), "/docs/mcp"));
    expect((await client.receiveResponse()).headers["www-authenticate"]).toBe(
      `Bearer resource_metadata="${server.url}/x"`,
    );
  });
});

/** A server that answers its metadata paths as told; everything else is 401. */
async function documented(
  documents: Record<string, unknown | ((response: ServerResponse) => void)>,
  more: object = {},
  path: string | string[] = "/docs/mcp",
) {
  const server = await use(
    startLegacyServer({
      intercept({ target }, _request, response) {
        const document = documents[target];
        if (document === undefined) response.writeHead(target === "/mcp" ? 401 : 404).end();
        else if (typeof document === "function") (document as (response: ServerResponse) => void)(response);
        else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document));
        return true;
      },
    }),
  );
  const servers = {
    docs: { url: server.url, path, ...passthrough },
    open: { url: server.url, path: "/open/mcp" },
  };
  const proxy = await use(startProxy({ servers, plugins: [oauthRelay()], ...more }));
  return { server, url: proxy.url, port: Number(new URL(proxy.url).port) };
}

const INSERTED = `${WELL_KNOWN}/mcp`;
const document = (resource = "https://docs.example.com/mcp") => ({
  resource,
  authorization_servers: ["https://as.example.com/tenant"],
  scopes_supported: ["a", "b"],
  resource_name: "Docs",
  signed_metadata: "eyJ.x.y",
});
const asked = (requests: readonly RecordedRequest[]) => requests.map(({ method, target }) => `${method} ${target}`);

describe("metadata", () => {
  test("is the server's, with the mount as resource and the real authorization server", async () => {
    const { url, server } = await documented({ [INSERTED]: document() }, {}, ["/docs/mcp", "/mcp"]);
    for (const path of ["/docs/mcp", "/docs/mcp/", "/mcp"]) {
      const answer = await fetch(url + WELL_KNOWN + path, { headers: { "mcp-protocol-version": "2025-11-25" } });
      expect(answer.status).toBe(200);
      expect(await answer.json()).toEqual({
        resource: url + path.replace(/\/$/, ""),
        authorization_servers: ["https://as.example.com/tenant"],
        scopes_supported: ["a", "b"],
        resource_name: "Docs",
      });
      expect(answer.headers.get("access-control-allow-origin")).toBe("*");
      expect(answer.headers.get("cache-control")).toBe("no-store");
    }
    expect(asked(server.requests)).toEqual([`GET ${INSERTED}`]);
  });

  test("HEAD, preflight, and other methods", async () => {
    const { url } = await documented({ [INSERTED]: document() });
    const head = await fetch(`${url}${WELL_KNOWN}/docs/mcp`, { method: "HEAD" });
    expect([head.status, head.headers.get("content-type"), await head.text()]).toEqual([200, "application/json", ""]);
    const preflight = await fetch(`${url}${WELL_KNOWN}/docs/mcp`, { method: "OPTIONS" });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
    expect(preflight.headers.get("access-control-allow-methods")).toContain("GET");
    expect((await fetch(`${url}${WELL_KNOWN}/docs/mcp`, { method: "POST", body: "" })).status).toBe(405);
  });

  test("an unknown mount and one without login have none, and neither has the root: never the neighbour's", async () => {
    const { url, server } = await documented({ [INSERTED]: document() });
    for (const path of ["/open/mcp", "/unknown/mcp", "/docs", "", "/"]) {
      const answer = await fetch(url + WELL_KNOWN + path);
      expect([path, answer.status, answer.headers.get("content-type")]).toEqual([path, 404, "application/json"]);
      expect(await answer.text()).not.toContain("as.example.com");
    }
    expect(server.requests).toEqual([]);
  });

  test("behind a prefix: the public form, and the one that is left when a proxy takes the prefix away", async () => {
    const { url } = await documented({ [INSERTED]: document() }, { publicUrl: "https://h.example.com/team" });
    for (const path of ["/team/docs/mcp", "/docs/mcp"])
      expect(await (await fetch(url + WELL_KNOWN + path)).json()).toMatchObject({
        resource: "https://h.example.com/team/docs/mcp",
      });
  });

  test("where the prefix makes one mount's path look like another's, the form that clients see counts", async () => {
    const server = await use(startLegacyServer());
    const servers = {
      a: { url: server.url, path: "/mcp", ...passthrough },
      b: { url: server.url, path: "/docs/mcp", ...passthrough },
    };
    const penstock = createPenstock({ servers, plugins: [oauthRelay()], publicUrl: "https://h/docs" });
    await use(closeable({ close: () => penstock.close() }));
    await penstock.ready();
    expect(
      penstock.paths
        .filter(({ path }) => path.startsWith(WELL_KNOWN))
        .map(({ path }) => path.slice(WELL_KNOWN.length))
        .sort(),
    ).toEqual(["/docs/docs/mcp", "/docs/docs/mcp", "/docs/mcp", "/docs/mcp", "/mcp", "/mcp"]);
  });

  test.each<[string, (own: string) => Record<string, unknown>, object | undefined]>([
    [
      "the root form, where the inserted one is missing",
      (own) => ({ [WELL_KNOWN]: document(own) }),
      { authorization_servers: ["https://as.example.com/tenant"] },
    ],
    ["a root form for another path of the server", (own) => ({ [WELL_KNOWN]: document(`${own}/other`) }), undefined],
    [
      "2025-03-26: the server's origin is its authorization server",
      (own) => ({ "/.well-known/oauth-authorization-server": { issuer: own } }),
      { authorization_servers: ["<own>"] },
    ],
    [
      "an authorization server elsewhere is not the server's own",
      () => ({ "/.well-known/oauth-authorization-server": { issuer: "https://as.example.com" } }),
      undefined,
    ],
    ["none", () => ({}), undefined],
    ["no authorization servers", () => ({ [INSERTED]: { resource: "https://x.example/mcp" } }), undefined],
    [
      "authorization servers that are none",
      () => ({ [INSERTED]: { ...document(), authorization_servers: ["javascript:alert(1)", 7] } }),
      undefined,
    ],
    ["not an object", () => ({ [INSERTED]: [1] }), undefined],
    [
      "not JSON",
      () => ({
        [INSERTED]: (response: ServerResponse) =>
          response.writeHead(200, { "content-type": "application/json" }).end("<html>"),
      }),
      undefined,
    ],
    [
      "HTML",
      () => ({
        [INSERTED]: (response: ServerResponse) =>
          response.writeHead(200, { "content-type": "text/html" }).end(JSON.stringify(document())),
      }),
      undefined,
    ],
    ["500", () => ({ [INSERTED]: (response: ServerResponse) => response.writeHead(500).end() }), undefined],
    [
      "a redirect to elsewhere",
      () => ({
        [INSERTED]: (response: ServerResponse) =>
          response.writeHead(302, { location: "http://169.254.169.254/" }).end(),
      }),
      undefined,
    ],
    ["a broken connection", () => ({ [INSERTED]: (response: ServerResponse) => response.destroy() }), undefined],
    ["1 MB", () => ({ [INSERTED]: { ...document(), x: "x".repeat(1_000_000) } }), undefined],
  ])("%s", async (_name, documents, expected) => {
    const found: Record<string, unknown> = {};
    const { url, server } = await documented(found);
    const { origin } = new URL(server.url);
    Object.assign(found, documents(origin));
    const answer = await fetch(`${url}${WELL_KNOWN}/docs/mcp`);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([expected ? 200 : 404, "application/json"]);
    const text = await answer.text();
    if (expected) expect(JSON.parse(text)).toMatchObject(JSON.parse(JSON.stringify(expected).replace("<own>", origin)));
    else expect(text).not.toContain("127.0.0.1");
  });

  test("is read where the server's challenge says, if that is the server's own origin", async () => {
    const server = await use(
      startLegacyServer({
        intercept({ target }, request, response) {
          const own = `http://${request.headers.host}`;
          if (target === "/meta?x=1")
            response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document()));
          else
            response
              .writeHead(target === "/mcp" ? 401 : 404, {
                "www-authenticate": `Bearer resource_metadata="${own}/meta?x=1"`,
              })
              .end();
          return true;
        },
      }),
    );
    const servers = { docs: { url: server.url, path: "/docs/mcp", ...passthrough } };
    const { url } = await use(startProxy({ servers, plugins: [oauthRelay()] }));
    expect((await fetch(`${url}${WELL_KNOWN}/docs/mcp`)).status).toBe(404);
    await fetch(`${url}/docs/mcp`, { method: "DELETE" });
    // What was known to be missing is asked for again at once: the server has said where it is.
    expect((await fetch(`${url}${WELL_KNOWN}/docs/mcp`)).status).toBe(200);
  });

  test("a URL of another origin in a challenge is never fetched", async () => {
    const canary = await use(rawServer());
    const server = await use(
      startLegacyServer({
        intercept(_recorded, _request, response) {
          response.writeHead(401, { "www-authenticate": `Bearer resource_metadata="${canary.url}/meta"` }).end();
          return true;
        },
      }),
    );
    const servers = { docs: { url: server.url, path: "/docs/mcp", ...passthrough } };
    const { url } = await use(startProxy({ servers, plugins: [oauthRelay()] }));
    await fetch(`${url}/docs/mcp`, { method: "DELETE" });
    expect((await fetch(`${url}${WELL_KNOWN}/docs/mcp`)).status).toBe(404);
    expect(canary.connections).toEqual([]);
    expect(asked(server.requests)).not.toContain("GET /meta");
  });

  test("one request for all who ask at once; kept for a while, or not at all", async () => {
    const held = gate();
    const answer = (response: ServerResponse) =>
      void held.promise.then(() =>
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document())),
      );
    const { url, server } = await documented({ [INSERTED]: answer }, { plugins: [oauthRelay({ maxAge: 0 })] });
    const many = Array.from({ length: 8 }, () => fetch(`${url}${WELL_KNOWN}/docs/mcp`));
    await server.request(({ target }) => target === INSERTED);
    held.open();
    expect((await Promise.all(many)).map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect(server.requests.length).toBeLessThan(8);
    const before = server.requests.length;
    await fetch(`${url}${WELL_KNOWN}/docs/mcp`);
    expect(server.requests.length).toBe(before + 1);
  });

  test("a server that is not there has none; its callers wait for nothing else", async () => {
    const servers = { docs: { url: "http://127.0.0.1:9/mcp", path: "/docs/mcp", ...passthrough } };
    const { url } = await use(startProxy({ servers, plugins: [oauthRelay()] }));
    expect((await fetch(`${url}${WELL_KNOWN}/docs/mcp`)).status).toBe(404);
  });
});

test("what is transparent is logged at the start, once for each server", async () => {
  const log: string[] = [];
  const at = (level: string) => (text: LogText) =>
    void log.push(`${level} ${typeof text === "function" ? text() : text}`);
  const servers = {
    docs: { url: "https://docs.example.com/mcp?key=s3cr3t", path: "/docs/mcp", ...passthrough },
    open: { url: "https://open.example.com/mcp", path: "/open/mcp" },
  };
  const penstock = createPenstock(
    { servers, plugins: [oauthRelay()] },
    { logger: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") } },
  );
  await use(closeable({ close: () => penstock.close() }));
  await penstock.ready();
  expect(log).toEqual([
    'info docs: transparent (auth: "passthrough"): the Authorization of its callers goes on to https://docs.example.com/mcp',
  ]);
  expect(penstock.mounts.map(({ plugins }) => plugins.length)).toEqual([1, 0]);
});

test("a bad option stops the start", () => {
  expect(() => oauthRelay({ maxAge: -1 })).toThrow("maxAge");
});

describe.each(["v1", "v2"] as const)("a real client of the %s SDK", (era) => {
  test.each([
    ["which the server's challenge leads to its metadata", true],
    ["which gets a bare 401", false],
  ])("logs in through the proxy, %s", async (_name, withChallenge) => {
    const issuer = await use(startFakeIssuer());
    const start = era === "v1" ? startLegacyServer : startModernServer;
    const server = await use(
      start({
        intercept({ target, headers }, _request, response) {
          const own = `http://${headers.host}`;
          if (target === INSERTED) {
            const body = {
              resource: `${own}/mcp`,
              authorization_servers: [issuer.issuer],
              scopes_supported: ["tools"],
            };
            response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
            return true;
          }
          if (target !== "/mcp" || issuer.mint.tokens.has((headers.authorization ?? "").slice("Bearer ".length)))
            return false;
          const challenge = { "www-authenticate": `Bearer resource_metadata="${own}${INSERTED}", scope="tools"` };
          response.writeHead(401, withChallenge ? challenge : {}).end();
          return true;
        },
      }),
    );
    const other = await use(startLegacyServer({ sessions: false }));
    const servers = {
      docs: { url: server.url, path: "/docs/mcp", ...passthrough },
      other: { url: other.url, path: "/other/mcp" },
    };
    const { url } = await use(startProxy({ servers, plugins: [oauthRoot(), oauthRelay()] }));
    const mount = `${url}/docs/mcp`;
    const { client, requests, authorizeUrl } = await use(logIn(era, mount));
    expect((await client.listTools()).tools.length).toBeGreaterThan(0);
    const discovery = requests.filter((line) => line.includes("/.well-known/"));
    expect(discovery.slice(0, 2)).toEqual([
      `GET ${url}${WELL_KNOWN}/docs/mcp`,
      `GET ${new URL(issuer.issuer).origin}/.well-known/oauth-authorization-server/tenant`,
    ]);
    expect(
      requests
        .filter((line) => line.startsWith(`POST ${url}`) || line.startsWith(`GET ${url}/`))
        .every((line) => line.includes("/docs/mcp")),
    ).toBe(true);
    expect(authorizeUrl.searchParams.get("resource")).toBe(mount);
    expect(authorizeUrl.searchParams.get("scope")).toBe("tools");
    const [[token, resource]] = [...issuer.mint.tokens] as [[string, string]];
    expect(resource).toBe(mount);
    expect(server.requests.at(-1)!.headers.authorization).toBe(`Bearer ${token}`);
    // The same token at a mount that did not opt in: its server never gets to see it.
    const elsewhere = await fetch(`${url}/other/mcp`, {
      method: "POST",
      body: call(),
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        authorization: `Bearer ${token}`,
        dpop: "proof",
      },
    });
    await elsewhere.text();
    expect(other.requests).toHaveLength(1);
    expect(other.requests[0]!.headers).not.toHaveProperty("authorization");
    expect(other.requests[0]!.headers).not.toHaveProperty("dpop");
  });
});

test("a raw look at a document: no other mount is named in it", async () => {
  const { port } = await documented({ [INSERTED]: document() });
  const client = await use(rawClient(port));
  client.send(plain("GET", `${WELL_KNOWN}/docs/mcp`));
  const { body } = await client.receiveResponse();
  expect(body).not.toContain("open");
});
