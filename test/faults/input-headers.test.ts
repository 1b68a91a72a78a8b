/** Which header fields cross, and which end at this hop (RFC 9110 §7.6). */
import { describe, expect, test } from "vitest";
import { type ParsedRequest, rawClient, rawServer } from "../_harness/peers.ts";
import { apiKeys, calm, cookies, marking, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const TYPE = "content-type: application/json\r\n";
const VIA = /^1\.1 penstock-[\da-f]{8}$/;

interface Options {
  plugins?: unknown;
  server?: object;
  answer?: string;
}

/** Sends one request; what the server got, and what came back. */
async function relay(request: string, { plugins = [standard()], server: config, answer: text }: Options = {}) {
  const seen: ParsedRequest[] = [];
  const server = await use(
    rawServer(async (connection) => {
      for await (const one of connection.requests()) {
        seen.push(one);
        connection.send(text ?? jsonAnswer("{}"));
      }
    }),
  );
  const client = await use(rawClient((await use(front(server.url, plugins, config))).port));
  client.send(request);
  const answer = await client.receiveResponse();
  return { got: seen[0]!, seen, answer, server, client };
}

const all = ({ rawHeaders }: Pick<ParsedRequest, "rawHeaders">, name: string) =>
  rawHeaders.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);

describe("IN-02 hop-by-hop fields of the client", () => {
  test.each([
    "keep-alive",
    "proxy-authorization",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
  ])("%s does not reach the server", async (name) => {
    // RFC 9113 §3.1: HTTP2-Settings comes with the Connection field that names it.
    const lines = `${name}: secret-value\r\n${name === "http2-settings" ? `connection: ${name}\r\n` : ""}`;
    for (const request of [post(call(), "/mcp", TYPE + lines), plain("GET", "/mcp", lines)]) {
      const { got, answer } = await relay(request, { plugins: [] });
      expect(answer.status).toBe(200);
      expect(JSON.stringify(got.rawHeaders)).not.toContain("secret-value");
    }
  });

  test.each([
    ["one name", "connection: x-secret\r\n"],
    ["several, in capitals, with blanks", "Connection: close ,\tX-SECRET,authorization\r\n"],
    ["several fields", "connection: keep-alive\r\nconnection: te, x-secret\r\n"],
    ["empty elements", "connection: ,, x-secret ,\r\n"],
  ])("those that its Connection names stay on this hop: %s", async (_what, lines) => {
    const { got } = await relay(post(call(), "/mcp", `${TYPE}x-secret: 1\r\n${lines}X-Secret: 2\r\nx-other: 3\r\n`));
    expect(got.headers).not.toHaveProperty("x-secret");
    expect(got.headers["x-other"]).toBe("3");
    expect(got.headers.connection).toBe("keep-alive");
  });

  test("a token that goes on to its server does not where Connection names it", async () => {
    const lines = `${TYPE}authorization: Bearer of-the-client\r\n`;
    const server = { auth: "passthrough" };
    expect((await relay(post(call(), "/mcp", lines), { server })).got.headers.authorization).toBe(
      "Bearer of-the-client",
    );
    const { got } = await relay(post(call(), "/mcp", `${lines}connection: x-secret, authorization\r\n`), { server });
    expect(got.headers).not.toHaveProperty("authorization");
  });

  test("no name in Connection takes away what this proxy sends", async () => {
    const names =
      "host, content-length, accept-encoding, via, x-configured, x-added, connection, transfer-encoding, x-request-id";
    const { got, server, answer } = await relay(post(call(), "/mcp", `${TYPE}connection: ${names}\r\n`), {
      plugins: [standard(), calm()],
      server: { headers: { "X-Configured": "1" } },
    });
    expect(got.headers).toMatchObject({
      host: `127.0.0.1:${server.port}`,
      "content-length": String(call().length),
      "accept-encoding": "identity",
      via: expect.stringMatching(VIA),
      "x-configured": "1",
      "x-added": "1",
    });
    expect(answer.headers["x-request-id"]).toBeDefined();
  });

  test("no name in Connection takes a credential away from the plugin that asks for it, or makes it pass on", async () => {
    const plugins = [apiKeys({ keys: { anna: "key-of-anna-0123456789" } })];
    const lines = `${TYPE}connection: x-api-key, authorization\r\n`;
    const without = await relay(post(call(), "/mcp", lines), { plugins });
    expect([without.answer.status, without.seen.length]).toEqual([401, 0]);
    const { answer, got } = await relay(post(call(), "/mcp", `${lines}x-api-key: key-of-anna-0123456789\r\n`), {
      plugins,
    });
    expect(answer.status).toBe(200);
    expect(JSON.stringify(got.rawHeaders)).not.toContain("key-of-anna");
  });

  test("a chunked body goes on with a length, and its trailers do not", async () => {
    const { got } = await relay(
      `POST /mcp HTTP/1.1\r\nhost: localhost\r\n${TYPE}trailer: x-late\r\ntransfer-encoding: chunked\r\n\r\n${chunk(call())}0\r\nx-late: 1\r\nauthorization: Bearer late\r\n\r\n`,
    );
    expect(got.body).toBe(call());
    expect(all(got, "content-length")).toEqual([String(call().length)]);
    for (const name of ["transfer-encoding", "trailer", "x-late", "authorization"])
      expect(got.headers).not.toHaveProperty(name);
  });
});

