/** What a client that does not read, or asks for too much, costs. */
import { describe, expect, test } from "vitest";
import type { StreamBody } from "../../core/body/body.ts";
import { ChangeStream } from "../../plugins/bridge/change-stream.ts";
import { ChangeFilter, stamp, unstamp } from "../../plugins/bridge/changes.ts";
import type { ServerLease } from "../../plugins/bridge/to-legacy/lease.ts";
import { Listening } from "../../plugins/bridge/to-legacy/listening.ts";

/** A session that subscribes to everything, and never says anything. */
const LEASE = {
  capabilities: { tools: { listChanged: true }, resources: { subscribe: true } },
  hasStream: true,
  hold: async () => () => {},
  onNotification: () => () => {},
  onGap: () => () => {},
  request: async () => ({ jsonrpc: "2.0", id: 1, result: {} }),
} as unknown as ServerLease;

async function textOf({ body }: { body: unknown }): Promise<string> {
  return Buffer.from((body as { bytes: Uint8Array }).bytes).toString();
}

describe("subscriptions at one server", () => {
  test("are 1024 at most; one that ends makes room", async () => {
    const listening = new Listening("one");
    const listen = () => listening.listen("1", { toolsListChanged: true }, async () => LEASE);
    const answers = await Promise.all(Array.from({ length: 1024 }, listen));
    expect(listening.size).toBe(1024);
    expect(JSON.parse(await textOf(await listen()))).toMatchObject({ id: 1, error: { code: -32_603 } });
    (answers[0]!.body as StreamBody).source.abort();
    expect((await listen()).headers.get("content-type")).toBe("text/event-stream");
    listening.close();
  });

  test("a session that cannot be had takes no room", async () => {
    const listening = new Listening("one");
    await expect(listening.listen("1", {}, () => Promise.reject(new Error("down")))).rejects.toThrow("down");
    await listening.listen("1", { promptsListChanged: true }, async () => LEASE);
    expect(listening.size).toBe(0);
  });

  test("name 1000 resources at most", async () => {
    const listening = new Listening("one");
    const resourceSubscriptions = Array.from({ length: 1001 }, (_, i) => `file:///${i}`);
    const answer = await listening.listen("1", { resourceSubscriptions }, async () => LEASE);
    expect(JSON.parse(await textOf(answer))).toMatchObject({ error: { code: -32_602 } });
  });
});

describe("a stream of changes", () => {
  /** Reads until it is told to stop. */
  function reader(stream: ChangeStream, left = () => {}) {
    const { source } = stream.open(left).body as StreamBody;
    const got: string[] = [];
    source.start({
      data: (chunk) => void got.push(Buffer.from(chunk).toString()),
      end: () => got.push("<end>"),
      fail() {},
    });
    return { source, text: () => got.join("") };
  }

  test("keeps one of a kind while its reader is slow, and all kinds in order", () => {
    const stream = new ChangeStream();
    const { source, text } = reader(stream);
    source.pause();
    const large = Buffer.from(`"${"x".repeat(300_000)}"`);
    stream.push("large", large);
    for (let i = 0; i < 10_000; i++) stream.push(`kind ${i % 2}`, Buffer.from(`[${i}]`));
    source.resume();
    expect(
      text()
        .slice(large.length)
        .match(/\[\d+\]/g),
    ).toEqual(["[9998]", "[9999]"]);
    stream.push("kind 0", Buffer.from("[10000]"));
    expect(text()).toContain("[10000]");
  });

  test("keeps for whoever comes next, and no more than a thousand kinds", () => {
    const stream = new ChangeStream();
    let left = 0;
    const first = reader(stream, () => left++);
    first.source.abort();
    expect([left, stream.isOpen]).toEqual([1, false]);
    for (let i = 0; i < 1500; i++) stream.push(`kind ${i}`, Buffer.from(`[${i}]`));
    const second = reader(stream, () => left++);
    expect(second.text().match(/\[\d+\]/g)).toHaveLength(1000);
    expect(second.text()).toContain("[1499]");
    const third = reader(stream);
    expect([second.text().endsWith("<end>"), third.text(), left]).toEqual([true, "", 1]);
  });
});

test("a notification gets and loses its subscription, and nothing else changes", () => {
  const text = '{"jsonrpc":"2.0","method":"x","params":{"uri":"a","n":12345678901234567890,"_meta":{"k":1e3}}}';
  const stamped = stamp(Buffer.from(text), "98765432109876543210");
  expect(stamped.toString()).toBe(
    '{"jsonrpc":"2.0","method":"x","params":{"uri":"a","n":12345678901234567890,"_meta":{"k":1e3,"io.modelcontextprotocol/subscriptionId":98765432109876543210}}}',
  );
  expect(unstamp(stamped).toString()).toBe(text);
  const bare = '{"jsonrpc":"2.0","method":"x"}';
  expect(unstamp(stamp(Buffer.from(bare), '"l"')).toString()).toBe(bare);
});

test.each([
  ["file:///a", "file:///a", true],
  ["file:///a", "file:///a/b", true],
  ["file:///a", "file:///a#b", true],
  ["file:///a/", "file:///a/b", true],
  ["file:///a", "file:///ab", false],
  ["file:///a/b", "file:///a", false],
])("a subscription to %s tells of %s: %s", (subscribed, uri, tells) => {
  expect(new ChangeFilter([], [subscribed]).hasUri(uri)).toBe(tells);
});
