/** Streams that a client can come back to. */
import { describe, expect, test } from "vitest";
import { ProxyError } from "../../core/index.ts";
import { progress, reader, response, serverStream, session } from "./session-streams-fixture.ts";

const GONE = new ProxyError("UPSTREAM_BROKE");
const position = (id: string | undefined) => Number(id?.split("-").at(-1));

describe("event ids", () => {
  test("a client of 2025-11-25 gets a priming event, then one id for each event; those of the server are hidden", async () => {
    const { streams, call } = session();
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message(progress(1), "id: server-7\nevent: message\n");
    server.message(response(1), "event: message\nid: server-8\n");
    server.end();
    expect(client.state.text).not.toContain("server-");
    expect(client.events().map(({ id, data }) => [position(id), data === ""])).toEqual([
      [0, true],
      [1, false],
      [2, false],
    ]);
    expect(client.messages()).toEqual([progress(1), response(1)]);
    expect(client.state.end).toBe("well");
    streams.end();
  });

  test("older clients get ids, and no event without data", async () => {
    const { call } = session({}, "2025-06-18");
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message(progress(1));
    expect(client.events().map(({ id }) => position(id))).toEqual([1]);
  });

  test("`resume: false` gives none, and the bytes are those of the server", async () => {
    const { call } = session({ resume: false });
    const server = serverStream();
    const client = reader(await call(1, server));
    const text = `event: message\r\ndata: ${JSON.stringify(progress(1))}\r\n\r\n: beat\n\n`;
    server.send(text);
    expect(client.state.text).toBe(text);
  });

  test("an event in pieces arrives whole, with every kind of line end", async () => {
    for (const end of ["\n", "\r\n", "\r"]) {
      const { call } = session({}, "2025-06-18");
      const server = serverStream();
      const client = reader(await call(1, server));
      const text = `id: x${end}data: ${JSON.stringify(progress(1))}${end}${end}`;
      for (const character of `\uFEFF${text}${text}`) server.send(character);
      server.end();
      const lines = client.state.text.split(/\r\n|\r|\n/);
      expect(lines.filter((line) => line.startsWith("data"))).toEqual(
        Array.from({ length: 2 }, () => `data: ${JSON.stringify(progress(1))}`),
      );
      expect(client.state.text).not.toContain("id: x");
    }
  });

  test("a stream that is whole with its response passes as it is", async () => {
    const { streams, call } = session();
    const text = `event: message\ndata: ${JSON.stringify(response(1))}\n\n`;
    const server = serverStream();
    (server.answer.body as unknown as { source: { whole(): Uint8Array } }).source.whole = () => Buffer.from(text);
    const client = reader(await call(1, server));
    expect([client.state.text, streams.active]).toEqual([text, 0]);
  });
});

