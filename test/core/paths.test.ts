import { describe, expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import { type PathClaim, PathTable } from "../../core/paths.ts";
import { random } from "./random.ts";

const claim = (path: string, owner = path, methods = "all"): PathClaim => ({
  path,
  methods,
  owner,
  access: "mount",
});
const sortedPaths = (paths: readonly string[]): string[] => {
  const table = new PathTable();
  for (const path of paths) table.claim(claim(path));
  return table.sorted().map(({ path }) => path);
};

describe("the path table", () => {
  test("puts the more specific path first, segment by segment", () => {
    const order = [
      "/docs/mcp",
      "/docs",
      "/docs/:tool",
      "/docs/**",
      "/mcp",
      "/:server/mcp",
      "/:server",
      "/:server/:tool",
      "/**",
    ];
    expect(sortedPaths(order.toReversed())).toEqual(order);
  });

  test("has the same order whatever order the claims came in", () => {
    const paths = ["/a/mcp", "/b/mcp", "/mcp", "/:x/mcp", "/a/**", "/a", "/", "/**", "/a/:b/c", "/a/b/:c", "/healthz"];
    const wanted = sortedPaths(paths);
    for (let seed = 1; seed <= 200; seed++) {
      const rnd = random(seed);
      const shuffled = paths
        .map((path) => [rnd.int(1e9), path] as const)
        .sort(([a], [b]) => a - b)
        .map(([, path]) => path);
      expect(sortedPaths(shuffled), `SEED=${seed}`).toEqual(wanted);
    }
  });

  test.each([
    ["/mcp", "/mcp"],
    ["/mcp", "/mcp/"],
    ["/:a/mcp", "/:b/mcp"],
    ["/a/**", "/a/**:rest"],
    ["/", "/"],
    ["/a/*", "/a/:b"],
  ])("refuses %s beside %s, in either order, and names both owners", (one, other) => {
    for (const [first, second] of [
      [one, other],
      [other, one],
    ] as const) {
      const table = new PathTable();
      table.claim(claim(first, "server 'a'"));
      expect(() => table.claim(claim(second, "plugin 'b'"))).toThrow(
        expect.objectContaining({
          code: "PATH_TAKEN",
          message: expect.stringMatching(/claimed by server 'a' and by plugin 'b'/),
        }),
      );
    }
  });

  test("lets one path have several owners where the methods differ", () => {
    const table = new PathTable();
    table.claim(claim("/x", "a", "GET"));
    table.claim(claim("/x", "b", "POST"));
    expect(() => table.claim(claim("/x", "c", "GET"))).toThrow("claimed by a and by c");
    expect(() => table.claim(claim("/x", "d"))).toThrow("claimed by a and by d");
  });
});

describe("two servers on one path", () => {
  const url = "http://127.0.0.1:9/mcp";
  test.each([[["/x", "/x"]], [["/x", "/x/"]], [["/:a/mcp", "/:b/mcp"]]])("stop the start: %j", ([one, other]) => {
    expect(() => createPenstock({ servers: { a: { url, path: one }, b: { url, path: other } } })).toThrow(
      "is claimed by server 'a' and by server 'b'",
    );
  });

  test("are told apart by the more specific path, whichever was written first", async () => {
    for (const names of [
      ["wide", "narrow"],
      ["narrow", "wide"],
    ]) {
      const paths: Record<string, string> = { wide: "/:any/mcp", narrow: "/a/mcp" };
      const penstock = createPenstock({
        servers: Object.fromEntries(names.map((name) => [name, { url: "http://127.0.0.1:1/mcp", path: paths[name]! }])),
      });
      const served = async (path: string) =>
        (await (await penstock.fetch(new Request(`http://x${path}`))).text()).match(/server '(\w+)'/i)?.[1];
      expect([await served("/a/mcp"), await served("/b/mcp")]).toEqual(["narrow", "wide"]);
      await penstock.close();
    }
  });
});
