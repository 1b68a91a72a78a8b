/** What a server asks of a client, and how the answer finds its way back. */
import { describe, expect, test } from "vitest";
import { progress, question, reader, response, serverStream, session } from "./session-streams-fixture.ts";

const answer = (id: unknown) => ({ jsonrpc: "2.0", id, result: { action: "accept" } });

describe("a server's request", () => {
  test.each(["1", '"1"', '"a\\u0020b"', "9007199254740993", "-0", "1e3"])(
    "with the id %s: the client sees another one, the server its own, as it wrote it",
    async (idText) => {
      const { call, answered } = session();
      const server = serverStream();
      const client = reader(await call(1, server));
      server.send(
        `event: message\nid: s-9\ndata: {"jsonrpc":"2.0","params":{"id":9007199254740993,"message":"\u2028 ü"},"id" : ${idText},"method":"elicitation/create"}\n\n`,
      );
      const [asked] = client.messages();
      expect(typeof asked!.id).toBe("string");
      expect(client.state.text).toContain('"params":{"id":9007199254740993,"message":"\u2028 ü"}');
      expect(client.state.text).not.toContain("s-9");
      const sent = answered(answer(asked!.id));
      expect(sent).toBe(`{"jsonrpc":"2.0","id":${idText},"result":{"action":"accept"}}`);
    },
  );

  test("ids are unlike for every question of every session, though the servers count as they like", async () => {
    const seen = new Set<unknown>();
    for (let i = 0; i < 3; i++) {
      const { call } = session();
      for (let id = 0; id < 3; id++) {
        const server = serverStream();
        const client = reader(await call(id, server));
        server.message(question(0));
        seen.add(client.messages()[0]!.id);
      }
    }
    expect(seen.size).toBe(9);
  });

  test("an answer that nobody waits for is dropped: unknown, a second one, of the session before", async () => {
    const { call, answered, log, streams } = session();
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message(question(7));
    server.message(question(8));
    const [first, second] = client.messages();
    expect(answered(answer(7))).toBeUndefined();
    expect(answered(answer(first!.id))).toContain('"id":7');
    expect(answered(answer(first!.id))).toBeUndefined();
    streams.renewed();
    expect(answered(answer(second!.id))).toBeUndefined();
    expect(log.every((line) => line.startsWith("debug"))).toBe(true);
  });

  test("is not asked again of a client that has answered it, when it comes back", async () => {
    const { call, get, answered } = session();
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message(question(7));
    server.message(question(8));
    answered(answer(client.messages()[0]!.id));
    client.leave();
    const again = reader(await get(client.events()[0]!.id));
    expect(again.messages()).toEqual([client.messages()[1]]);
  });

  test("that the server takes back: the notification names the client's id", async () => {
    const { call, answered } = session();
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message(question(7));
    const cancelled = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 7, reason: "late" } };
    server.message(cancelled);
    const [asked, told] = client.messages();
    expect(told).toEqual({ ...cancelled, params: { requestId: asked!.id, reason: "late" } });
    expect(answered(answer(asked!.id))).toBeUndefined();
  });

  test("in a batch", async () => {
    const { call, answered } = session();
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message([progress(1), question(7)]);
    const [batch] = client.messages() as unknown as [{ id?: string }[]];
    expect(batch[0]).toEqual(progress(1));
    expect(answered(answer(batch[1]!.id))).toContain('"id":7');
  });

  test("on the stream of a GET", async () => {
    const { get, script, answered } = session();
    const server = serverStream();
    script.push(() => server.answer);
    const client = reader(await get());
    server.message(question(7, "roots/list"));
    expect(answered(answer(client.messages()[0]!.id))).toContain('"id":7');
  });
});

describe("a server is freed with an error", () => {
  const CLOSED = { id: 7, error: { code: -32000, message: expect.stringContaining("left") } };

  test("at once, when the client leaves and cannot come back", async () => {
    const { call, answers, answered } = session({ resume: false });
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message(question(7));
    const { id } = client.messages()[0]!;
    client.leave();
    expect(answers.map((text) => JSON.parse(text) as unknown)).toMatchObject([CLOSED]);
    expect(answered(answer(id))).toBeUndefined();
  });

  test("when the client has not come back in time, and not before", async () => {
    const { call, answers, streams } = session({ resume: { ttl: 1000 } });
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message(question(7));
    client.leave();
    streams.check(performance.now() + 900);
    expect(answers).toEqual([]);
    streams.check(performance.now() + 1100);
    expect(answers.map((text) => JSON.parse(text) as unknown)).toMatchObject([CLOSED]);
  });

  test("at the end of the session; a call that waits gets an error too", async () => {
    const { call, answers, streams } = session();
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message(question(7));
    streams.end();
    expect(answers.map((text) => JSON.parse(text) as unknown)).toMatchObject([CLOSED]);
    expect(client.messages().at(-1)).toMatchObject({ id: 1, error: {} });
    expect([client.state.end !== undefined, server.state.aborted, streams.active]).toEqual([true, true, 0]);
  });

  test("after the time for an answer, with a line in the log", async () => {
    const { call, answers, streams, log } = session({ answerTimeout: 1000 });
    const server = serverStream();
    reader(await call(1, server));
    server.message(question(7));
    streams.check(performance.now() + 900);
    expect(answers).toEqual([]);
    streams.check(performance.now() + 1100);
    expect(answers.map((text) => JSON.parse(text) as unknown)).toMatchObject([{ id: 7, error: { code: -32001 } }]);
    expect(log.filter((line) => line.startsWith("warn"))).toEqual([expect.stringContaining("elicitation/create")]);
    expect(log.join("\n")).not.toContain("which?");
  });

  test("a question that came with a call which has its response is not given up with the stream", async () => {
    const { call, answers, answered, streams } = session({ resume: { ttl: 10 } });
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message(question(7));
    server.message(response(1));
    server.end();
    streams.check(performance.now() + 100);
    expect([answers, streams.active]).toEqual([[], 1]);
    expect(answered(answer(client.messages()[0]!.id))).toContain('"id":7');
  });
});