describe("a client that comes back", () => {
  test("gets the tail of its stream, then what follows", async () => {
    const { call, get } = session();
    const server = serverStream();
    const first = reader(await call(1, server));
    server.message(progress(1));
    const lastId = first.lastId();
    server.message(progress(2));
    first.leave();
    server.message(progress(3));
    const second = reader(await get(lastId));
    expect(second.messages()).toEqual([progress(2), progress(3)]);
    server.message(response(1));
    server.end();
    expect(second.messages()).toEqual([progress(2), progress(3), response(1)]);
    expect(second.state.end).toBe("well");
  });

  test("gets a response that came while it was away, once, and is told that there is no more", async () => {
    const { call, get } = session();
    const server = serverStream();
    const first = reader(await call(1, server));
    const primed = first.lastId();
    first.leave();
    expect(server.state.aborted).toBe(false);
    server.message(response(1));
    server.end();
    const second = reader(await get(primed));
    expect([second.messages(), second.state.end]).toEqual([[response(1)], "well"]);
    expect((await get(second.lastId())).status).toBe(204);
    // The connection broke with the last bytes on it: they can be had again.
    expect(reader(await get(primed)).messages()).toEqual([response(1)]);
  });

  test("takes over from a connection that nobody has noticed to be dead", async () => {
    const { call, get } = session();
    const server = serverStream();
    const first = reader(await call(1, server));
    const second = reader(await get(first.lastId()));
    server.message(response(1));
    expect([first.messages(), first.state.end]).toEqual([[], "well"]);
    expect(second.messages()).toEqual([response(1)]);
  });

  test("gets nothing of other streams", async () => {
    const { call, get } = session();
    const one = serverStream();
    const two = serverStream();
    const first = reader(await call(1, one));
    reader(await call(2, two));
    one.message(progress(1));
    two.message(progress(2));
    first.leave();
    expect(reader(await get(first.events()[0]!.id)).messages()).toEqual([progress(1)]);
  });

  test.each([
    ["no id of ours", () => "server-7"],
    ["another session's", (id: string) => id.replace(/^p\.[\da-f]+/, "p.01234567")],
    ["a stream that never was", (id: string) => id.replace(/\.1\./, ".99.")],
    ["a position that never was", (id: string) => id.replace(/\d+$/, "99")],
    ["something behind it", (id: string) => `${id}x`],
    ["a stream of the other kind", (id: string) => id.replace(/^p/, "g").replace(/\.1\./, ".99.")],
    ["another request's", (id: string) => id.replace("MQ", "Mg")],
    [
      "no request's, of another process",
      (id: string) => id.replace(/\.[\da-f]{12}\./, ".0123456789ab.").replace("MQ", ""),
    ],
    ["what is no request's id", (id: string) => id.replace(/\.[\da-f]{12}\./, ".0123456789ab.").replace("MQ", "e30")],
  ])("is refused with %s", async (_what, forge) => {
    const { call, get, listens } = session();
    const client = reader(await call(1, serverStream()));
    await expect(get(forge(client.lastId()!))).rejects.toMatchObject({ code: "EVENT_NOT_FOUND" });
    expect(listens).toEqual([]);
  });

  test("after a restart of the proxy gets an error for its call, at once", async () => {
    const before = session();
    const client = reader(await before.call("a", serverStream()));
    const { get, listens } = session({}, "2025-11-25", before.id);
    const again = reader(await get(client.lastId()));
    expect(again.messages()).toMatchObject([{ id: "a", error: { data: { code: "ANSWER_LOST" } } }]);
    expect([again.state.end, listens]).toEqual(["well", []]);
  });

  test("is refused where the events are not kept any more", async () => {
    const { call, get } = session({ resume: { events: 3 } });
    const server = serverStream();
    const client = reader(await call(1, server));
    for (let n = 1; n <= 5; n++) server.message(progress(n));
    const id = (at: number) => client.events()[at]!.id;
    await expect(get(id(1))).rejects.toMatchObject({ code: "EVENT_NOT_FOUND" });
    expect(reader(await get(id(2))).messages()).toEqual([progress(3), progress(4), progress(5)]);
  });
});

describe("a client that stays away", () => {
  test("its server is read up to the bound, and goes on when it is back", async () => {
    const { call, get } = session({ resume: { events: 3 } });
    const server = serverStream();
    const first = reader(await call(1, server));
    first.leave();
    for (let n = 1; n <= 3; n++) server.message(progress(n));
    expect(server.state.paused).toBe(true);
    const second = reader(await get(first.lastId()));
    expect([second.messages().length, server.state.paused]).toEqual([3, false]);
  });

  test("by bytes too, and by those of the whole session", async () => {
    for (const limit of [{ streamBytes: 1000 }, { sessionBytes: 1000 }, { totalBytes: 1000 }]) {
      const { call } = session({ resume: limit });
      const server = serverStream();
      reader(await call(1, server)).leave();
      for (let n = 0; n < 20; n++) server.message(progress(n));
      expect(server.state.paused, JSON.stringify(limit)).toBe(true);
    }
  });

  test("its stream ends after a time, and its server is let go", async () => {
    const { streams, call, get } = session({ resume: { ttl: 1000 } });
    const server = serverStream();
    const client = reader(await call(1, server));
    client.leave();
    streams.check(performance.now() + 900);
    expect([server.state.aborted, streams.active]).toEqual([false, 1]);
    streams.check(performance.now() + 1100);
    expect([server.state.aborted, streams.active]).toEqual([true, 0]);
    await expect(get(client.lastId())).rejects.toMatchObject({ code: "EVENT_NOT_FOUND" });
  });

  test.each([
    ["without ids", { resume: false } as const, "2025-11-25"],
    ["before its first event id", {}, "2025-06-18"],
    ["with nothing kept", { resume: { ttl: 0 } }, "2025-11-25"],
  ])("at once %s: its server is let go, and not told to cancel", async (_what, options, version) => {
    const { streams, call, answers } = session(options, version);
    const server = serverStream();
    reader(await call(1, server)).leave();
    expect([server.state.aborted, streams.active, answers]).toEqual([true, 0, []]);
  });

  test("so many streams are kept: the oldest that has ended goes first", async () => {
    const { streams, call, get } = session({ resume: { streams: 2 } });
    const readers = [];
    for (let id = 1; id <= 4; id++) {
      const server = serverStream();
      const client = reader(await call(id, server));
      readers.push(client);
      if (id === 1) client.leave();
      else server.message(response(id));
      if (id !== 1) server.end();
    }
    const next = serverStream();
    reader(await call(5, next));
    next.message(progress(1));
    expect(streams.active).toBe(3);
    await expect(get(readers[1]!.events()[0]!.id)).rejects.toMatchObject({ code: "EVENT_NOT_FOUND" });
    reader(await get(readers[0]!.lastId()));
    reader(await get(readers[3]!.events()[0]!.id));
  });
});

