import { describe, expect, test } from "vitest";
import { gate, rawClient, rawServer, type RawConnection, within } from "../_harness/peers.ts";
import { framing, onMessage, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, plain, post } from "../_harness/wire.ts";
import { messagesOf, readEvents } from "../core/sse-reference.ts";

const use = testScope();
const EVENT = 'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}\n\n';
const CLOSE_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const SHORT_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 4000\r\n\r\n";

const STACKS = [
  ["the bare core", [], ""],
  // There message hooks read the stream, so the waiting request gets its error before the cut.
  ["standard()", [standard()], "UPSTREAM_BROKE"],
] as const;
const CUTS: [string, string, (connection: RawConnection) => void][] = [
  ["reset", SSE_HEAD + chunk(EVENT), (connection) => connection.reset()],
  ["FIN inside a chunked body", SSE_HEAD + chunk(EVENT), (connection) => connection.fin()],
  ["FIN before the content-length is full", SHORT_HEAD + EVENT, (connection) => connection.fin()],
  ["bad chunk size", SSE_HEAD + chunk(EVENT), (connection) => void connection.send("zz\r\n")],
];

/** Sends `text`, waits until the test has seen it, then ends in its own way. */
async function brokenServer(text: string, end: (connection: RawConnection) => void) {
  const seen = gate();
  const server = await use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(text);
      await seen.promise;
      end(connection);
    }),
  );
  return { server, seen };
}

describe.each(STACKS)("ST-03 the end of a stream through %s", (_stack, plugins, lastWords) => {
  test.each(CUTS)("server: %s: the client gets what came, no terminal chunk, and a cut", async (_cut, text, end) => {
    const { server, seen } = await brokenServer(text, end);
    const client = await use(rawClient((await use(front(server.url, plugins))).port));
    client.send(post(call()));
    await client.receive(/\}\}\n\n/);
    seen.open();
    await within(client.ended, "the cut");
    const answer = client.response();
    expect(answer).toMatchObject({ status: 200, complete: false });
    expect(answer.body.slice(0, EVENT.length)).toBe(EVENT);
    expect(answer.body.slice(EVENT.length)).toMatch(
      lastWords === "" ? /^$/ : new RegExp(`^data: .*"id":1.*${lastWords}.*\n\n$`),
    );
    expect(client.received.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  test("a clean end of the server is a clean end for the client, on GET too", async () => {
    const { server, seen } = await brokenServer(
      SSE_HEAD + chunk(EVENT),
      (connection) => void connection.send(chunk("")),
    );
    const client = await use(rawClient((await use(front(server.url, plugins))).port));
    client.send(plain("GET"));
    await client.receive(/\}\}\n\n/);
    seen.open();
    await client.receive(/0\r\n\r\n$/);
    expect(client.response()).toMatchObject({ body: EVENT, complete: true });
  });
});

test("ST-03 a JSON answer that is shorter than its content-length is cut, not completed", async () => {
  const { server, seen } = await brokenServer(
    'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"a":',
    (connection) => connection.fin(),
  );
  const client = await use(rawClient((await use(front(server.url))).port));
  client.send(post(call()));
  await client.receive(/\{"a":/);
  seen.open();
  await within(client.ended, "the cut");
  expect(client.response()).toMatchObject({ body: '{"a":', complete: false });
});

describe("ST-03 a framed stream", () => {
  test.each(CUTS)(
    "server: %s: the pending id gets an error event, once, then the connection is cut",
    async (_cut, text, end) => {
      const { server, seen } = await brokenServer(text, end);
      const client = await use(rawClient((await use(front(server.url, [framing(), standard()]))).port));
      client.send(post(call("9007199254740993")));
      await client.receive(/\}\}\n\n/);
      seen.open();
      await within(client.ended, "the cut");
      const { body, complete } = client.response();
      expect(complete).toBe(false);
      expect(body.startsWith(EVENT)).toBe(true);
      const words = body.slice(EVENT.length);
      expect(words).toMatch(
        /^data: \{"jsonrpc":"2\.0","id":9007199254740993,"error":\{"code":-32603,.*"UPSTREAM_BROKE".*\}\n\n$/,
      );
    },
  );

  test("an id that was answered before the cut gets no error", async () => {
    const response = 'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n';
    const { server, seen } = await brokenServer(SSE_HEAD + chunk(response), (connection) => connection.reset());
    const client = await use(rawClient((await use(front(server.url, [framing()]))).port));
    client.send(post(call()));
    await client.receive(/result":\{\}\}\n\n/);
    seen.open();
    await within(client.ended, "the cut");
    expect(client.response()).toMatchObject({ body: response, complete: false });
  });

  test("a listening GET has no pending id: it is only cut", async () => {
    const { server, seen } = await brokenServer(SSE_HEAD + chunk(EVENT), (connection) => connection.reset());
    const client = await use(rawClient((await use(front(server.url, [framing()]))).port));
    client.send(plain("GET"));
    await client.receive(/\}\}\n\n/);
    seen.open();
    await within(client.ended, "the cut");
    expect(client.response()).toMatchObject({ body: EVENT, complete: false });
  });

  test("a stream that names an event id may end early: the client resumes it", async () => {
    const primed = "id: 1\ndata: \n\n";
    const { server, seen } = await brokenServer(
      SSE_HEAD + chunk(primed),
      (connection) => void connection.send(chunk("")),
    );
    const client = await use(rawClient((await use(front(server.url, [framing()]))).port));
    client.send(post(call()));
    await client.receive(/data: \n\n/);
    seen.open();
    await client.receive(/0\r\n\r\n$/);
    expect(client.response()).toMatchObject({ body: primed, complete: true });
  });
});

