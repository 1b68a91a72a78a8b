import { standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { gate, rawClient, rawServer, type RawConnection } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { call, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();

/** A number that `JSON.parse` rounds: only its text can come back. */
const IDS = ["7", '"a\\"b"', "9007199254740993"];

const FAULTS: [string, (connection: RawConnection) => void, number, string][] = [
  ["resets", (connection) => connection.reset(), 502, "UPSTREAM_BROKE"],
  ["closes", (connection) => connection.fin(), 502, "UPSTREAM_BROKE"],
  ["sends garbage", (connection) => void connection.send("SSH-2.0-OpenSSH_9.9\r\n\r\n"), 502, "UPSTREAM_INVALID"],
  [
    "sends half a head and closes",
    (connection) => (connection.send("HTTP/1.1 200 OK\r\nconte"), connection.fin()),
    502,
    "UPSTREAM_BROKE",
  ],
  [
    "sends a contradictory length",
    (connection) => void connection.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
    502,
    "UPSTREAM_INVALID",
  ],
  ["stays silent", () => {}, 504, "UPSTREAM_TIMEOUT"],
];

describe("a server that fails before its head", () => {
  test.each(FAULTS)(
    "%s: the client gets a JSON-RPC error with its own id at once",
    async (_fault, fail, status, code) => {
      let calls = 0;
      const server = await use(
        rawServer(async (connection) => {
          const { body } = await connection.receiveRequest();
          // A legacy server is told, too, that a call timed out.
          if (!body.includes("notifications/cancelled")) calls++;
          fail(connection);
        }),
      );
      const { port } = await use(front(server.url, [standard()], { timeouts: { headers: 150 } }));
      for (const id of IDS) {
        const client = await use(rawClient(port));
        const before = performance.now();
        client.send(post(call(id)));
        const answer = await client.receiveResponse();
        expect(performance.now() - before).toBeLessThan(600);
        expect(answer).toMatchObject({ status, headers: { "content-type": "application/json" } });
        expect(answer.body).toContain(`"id":${id},`);
        expect(JSON.parse(answer.body)).toMatchObject({ jsonrpc: "2.0", error: { code: -32_603, data: { code } } });
      }
      expect(calls).toBe(IDS.length);
    },
  );

  test("refuses connections: 502 UPSTREAM_UNREACHABLE, for POST with the id, for GET without", async () => {
    const gone = await rawServer();
    await gone.close();
    const { port } = await use(front(gone.url));
    const client = await use(rawClient(port));
    client.send(post(call("9007199254740993")));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(502);
    expect(answer.body).toContain('"id":9007199254740993,');
    expect(answer.body).toContain("UPSTREAM_UNREACHABLE");
    // The text must name the server as configured, and no address that only the proxy's operator may know.
    expect(answer.body).not.toContain("127.0.0.1");
    client.send(plain("GET"));
    expect(JSON.parse((await client.receiveResponse()).body)).toMatchObject({
      id: null,
      error: { data: { code: "UPSTREAM_UNREACHABLE" } },
    });
  });

  test("does not touch other calls to the same server", async () => {
    const barrier = gate();
    const server = await use(
      rawServer(async (connection) => {
        const { body } = await connection.receiveRequest();
        if (body.includes("tools/list")) return connection.reset();
        await barrier.promise;
        connection.send(jsonAnswer("{}"));
      }),
    );
    const { port } = await use(front(server.url));
    const [slow, broken] = [await use(rawClient(port)), await use(rawClient(port))];
    slow.send(post(call(1, "tools/call")));
    await (await server.connection(0)).receive(() => true).catch(() => {});
    broken.send(post(call(2)));
    expect((await broken.receiveResponse()).status).toBe(502);
    barrier.open();
    expect(await slow.receiveResponse()).toMatchObject({ status: 200, body: "{}" });
  });
});

describe("an unknown server", () => {
  test.each(["/two/mcp", "/nowhere", "/one", "/one/mcp/more"])(
    "%s: 404 JSON without any connection to a server",
    async (path) => {
      const server = await use(rawServer());
      // Two servers, so that none is the lone one.
      const { startProxy } = await import("../_harness/proxy.ts");
      const proxy = await use(
        startProxy({ servers: { one: { url: server.url }, other: { url: server.url } }, plugins: [standard()] }),
      );
      for (const method of ["POST", "GET", "DELETE"]) {
        const answer = await fetch(proxy.url + path, {
          method,
          ...(method === "POST" && { body: call(), headers: { "content-type": "application/json" } }),
        });
        expect([answer.status, answer.headers.get("content-type")]).toEqual([404, "application/json"]);
        expect(await answer.json()).toMatchObject({ jsonrpc: "2.0", id: null, error: { data: { code: "NOT_FOUND" } } });
      }
      expect(server.connections).toHaveLength(0);
    },
  );
});
