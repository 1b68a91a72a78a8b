import { describe, expect, test } from "vitest";
import { retry, standard } from "../_harness/plugins.ts";
import { type RawConnection, gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { ledger } from "../_harness/ledger.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, post } from "../_harness/wire.ts";

const use = testScope();
const tool = (id: number) => call(id, "tools/call", `{"name":"n","arguments":{"n":${id}}}`);

describe.each([
  ["the bare core", () => []],
  ["retry", () => [retry()]],
  ["standard()", () => [standard()]],
] as const)("LC-05 %s", (_name, plugins) => {
  test("a POST whose reused connection is reset after it was read is delivered once, and reported", async () => {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(jsonAnswer("{}"));
        await connection.receiveRequest({ timeout: Infinity });
        connection.reset();
      }),
    );
    const client = await use(rawClient((await use(front(server.url, plugins()))).port));
    client.send(post(call(1)));
    expect((await client.receiveResponse()).status).toBe(200);
    client.send(post(tool(2)));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body)).toMatchObject({ id: 2, error: { data: { code: "UPSTREAM_BROKE" } } });
    client.send(post(call(3)));
    expect((await client.receiveResponse()).status).toBe(200);
    // Three calls, three deliveries: the second one was not tried again.
    expect(server.requests).toBe(3);
    const calls = server.connections.flatMap((connection) => connection.received.match(/"id":2/g) ?? []);
    expect(calls).toHaveLength(1);
  });

  test("of a hundred calls, some of them reset, each has one outcome and one execution at most", async () => {
    const book = ledger();
    const server = await use(
      rawServer(async (connection) => {
        let count = 0;
        for await (const { body } of connection.requests()) {
          const { params, id } = JSON.parse(body) as { id: number; params: { arguments: { n: number } } };
          book.executed(params.arguments.n);
          // Never the first of a connection: it is the reused ones that clients repeat in silence.
          if (++count % 4 === 0) return connection.reset();
          connection.send(jsonAnswer(`{"jsonrpc":"2.0","id":${id},"result":{}}`));
        }
      }),
    );
    const client = await use(rawClient((await use(front(server.url, plugins()))).port));
    for (let i = 0; i < 100; i++) {
      const number = book.next("client");
      client.send(post(tool(number)));
      const { body } = await client.receiveResponse();
      const { id, error } = JSON.parse(body) as { id: number; error?: object };
      book.arrived(id, "client", error ? "error" : "answer");
    }
    book.assertBalanced();
    expect(book.balance().outcomes).toEqual({ answer: 75, error: 25 });
  });

  test.each([
    ["a whole answer", jsonAnswer('"poison"')],
    ["the head of one", "HTTP/1.1 200 OK\r\n"],
    ["a single byte", "\n"],
  ])("%s that nobody asked for on an idle connection answers no later call", async (_what, poison) => {
    const spoken = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(jsonAnswer('"mine"'));
        if (connection.index > 0) return;
        await spoken.promise;
        connection.send(poison);
      }),
    );
    const client = await use(rawClient((await use(front(server.url, plugins()))).port));
    client.send(post(tool(1)));
    expect((await client.receiveResponse()).body).toBe('"mine"');
    spoken.open();
    await within((await server.connection(0)).closed, "the proxy to drop the connection");
    client.send(post(tool(2)));
    expect((await client.receiveResponse()).body).toBe('"mine"');
    expect(server.connections).toHaveLength(2);
  });

  test("bytes behind an answer, of a stream too, answer no later call", async () => {
    const answer = (connection: RawConnection) =>
      connection.send(
        connection.index === 0
          ? `${SSE_HEAD}${chunk('data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n')}${chunk("")}${jsonAnswer('"poison"')}`
          : jsonAnswer('"mine"'),
      );
    const server = await use(
      rawServer(async (connection) => {
        for await (const _request of connection.requests()) answer(connection);
      }),
    );
    const client = await use(rawClient((await use(front(server.url, plugins()))).port));
    client.send(post(tool(1)));
    expect((await client.receiveResponse()).status).toBe(200);
    await within((await server.connection(0)).closed, "the proxy to drop the connection");
    client.send(post(tool(2)));
    expect((await client.receiveResponse()).body).toBe('"mine"');
    expect(client.received).not.toContain("poison");
  });
});
