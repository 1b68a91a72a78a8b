import { standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { type ParsedRequest, rawClient, rawServer } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { call, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();

/** Sends one request with these header lines and returns what the server got, and what came back. */
async function relay(request: string, options: { server?: object; answer?: string; plugins?: unknown } = {}) {
  const seen: ParsedRequest[] = [];
  const server = await use(
    rawServer(async (connection) => {
      seen.push(await connection.receiveRequest());
      connection.send(options.answer ?? jsonAnswer("{}"));
    }),
  );
  const client = await use(
    rawClient((await use(front(server.url, options.plugins ?? [standard()], options.server))).port),
  );
  client.send(request);
  const answer = await client.receiveResponse();
  return { got: seen[0]!, answer, server };
}

const TYPE = "content-type: application/json\r\n";
const PRIVATE = ["authorization", "dpop", "x-api-key", "cookie", "origin", "referer"];

describe("towards the server", () => {
  test("what belongs to MCP passes: Mcp-*, session, Last-Event-ID, Accept, trace and unknown fields", async () => {
    const lines = {
      "Mcp-Session-Id": "s-1",
      "MCP-Protocol-Version": "2025-11-25",
      "Mcp-Method": "tools/call",
      "Mcp-Name": "echo",
      "Mcp-Param-Region": "=?base64?w6k=?=",
      "Last-Event-ID": "42",
      traceparent: "00-a-b-01",
      "X-Own": "a, b",
    };
    const { got } = await relay(
      plain(
        "GET",
        "/mcp",
        Object.entries(lines)
          .map(([name, value]) => `${name}: ${value}\r\n`)
          .join(""),
      ),
      // The plugin sessions puts the server's own id there.
      { plugins: standard().filter(({ name }) => name !== "sessions") },
    );
    for (const [name, value] of Object.entries(lines)) expect(got.headers[name.toLowerCase()]).toBe(value);
  });

  test.each(PRIVATE)("%s of the client does not reach it", async (name) => {
    // Of origins only some get past the guard.
    const value = name === "origin" ? "http://secret-value.localhost" : "secret-value";
    const { got } = await relay(post(call(), "/mcp", `${TYPE}${name}: ${value}\r\n`));
    expect(got.body).toBe(call());
    expect(JSON.stringify(got.rawHeaders)).not.toContain("secret-value");
  });

  test("configured headers are sent, once, in place of the client's", async () => {
    const server = {
      headers: { Authorization: "Bearer of-the-server", "X-Own": "configured", "accept-language": "de" },
    };
    const { got } = await relay(
      post(call(), "/mcp", `${TYPE}authorization: Bearer of-the-client\r\nX-OWN: 1\r\nx-own: 2\r\n`),
      { server },
    );
    expect(got.headers).toMatchObject({
      authorization: "Bearer of-the-server",
      "x-own": "configured",
      "accept-language": "de",
    });
    expect(got.rawHeaders.filter(([name]) => name.toLowerCase() === "x-own")).toHaveLength(1);
  });

  test("no content coding is asked for, whatever the client accepts; Host is the server's own", async () => {
    const { got, server } = await relay(post(call(), "/mcp", `${TYPE}accept-encoding: gzip, br\r\n`));
    expect(
      got.rawHeaders.filter(([name]) => name.toLowerCase() === "accept-encoding").map(([, value]) => value),
    ).toEqual(["identity"]);
    expect(got.headers.host).toBe(`127.0.0.1:${server.port}`);
    expect(got.headers["content-length"]).toBe(String(call().length));
  });

  test("the path and query of the configured url are used, not the client's", async () => {
    const { got } = await relay(plain("GET", "/mcp/?token=of-the-client"));
    expect(got.target).toBe("/mcp");
  });
});

describe("towards the client", () => {
  test("204 has neither body nor length", async () => {
    const { answer } = await relay(plain("DELETE"), { answer: "HTTP/1.1 204 No Content\r\n\r\n" });
    expect(answer.status).toBe(204);
    // RFC 9110 §8.6: a server must not send it there.
    expect(answer.headers).not.toHaveProperty("content-length");
    expect(answer.headers).not.toHaveProperty("transfer-encoding");
  });
});
