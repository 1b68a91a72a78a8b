import { type Message, type MessageHook, type Plugin } from "mcp-penstock";
import { describe, expect, test } from "vitest";
import { gate, rawClient, rawServer } from "../_harness/peers.ts";
import { onMessage } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const BIG = "9007199254740993";
const hook = (
  direction: "up" | "down",
  kind: MessageHook["filter"]["kind"],
  handler: MessageHook["handler"],
  method?: string,
): Plugin => ({
  name: `${direction}-${kind}`,
  message: { filter: { direction, kind, method }, handler },
});

/** A proxy before a server that answers every request with `answer`, and a client. */
async function setUp(plugins: unknown, answer: string | ((body: string) => string)) {
  const server = await use(
    rawServer(async (connection) => {
      for await (const { body } of connection.requests())
        connection.send(typeof answer === "string" ? answer : answer(body));
    }),
  );
  const { port } = await use(front(server.url, plugins));
  const client = await use(rawClient(port));
  const bodies = () =>
    server.connections.flatMap(({ received }) =>
      received
        .split(/\r\n\r\n/)
        .slice(1)
        .map((body) => body.split("POST ")[0]),
    );
  return { server, port, client, bodies };
}

/** An answer that is one whole event stream. */
const stream = (...events: string[]) => SSE_HEAD + events.map(chunk).join("") + chunk("");
const event = (json: string) => `data: ${json}\n\n`;

describe("down", () => {
  const NOTE = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}';
  const KINDS = ["request", "notification", "response"] as const;
  const RESPONSE = `{"jsonrpc":"2.0", "id":${BIG},"result":{"n":1.0}}`;

  test("what no hook changes arrives byte for byte: comments, ids, odd line ends, JSON and streams", async () => {
    const look = KINDS.map((kind) => onMessage("down", kind, "pass"));
    const odd = `: hi\n\nid: 7\r\nevent: message\r\ndata:${NOTE}\r\n\r\nevent: other\ndata: {"id":1}\n\ndata: ${RESPONSE.replace(", ", ",\ndata: ")}\n\nretry: 5\n\n`;
    const { client } = await setUp(look, (body) =>
      body.includes('"id":1,') ? stream(...odd.match(/[^]{1,13}/g)!) : jsonAnswer(RESPONSE),
    );
    client.send(post(call(1)));
    await client.receive(/0\r\n\r\n$/);
    expect(client.response().body).toBe(odd);
    const second = await setUp(look, jsonAnswer(RESPONSE));
    second.client.send(post(call(BIG)));
    expect((await second.client.receiveResponse()).body).toBe(RESPONSE);
  });

  test("hooks see each message once, and nothing of what is none", async () => {
    const seen: (string | undefined)[] = [];
    const look = KINDS.map((kind) => hook("down", kind, (_exchange, { method }) => void seen.push(method ?? kind)));
    const { client } = await setUp(
      look,
      stream(": hi\n\n", event(NOTE), 'event: other\ndata: {"id":1}\n\n', event(RESPONSE)),
    );
    client.send(post(call(BIG)));
    await client.receive(/0\r\n\r\n$/);
    expect(seen).toEqual(["notifications/progress", "response"]);
  });

  test("a changed response keeps its big id, in JSON and in a stream; other events keep their bytes", async () => {
    const change = onMessage("down", "response", { change: { result: { changed: true } } }, { method: "tools/list" });
    const changed = `{"jsonrpc":"2.0","id":${BIG},"result":{"changed":true}}`;
    const json = await setUp([change], jsonAnswer(RESPONSE));
    json.client.send(post(call(BIG)));
    expect((await json.client.receiveResponse()).body).toBe(changed);
    const events = await setUp([change], stream(event(NOTE), `id: 3\n${event(RESPONSE)}`));
    events.client.send(post(call(BIG)));
    await events.client.receive(/0\r\n\r\n$/);
    expect(events.client.response().body).toBe(`${event(NOTE)}id: 3\n${event(changed)}`);
    // The filter names the method that is answered: another one passes.
    json.client.send(post(call(BIG, "tools/call")));
    expect((await json.client.receiveResponse()).body).toBe(RESPONSE);
  });

  test("null drops a notification, several messages take the place of one", async () => {
    const hooks = [
      onMessage("down", "notification", "drop", { method: "notifications/progress" }),
      onMessage("down", "notification", { copyAs: "notifications/copy" }, { method: "notifications/a" }),
    ];
    const a = '{"jsonrpc":"2.0","method":"notifications/a"}';
    const { client } = await setUp(hooks, stream(event(NOTE), event(a), event(NOTE), event(RESPONSE)));
    client.send(post(call(BIG)));
    await client.receive(/0\r\n\r\n$/);
    expect(client.response().body).toBe(event(a) + event(a.replace("/a", "/copy")) + event(RESPONSE));
  });

  test.each(["7", '"q"', BIG])(
    "a Reply to the server's request %s reaches the server as a POST, and the client sees nothing",
    async (id) => {
      const reply = onMessage("down", "request", { reply: { result: { roots: [] } } }, { method: "roots/list" });
      const server = await use(
        rawServer(async (connection) => {
          for await (const { body, method, headers } of connection.requests()) {
            if (method === "GET")
              connection.send(SSE_HEAD + chunk(event(`{"jsonrpc":"2.0","id":${id},"method":"roots/list"}`)));
            else {
              expect(headers).toMatchObject({
                "mcp-session-id": "s1",
                "content-type": "application/json",
                accept: "application/json, text/event-stream",
              });
              (await server.connection(0)).send(chunk(event(body)) + chunk(""));
              connection.send("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
            }
          }
        }),
      );
      const client = await use(rawClient((await use(front(server.url, [reply]))).port));
      client.send(plain("GET", "/mcp", "accept: text/event-stream\r\nmcp-session-id: s1\r\n"));
      await client.receive(/0\r\n\r\n$/);
      // The server sent back on the stream what was posted to it.
      expect(client.response().body).toBe(event(`{"jsonrpc":"2.0","id":${id},"result":{"roots":[]}}`));
    },
  );

  test("a handler that fails in the middle: an error event for the pending id, then the cut", async () => {
    const bad = onMessage("down", "notification", { fail: "error" });
    const { client } = await setUp([bad], SSE_HEAD + chunk(event(NOTE)));
    client.send(post(call(4)));
    await client.ended;
    const { body, complete } = client.response();
    expect(complete).toBe(false);
    expect(body).toMatch(/^data: \{"jsonrpc":"2\.0","id":4,"error":.*PLUGIN_FAILED.*\}\n\n$/);
    expect(body).not.toContain("secret");
  });

  test("asynchronous handlers keep the order, one message at a time", async () => {
    const gates = [gate(), gate(), gate()];
    const started: number[] = [];
    const slow = hook("down", "notification", async (_exchange, { params }: Message) => {
      started.push(params!.i as number);
      await gates[params!.i as number]!.promise;
    });
    const note = (i: number) => event(`{"jsonrpc":"2.0","method":"n","params":{"i":${i}}}`);
    const { client } = await setUp([slow], stream(note(0) + note(1) + note(2)));
    client.send(plain("GET"));
    gates[2]!.open();
    gates[1]!.open();
    await client.receive(/\r\n\r\n/);
    expect(started).toEqual([0]);
    expect(client.response().body).toBe("");
    gates[0]!.open();
    await client.receive(/0\r\n\r\n$/);
    expect(started).toEqual([0, 1, 2]);
    expect(client.response().body).toBe(note(0) + note(1) + note(2));
  });
});
