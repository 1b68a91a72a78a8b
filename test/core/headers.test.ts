import { describe, expect, test } from "vitest";
import { HeaderList, connectionOptions, HOP_BY_HOP } from "../../core/headers.ts";
import { type Random, withSeeds } from "./random.ts";

const NAMES = ["accept", "Accept", "X-Trace", "x-trace", "mcp-session-id", "MCP-Session-Id", "vary"];
const VALUES = ["", "a", "a, b", "é", "x=1; y=2", "0"];

/** The same random calls on both; returns what they answered. */
function drive(rnd: Random, both: readonly Headers[]): unknown[][] {
  const answers: unknown[][] = both.map(() => []);
  for (let n = rnd.int(30); n >= 0; n--) {
    const [call, name, value] = [
      rnd.pick(["get", "has", "set", "append", "delete"] as const),
      rnd.pick(NAMES),
      rnd.pick(VALUES),
    ];
    both.forEach((headers, i) =>
      answers[i]!.push(call === "set" || call === "append" ? headers[call](name, value) : headers[call](name)),
    );
  }
  return answers;
}
/** One entry per name: native `Headers` join repeated fields and sort, a `HeaderList` keeps them as they came. */
const joined = (headers: Headers) =>
  [...new Set([...headers].map(([name]) => name))].sort().map((name) => [name, headers.get(name)]);

describe("a HeaderList is a Headers", () => {
  test("to every sequence of get, has, set, append and delete", () => {
    withSeeds(2000, (rnd) => {
      const [mine, native] = [new HeaderList(), new Headers()];
      const [answers, wanted] = drive(rnd, [mine, native]);
      expect(answers).toEqual(wanted);
      expect(joined(mine)).toEqual([...native]);
    });
  });

  test("whose entries, keys, values and forEach tell the same", () => {
    const list = HeaderList.from([
      ["B", "1"],
      ["a", "2"],
      ["b", "3"],
    ]);
    const entries = [
      ["b", "1"],
      ["a", "2"],
      ["b", "3"],
    ];
    expect([...list]).toEqual(entries);
    expect([...list.entries()]).toEqual(entries);
    expect([...list.keys()]).toEqual(["b", "a", "b"]);
    expect([...list.values()]).toEqual(["1", "2", "3"]);
    const seen: unknown[] = [];
    list.forEach((value, name, parent) => seen.push([name, value, parent === list]));
    expect(seen).toEqual(entries.map(([name, value]) => [name, value, true]));
    expect(list.toPairs()).toEqual(entries);
  });

  test("that keeps cookies apart, as getSetCookie must", () => {
    const list = HeaderList.from([
      ["set-cookie", "a=1"],
      ["x", "y"],
      ["Set-Cookie", "b=2"],
    ]);
    expect(list.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(new Response(null, { headers: list.toPairs() }).headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  });

  test.each([
    ["an object", { "X-A": "1", b: "2" }],
    [
      "pairs",
      [
        ["X-A", "1"],
        ["b", "2"],
      ] as [string, string][],
    ],
    ["native Headers", new Headers({ "X-A": "1", b: "2" })],
    ["another list", HeaderList.from({ "X-A": "1", b: "2" })],
  ])("made from %s", (_, init) => {
    expect([...HeaderList.from(init)].sort()).toEqual([
      ["b", "2"],
      ["x-a", "1"],
    ]);
  });

  test("of its own: changing a copy leaves the original alone", () => {
    const original = HeaderList.from({ a: "1" });
    HeaderList.from(original).set("a", "2");
    expect(original.get("a")).toBe("1");
  });

  test("that set() leaves in place of the first of several", () => {
    const list = HeaderList.from([
      ["a", "1"],
      ["b", "2"],
      ["a", "3"],
    ]);
    list.set("A", "4");
    expect(list.toPairs()).toEqual([
      ["a", "4"],
      ["b", "2"],
    ]);
  });
});

describe("a HeaderList refuses what would forge a field", () => {
  test.each(["a\r\nx: y", "a\n", "a\rb", "a\0b"])("the value %j", (value) => {
    const list = new HeaderList();
    expect(() => list.set("a", value)).toThrow(TypeError);
    expect(() => list.append("a", value)).toThrow(TypeError);
    expect(() => HeaderList.from({ a: value })).toThrow(TypeError);
    expect(list.flat).toEqual([]);
  });

  test.each(["", "a b", "a:", "a\n", "é", "a\0"])("the name %j", (name) => {
    expect(() => new HeaderList().set(name, "x")).toThrow(TypeError);
    expect(() => new Headers().set(name, "x")).toThrow(TypeError);
  });

  test("without telling the value, which may be a secret", () => {
    expect(() => new HeaderList().set("authorization", "Bearer s3cret\n")).toThrow(/^(?!.*s3cret)/);
  });
});

test("hop-by-hop fields are the ones of RFC 9110, and those that Connection names", () => {
  expect(
    ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"].every((name) => HOP_BY_HOP.has(name)),
  ).toBe(true);
  expect(["mcp-session-id", "content-type", "authorization"].some((name) => HOP_BY_HOP.has(name))).toBe(false);
  const names = connectionOptions("Keep-Alive, X-Internal ,close");
  expect([...connectionOptions("x-more", names)!]).toEqual(["keep-alive", "x-internal", "close", "x-more"]);
  for (const none of ["", "close", "keep-alive"]) expect(connectionOptions(none)).toBe(undefined);
});
