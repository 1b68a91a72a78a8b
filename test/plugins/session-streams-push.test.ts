/** The stream that a GET opens, and streams of a server that are resumed. */
import { describe, expect, test, vi } from "vitest";
import { ProxyError, empty, json } from "../../core/index.ts";
import { progress, reader, response, serverStream, session, until } from "./session-streams-fixture.ts";

const GONE = new ProxyError("UPSTREAM_BROKE");
const changed = { jsonrpc: "2.0", method: "notifications/tools/list_changed" };

describe("the stream of a GET", () => {
  test("is opened with the client's, and stays while the client is away for a moment", async () => {
    const { get, listens, script, streams } = session();
    const server = serverStream();
    script.push(() => server.answer);
    const first = reader(await get());
    server.message(changed);
    expect(first.messages()).toEqual([changed]);
    first.leave();
    server.message(progress(1));
    const second = reader(await get(first.lastId()));
    expect([second.messages(), listens.length]).toEqual([[progress(1)], 1]);
    streams.end();
    expect([second.state.end, server.state.aborted, streams.active]).toEqual(["well", true, 0]);
  });

  test("a second one takes over 100 times: the one before ends well, the server sees one", async () => {
    const { get, listens, script } = session();
    const server = serverStream();
    script.push(() => server.answer);
    let before = reader(await get());
    for (let n = 1; n <= 100; n++) {
      const next = reader(await get());
      server.message(progress(n));
      expect([before.state.end, next.messages()]).toEqual(["well", [progress(n)]]);
      before = next;
    }
    expect([listens.length, server.state.aborted]).toEqual([1, false]);
  });

  test("of 100 at once one asks the server, and one of them reads", async () => {
    const { get, listens, script } = session();
    const server = serverStream();
    let opened!: () => void;
    const held = new Promise<void>((resolve) => (opened = resolve));
    script.push(async () => {
      await held;
      return server.answer;
    });
    const opening = Array.from({ length: 100 }, () => get());
    opened();
    const readers = (await Promise.all(opening)).map((answer) => reader(answer));
    server.message(changed);
    expect(listens.length).toBe(1);
    expect(readers.filter(({ state }) => state.end === "well")).toHaveLength(99);
    expect(readers.filter((each) => each.messages().length === 1)).toHaveLength(1);
  });

  test("a refusal is the client's answer, and the next GET asks anew", async () => {
    const { get, listens, script, streams } = session();
    const server = serverStream();
    script.push(
      () => empty(405),
      () => Promise.reject(GONE),
      () => server.answer,
    );
    expect((await get()).status).toBe(405);
    await expect(get()).rejects.toBe(GONE);
    expect((await get()).status).toBe(200);
    expect([listens.length, streams.active]).toEqual([3, 1]);
  });

  test("what came while nobody read is for the next one, with or without an event id", async () => {
    const { get, script } = session();
    const server = serverStream();
    script.push(() => server.answer);
    const first = reader(await get());
    first.leave();
    server.message(changed);
    expect(reader(await get()).messages()).toEqual([changed]);
  });

  test("an event id of before a restart opens a fresh stream; one of this process that is over too", async () => {
    const before = session();
    const old = serverStream();
    before.script.push(() => old.answer);
    const lastId = reader(await before.get()).lastId();
    const { get, script, listens, streams } = session({ resume: { ttl: 10 } }, "2025-11-25", before.id);
    script.push(() => serverStream().answer);
    const client = reader(await get(lastId));
    expect(listens).toMatchObject([{ lastEventId: undefined }]);
    client.leave();
    streams.check(performance.now() + 20);
    reader(await get(client.lastId()));
    expect(listens).toHaveLength(2);
    await expect(session().get(lastId)).rejects.toMatchObject({ code: "EVENT_NOT_FOUND" });
  });

  test("without resumption the server's ends with the client's", async () => {
    const { get, script, streams } = session({ resume: false });
    const server = serverStream();
    script.push(() => server.answer);
    reader(await get()).leave();
    expect([server.state.aborted, streams.active]).toEqual([true, 0]);
  });
});