// HTTP/1.0 style: the end of the connection is the end of the body, so a server that dies looks like one that is ready.
describe("ST-04 a close-delimited stream", () => {
  const PROGRESS = '{"jsonrpc":"2.0","method":"notifications/progress","params":{}}';

  /** What a client gets of a call whose server sends these bytes and closes, once it has the first of them. */
  async function answerTo(stream: string, plugins: readonly unknown[], head = CLOSE_HEAD) {
    const { server, seen } = await brokenServer(head + stream, (connection) => connection.fin());
    const client = await use(rawClient((await use(front(server.url, plugins))).port));
    client.send(post(call(7)));
    await client.receive(/\r\n\r\n/);
    seen.open();
    await client.receive(/0\r\n\r\n$/);
    const answer = client.response();
    return { ...answer, messages: messagesOf(readEvents(answer.bytes).events) };
  }

  const READERS = [
    ["that asks for requests", () => [framing()]],
    ["that asks for responses", () => [onMessage("down", "response", "pass")]],
    ["of standard()", () => [standard()]],
  ] as const;
  describe.each(READERS)("read by a hook %s", (_, plugins) => {
    test.each([
      ["after an event", `data: ${PROGRESS}\n\n`],
      ["after nothing", ""],
      // What follows the last blank line must not swallow the first line of the error.
      ["in the middle of a comment", ": still here"],
      ["behind a line", ": still here\n"],
      ["behind a line with CRLF", ": still here\r\n"],
      ["in the middle of an event", `data: ${PROGRESS}`],
    ])("that ends %s, before the response: an error event for the pending id, then the end", async (_, stream) => {
      const { body, messages, complete } = await answerTo(stream, plugins());
      expect(complete).toBe(true);
      expect(body.startsWith(stream)).toBe(true);
      expect(messages.filter(({ id }) => id !== undefined)).toEqual([
        {
          jsonrpc: "2.0",
          id: 7,
          error: { code: -32_603, message: expect.any(String), data: { code: "UPSTREAM_BROKE" } },
        },
      ]);
    });

    test("that ends behind its response passes as it is", async () => {
      const stream = 'data: {"jsonrpc":"2.0","id":7,"result":{}}\n\n';
      expect(await answerTo(stream, plugins())).toMatchObject({ body: stream, complete: true });
    });

    test("that announced an event id: the client can resume, so nothing is added", async () => {
      const stream = `id: 1\ndata: ${PROGRESS}\n\n`;
      expect(await answerTo(stream, plugins())).toMatchObject({ body: stream, complete: true });
    });
  });

  test("read by nobody passes as it is: only a reader knows that a response is missing", async () => {
    const stream = `data: ${PROGRESS}\n\n`;
    expect(await answerTo(stream, [])).toMatchObject({ body: stream, complete: true });
  });

  test("of a server that speaks HTTP/1.0", async () => {
    const { messages } = await answerTo("", [framing()], CLOSE_HEAD.replace("HTTP/1.1", "HTTP/1.0"));
    expect(messages).toMatchObject([{ id: 7, error: { data: { code: "UPSTREAM_BROKE" } } }]);
  });
});