describe("IN-02 what a client says about where it comes from", () => {
  test.each([
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Forwarded-Prefix",
    "X-Forwarded-User",
    "X-Real-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    // CGI and its heirs write both as HTTP_X_FORWARDED_FOR.
    "X_Forwarded_For",
    "X_Real-IP",
    "Mcp_Session_Id",
    "x_anything",
    "_",
  ])("%s does not reach the server", async (name) => {
    const { got, answer } = await relay(post(call(), "/mcp", `${TYPE}${name}: secret-value\r\nx-plain: 1\r\n`));
    expect(answer.status).toBe(200);
    expect(JSON.stringify(got.rawHeaders)).not.toContain("secret-value");
    expect(got.headers["x-plain"]).toBe("1");
  });

  test("neither does it from a proxy that is trusted: the server is told nothing of it", async () => {
    const { got } = await relay(
      post(call(), "/mcp", `${TYPE}x-forwarded-for: 192.0.2.1\r\nforwarded: for=192.0.2.1\r\n`),
    );
    expect(JSON.stringify(got.rawHeaders)).not.toContain("192.0.2.1");
  });

  test("a name with _ goes on where the configuration sets it", async () => {
    const { got } = await relay(post(call(), "/mcp", `${TYPE}x_own: of-the-client\r\n`), {
      server: { headers: { x_own: "configured" } },
    });
    expect(all(got, "x_own")).toEqual(["configured"]);
  });
});

describe("IN-02 fields of a server's answer", () => {
  const HOP =
    "keep-alive: timeout=77\r\nproxy-authenticate: Basic\r\nproxy-connection: x\r\nupgrade: h2c\r\ntrailer: x-t\r\nte: x\r\n";

  test("hop-by-hop fields and those that its Connection names end here; others pass, repeated ones apart", async () => {
    const headers = `${HOP}Mcp-Session-Id: s-1\r\nconnection: X-Hop\r\nx-hop: 1\r\nconnection: x-more , close\r\nx-more: 1\r\nx-own: a, b\r\nX-Own: c\r\nwww-authenticate: Bearer scope="a"\r\nlocation: http://internal/\r\n`;
    const { answer } = await relay(post(call()), {
      answer: jsonAnswer("{}", "401 Unauthorized", headers),
      server: { auth: "passthrough" },
      plugins: [],
    });
    expect(answer).toMatchObject({
      status: 401,
      headers: { "mcp-session-id": "s-1", "www-authenticate": 'Bearer scope="a"' },
    });
    expect(all(answer, "x-own")).toEqual(["a, b", "c"]);
    for (const name of "proxy-authenticate proxy-connection upgrade trailer te x-hop x-more location".split(" "))
      expect(answer.headers).not.toHaveProperty(name);
    expect(answer.headers["keep-alive"]).not.toBe("timeout=77");
    expect(answer.headers.connection ?? "").not.toMatch(/x-|close/);
  });

  test("no name in its Connection takes away what this proxy and its plugins send", async () => {
    const headers = "connection: x-request-id, x-mark, vary, via, content-length, date, set-cookie\r\n";
    const { answer } = await relay(post(call()), {
      answer: jsonAnswer("{}", "200 OK", headers),
      plugins: [standard(), marking(), cookies()],
    });
    expect(answer.headers).toMatchObject({ "x-mark": "1", via: expect.stringMatching(VIA) });
    for (const name of ["x-request-id", "vary", "set-cookie"]) expect(answer.headers).toHaveProperty(name);
    expect(answer.body).toBe("{}");
  });

  test("its cookies are for nobody: all servers share the origin of the proxy", async () => {
    const headers = "set-cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nset-cookie: c=3\r\n";
    const { answer } = await relay(post(call()), { answer: jsonAnswer("{}", "200 OK", headers) });
    expect(answer.headers).not.toHaveProperty("set-cookie");
  });

  test("cookies of a plugin are fields of their own, also beside the server's, and on a refusal", async () => {
    const own = ["a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2"];
    for (const request of [post(call()), post("[]"), plain("DELETE")]) {
      const { answer } = await relay(request, {
        answer: jsonAnswer("{}", "200 OK", "set-cookie: c=3\r\n"),
        plugins: [standard(), cookies()],
      });
      expect(all(answer, "set-cookie")).toEqual(own);
    }
  });

  test("its trailers are not relayed", async () => {
    const { answer, client } = await relay(post(call()), {
      answer: `HTTP/1.1 200 OK\r\n${TYPE}transfer-encoding: chunked\r\ntrailer: x-late\r\n\r\n${chunk("{}")}0\r\nx-late: 1\r\nset-cookie: a=1\r\n\r\n`,
    });
    expect(answer.body).toBe("{}");
    expect(client.received).not.toMatch(/x-late|set-cookie/);
  });
});