describe("a server's stream that ends", () => {
  test("is opened again while the client's stays, with its last event id, after longer and longer waits", async () => {
    vi.useFakeTimers();
    try {
      const { get, script, listens } = session();
      const first = serverStream();
      script.push(() => first.answer);
      const client = reader(await get());
      first.message(changed, "id: s-1\n");
      script.splice(0, 1, () => Promise.reject(GONE));
      first.end();
      await vi.advanceTimersByTimeAsync(999);
      expect(listens.length).toBe(1);
      await vi.advanceTimersByTimeAsync(1);
      expect(listens.length).toBe(2);
      await vi.advanceTimersByTimeAsync(60_000);
      const tries = listens.length;
      expect(tries).toBeGreaterThan(4);
      expect(tries).toBeLessThan(10);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(listens.length).toBeLessThanOrEqual(tries + 4);
      expect(listens.slice(1).every(({ lastEventId }) => lastEventId === "s-1")).toBe(true);
      const second = serverStream();
      script.splice(0, 1, () => second.answer);
      await vi.advanceTimersByTimeAsync(30_000);
      second.message(progress(1));
      expect([client.messages(), client.state.end]).toEqual([[changed, progress(1)], undefined]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("is not asked for again where the server offers none any more", async () => {
    vi.useFakeTimers();
    try {
      const { get, script, listens } = session();
      const first = serverStream();
      script.push(
        () => first.answer,
        () => empty(405),
      );
      const client = reader(await get());
      first.end();
      await vi.advanceTimersByTimeAsync(600_000);
      expect([listens.length, client.state.end]).toEqual([2, undefined]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("is opened on the new session at once, without the old event id", async () => {
    const { get, script, listens, streams } = session();
    const first = serverStream();
    const second = serverStream();
    script.push(
      () => first.answer,
      () => second.answer,
    );
    const client = reader(await get());
    first.message(changed, "id: s-1\n");
    streams.renewed();
    await until(() => expect(listens).toHaveLength(2));
    expect([listens[1]!.lastEventId, first.state.aborted]).toEqual([undefined, true]);
    first.message(progress(1));
    second.message(progress(2));
    await until(() => expect(client.messages()).toEqual([changed, progress(2)]));
    expect(client.state.end).toBeUndefined();
  });
});

describe("a call whose stream is resumed from its server", () => {
  test("after the wait that it named; the client sees one stream, and none of it twice", async () => {
    const { call, script, listens } = session();
    const first = serverStream();
    const second = serverStream();
    script.push(() => second.answer);
    const client = reader(await call(1, first));
    first.send("id: s-0\nretry: 20\ndata: \n\n");
    first.message(progress(1), "id: s-1\n");
    first.end();
    await until(() => expect(listens).toMatchObject([{ lastEventId: "s-1" }]));
    second.message(response(1), "id: s-2\n");
    second.end();
    await until(() => expect(client.state.end).toBe("well"));
    expect(client.messages()).toEqual([progress(1), response(1)]);
    expect(client.state.text).not.toContain("retry");
  });

  test("as often as a polling server ends it, also without a new event", async () => {
    const { call, script, listens } = session();
    const first = serverStream();
    const last = serverStream();
    for (let n = 0; n < 8; n++)
      script.push(() => {
        const server = serverStream();
        server.end();
        return server.answer;
      });
    script.push(() => last.answer);
    const client = reader(await call(1, first));
    first.send("id: s-0\nretry: 1\ndata: \n\n");
    first.end();
    await until(() => expect(listens).toHaveLength(9));
    last.message(response(1));
    last.end();
    await until(() => expect(client.messages()).toEqual([response(1)]));
  });

  test.each([
    ["HTTP 400", () => json({}, 400)],
    ["no such session", () => Promise.reject(new ProxyError("SESSION_NOT_FOUND"))],
  ])("is over where the server does not know it: %s", async (_what, refusal) => {
    const { call, script, listens } = session();
    const first = serverStream();
    script.push(refusal);
    const client = reader(await call(1, first));
    first.send("id: s-0\nretry: 1\ndata: \n\n");
    first.fail(GONE);
    await until(() => expect(client.state.end).toMatchObject({ code: "UPSTREAM_BROKE" }));
    expect(client.messages()).toMatchObject([{ id: 1, error: { data: { code: "UPSTREAM_BROKE" } } }]);
    expect(listens).toHaveLength(1);
  });

  test("is given up after a few attempts that fail", async () => {
    vi.useFakeTimers();
    try {
      const { call, script, listens } = session();
      const first = serverStream();
      script.push(() => Promise.reject(GONE));
      const client = reader(await call(1, first));
      first.send("id: s-0\nretry: 1\ndata: \n\n");
      first.fail(GONE);
      await vi.advanceTimersByTimeAsync(300_000);
      expect(listens).toHaveLength(5);
      expect(client.state.end).toMatchObject({ code: "UPSTREAM_BROKE" });
    } finally {
      vi.useRealTimers();
    }
  });

  test("is not resumed on another session", async () => {
    const { call, listens, streams } = session();
    const first = serverStream();
    const client = reader(await call(1, first));
    first.send("id: s-0\nretry: 1\ndata: \n\n");
    streams.renewed();
    first.fail(GONE);
    expect(client.state.end).toMatchObject({ code: "UPSTREAM_BROKE" });
    expect(listens).toEqual([]);
  });
});