describe("a client that reads slowly", () => {
  test("stops its server, which goes on with it", async () => {
    const { call } = session();
    const server = serverStream();
    const client = reader(await call(1, server));
    client.pause();
    const big = "x".repeat(10_000);
    for (let n = 0; n < 8; n++) server.message({ ...progress(n), big });
    expect(server.state.paused).toBe(true);
    client.resume();
    expect([client.messages().length, server.state.paused]).toEqual([8, false]);
  });
});

describe("a server that breaks off", () => {
  test("without an event id: the call gets an error, once, also for who comes back for it", async () => {
    const { call, get } = session();
    const server = serverStream();
    const client = reader(await call("a", server));
    server.message(progress(1));
    server.fail(GONE);
    expect(client.messages().at(-1)).toMatchObject({ id: "a", error: { data: { code: "UPSTREAM_BROKE" } } });
    expect(client.state.end).toMatchObject({ code: "UPSTREAM_BROKE" });
    expect((await get(client.lastId())).status).toBe(204);
    expect(reader(await get(client.events()[1]!.id)).messages()).toHaveLength(1);
  });

  test("a clean end without a response is an error too", async () => {
    const { call } = session();
    const server = serverStream();
    const client = reader(await call(12, server));
    server.end();
    expect(client.messages().at(-1)).toMatchObject({ id: 12, error: { data: { code: "UPSTREAM_BROKE" } } });
  });

  test("after its response: the client has all that it waits for", async () => {
    const { call } = session();
    const server = serverStream();
    const client = reader(await call(1, server));
    server.message(response(1));
    server.fail(GONE);
    expect([client.messages(), client.state.end]).toEqual([[response(1)], "well"]);
  });
});

describe("a call that the client has cancelled", () => {
  test("its stream ends soon, although neither side ends it, and nothing is wrong with that", async () => {
    const { streams, call, cancel, log } = session();
    const server = serverStream();
    const other = serverStream();
    const client = reader(await call("a", server));
    reader(await call("b", other));
    await cancel("a");
    streams.check(performance.now() + 4000);
    expect(client.state.end).toBeUndefined();
    streams.check(performance.now() + 6000);
    expect([client.state.end, client.messages(), server.state.aborted]).toEqual(["well", [], true]);
    expect([streams.active, other.state.aborted, log]).toEqual([1, false, []]);
  });

  test("a response that comes all the same passes; a server that ends the stream does so without an error", async () => {
    const { call, cancel } = session();
    for (const last of [response("a"), undefined]) {
      const server = serverStream();
      const client = reader(await call("a", server));
      await cancel("a");
      if (last) server.message(last);
      server.end();
      expect([client.state.end, client.messages()]).toEqual(["well", last ? [last] : []]);
    }
  });
});