describe("IN-02 Via", () => {
  test("names this proxy to both sides, behind those that were there", async () => {
    const { got, answer } = await relay(
      post(call(), "/mcp", `${TYPE}via: 1.0 fred\r\nVia: 1.1 a.example (x), 2 b\r\n`),
      { answer: jsonAnswer("{}", "200 OK", "via: 1.1 inner\r\n") },
    );
    const own = expect.stringMatching(VIA);
    expect(all(got, "via")).toEqual(["1.0 fred", "1.1 a.example (x), 2 b", own]);
    expect(all(answer, "via")).toEqual(["1.1 inner", own]);
    expect(all(got, "via").at(-1)).toBe(all(answer, "via").at(-1));
  });

  /** A server that hands each request on to `port` as it came, and the answer back. */
  function handingOn(port: () => number) {
    return use(
      rawServer(async (connection) => {
        for (let from = 0; ;) {
          await connection.receiveRequest({ timeout: Infinity });
          const next = await rawClient(port());
          next.send(connection.received.slice(from));
          from = connection.received.length;
          await next.receiveResponse();
          connection.send(Buffer.from(next.received, "latin1"));
          await next.close();
        }
      }),
    );
  }

  test.each([
    ["POST", post(call(7))],
    ["GET", plain("GET")],
  ])("a %s that comes back to this proxy is 508, after one round", async (method, request) => {
    let port = 0;
    const server = await handingOn(() => port);
    ({ port } = await use(front(server.url)));
    const client = await use(rawClient(port));
    client.send(request.replace("host: localhost", `host: 127.0.0.1:${server.port}`));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(508);
    expect(JSON.parse(answer.body)).toMatchObject({
      id: method === "POST" ? 7 : null,
      error: { code: -31508, data: { code: "LOOP_DETECTED" } },
    });
    expect(server.requests).toBe(1);
  });

  test("it is found behind another proxy too; proxies in a row are none", async () => {
    const origin = await use(
      rawServer(async (connection) => {
        for await (const _ of connection.requests()) connection.send(jsonAnswer('"reached"'));
      }),
    );
    let target = 0;
    const between = await handingOn(() => target);
    const inner = await use(front(between.url));
    const outer = await use(front(`http://127.0.0.1:${inner.port}`));
    const ask = async () => {
      const client = await use(rawClient(outer.port));
      client.send(post(call()));
      return client.receiveResponse();
    };
    target = origin.port;
    const through = await ask();
    expect(through).toMatchObject({ status: 200, body: '"reached"' });
    expect(new Set(all(through, "via")).size).toBe(2);
    target = outer.port;
    expect((await ask()).status).toBe(508);
    expect(between.requests).toBe(2);
  });
});
