import { createPenstock } from "mcp-penstock";
import { mounts } from "../_harness/plugins.ts";
import { standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { startNaiveRelay } from "../_harness/naive-relay.ts";
import { rawServer } from "../_harness/peers.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { idOf } from "../_harness/scripted.ts";
import { rawSse } from "../_harness/sse-client.ts";
import { call, jsonAnswer } from "../_harness/wire.ts";

const use = testScope();
const URL = "http://127.0.0.1:1/mcp";

/** A server that answers with its own name. */
async function named(name: string) {
  return use(
    rawServer(async (connection) => {
      for await (const request of connection.requests())
        if (request.method === "POST")
          connection.send(jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":${JSON.stringify(name)}}`));
    }),
  );
}

async function ask(url: string): Promise<[status: number, body: unknown]> {
  const answer = await fetch(url, {
    method: "POST",
    body: call(),
    headers: { "content-type": "application/json" },
    redirect: "manual",
  });
  return [answer.status, await answer.json()];
}

function permutations<T>(list: readonly T[]): T[][] {
  return list.length < 2
    ? [[...list]]
    : list.flatMap((one, i) => permutations(list.toSpliced(i, 1)).map((rest) => [one, ...rest]));
}

const ROOTS = ["/", "/**"];
const ORDERS = permutations(["root", "events", "docs"]);

describe.each(ROOTS)("%s beside /sse and /{server}/mcp", (root) => {
  test.each(ORDERS)("written as %s, %s, %s: each is served by its own server", async (...order) => {
    const paths: Record<string, object> = { root: { path: root }, events: { path: "/sse" }, docs: {} };
    const servers: Record<string, object> = {};
    for (const name of order) servers[name] = { url: (await named(name)).url, ...paths[name] };
    const { url } = await use(startProxy({ servers, plugins: [standard()] }));
    expect(await ask(`${url}/`)).toMatchObject([200, { result: "root" }]);
    expect(await ask(`${url}/sse`)).toMatchObject([200, { result: "events" }]);
    expect(await ask(`${url}/docs/mcp`)).toMatchObject([200, { result: "docs" }]);
    if (root === "/**") expect(await ask(`${url}/anything/else`)).toMatchObject([200, { result: "root" }]);
    else expect((await ask(`${url}/anything/else`))[0]).toBe(404);
  });

  test("the table is the same in every order", () => {
    const tables = ORDERS.map((order) => {
      const paths: Record<string, object> = { root: { path: root }, events: { path: "/sse" }, docs: {} };
      const servers = Object.fromEntries(order.map((name) => [name, { url: URL, ...paths[name] }]));
      return createPenstock({ servers, plugins: [mounts()] }).paths.map(({ path }) => path);
    });
    for (const table of tables) expect(table).toEqual(tables[0]);
    expect(new Set(tables[0])).toEqual(new Set([root, "/sse", "/docs/mcp", "/docs/sse", "/docs/messages"]));
  });
});

describe.each(ROOTS)("%s, another server's /sse for HTTP+SSE clients, and /{server}/mcp", (root) => {
  test.each(ORDERS)("written as %s, %s, %s: each is served by its own server", async (...order) => {
    const paths: Record<string, object> = { root: { path: root }, events: { ssePath: "/sse", path: "/e" }, docs: {} };
    const servers: Record<string, object> = {};
    for (const name of order) servers[name] = { url: (await named(name)).url, ...paths[name] };
    const { url } = await use(startProxy({ servers, plugins: [standard()] }));
    const port = Number(url.split(":").at(-1));
    for (const [path, endpoint, name] of [
      ["/sse", "/messages", "events"],
      ["/docs/sse", "/docs/messages", "docs"],
    ] as const) {
      const client = await rawSse(use, port, { path });
      expect(client.endpoint.split("?")[0]).toBe(endpoint);
      await client.post(call());
      expect(await client.message('"id":1')).toMatchObject({ result: name });
    }
    expect(await ask(`${url}/`)).toMatchObject([200, { result: "root" }]);
    expect(await ask(`${url}/docs/mcp`)).toMatchObject([200, { result: "docs" }]);
    expect((await ask(`${url}/sse`))[0]).toBe(405);
  });
});

test("the founding failure: in the naive relay a catch-all that was written first takes everything", async () => {
  const [root, events] = [await named("root"), await named("events")];
  const wrong = await use(
    startNaiveRelay([
      ["/", root.url],
      ["/sse", events.url],
    ]),
  );
  expect(await ask(`${wrong.url}/sse`)).toMatchObject([200, { result: "root" }]);
  const right = await use(
    startNaiveRelay([
      ["/sse", events.url],
      ["/", root.url],
    ]),
  );
  expect(await ask(`${right.url}/sse`)).toMatchObject([200, { result: "events" }]);
});

describe("paths", () => {
  test("a trailing slash is the same path, without a redirect", async () => {
    const { url } = await use(
      startProxy({ servers: { docs: { url: (await named("docs")).url } }, plugins: [standard()] }),
    );
    for (const path of ["/docs/mcp", "/docs/mcp/", "/mcp", "/mcp/", "/docs/mcp?x=1"])
      expect(await ask(url + path)).toMatchObject([200, { result: "docs" }]);
  });

  test("a path that is written with a trailing slash is the same as without", async () => {
    const { url } = await use(
      startProxy({ servers: { docs: { url: (await named("docs")).url, path: "/d/" } }, plugins: [] }),
    );
    for (const path of ["/d", "/d/"]) expect(await ask(url + path)).toMatchObject([200, { result: "docs" }]);
  });

  test("a lone server is at /mcp too; with several, /mcp is 404 JSON", async () => {
    const [docs, wiki] = [(await named("docs")).url, (await named("wiki")).url];
    const lone = await use(startProxy({ servers: { docs: { url: docs } }, plugins: [standard()] }));
    expect(await ask(`${lone.url}/mcp`)).toMatchObject([200, { result: "docs" }]);
    const two = await use(startProxy({ servers: { docs: { url: docs }, wiki: { url: wiki } }, plugins: [standard()] }));
    expect(await ask(`${two.url}/mcp`)).toMatchObject([
      404,
      { jsonrpc: "2.0", error: { data: { code: "NOT_FOUND" } } },
    ]);
    expect(await ask(`${two.url}/wiki/mcp`)).toMatchObject([200, { result: "wiki" }]);
  });

  test("the template and the lone path are options, and an own path wins over both", () => {
    const pathsOf = (options: object, server: object = {}) =>
      createPenstock({ servers: { docs: { url: URL, ...server } }, plugins: [mounts(options)] }).mounts[0]!.paths;
    expect(pathsOf({})).toEqual(["/docs/mcp", "/mcp"]);
    expect(pathsOf({ path: "/v1/{server}" })).toEqual(["/v1/docs", "/mcp"]);
    expect(pathsOf({ lonePath: false })).toEqual(["/docs/mcp"]);
    expect(pathsOf({}, { path: ["/a", "/b"] })).toEqual(["/a", "/b"]);
    expect(() => mounts({ path: "/all" })).toThrow("{server}");
  });

  test("HTTP+SSE paths: a template, a lone path, and what the configuration says itself", () => {
    const ssePathsOf = (options: object, servers: Record<string, object> = { docs: {} }) =>
      createPenstock({
        servers: Object.fromEntries(Object.entries(servers).map(([name, server]) => [name, { url: URL, ...server }])),
        plugins: [mounts(options)],
      }).mounts[0]!.ssePaths;
    expect(ssePathsOf({})).toEqual(["/docs/sse", "/sse"]);
    expect(ssePathsOf({}, { docs: {}, wiki: {} })).toEqual(["/docs/sse"]);
    expect(ssePathsOf({ ssePath: "/sse/{server}", loneSsePath: false })).toEqual(["/sse/docs"]);
    expect(ssePathsOf({ ssePath: false, loneSsePath: false })).toEqual([]);
    expect(ssePathsOf({}, { docs: { ssePath: "/events" } })).toEqual(["/events"]);
    expect(ssePathsOf({}, { docs: { path: "/mcp" } })).toEqual([]);
    // What is written down for something else stays there.
    expect(ssePathsOf({}, { docs: {}, other: { path: "/docs/sse" } })).toEqual([]);
    expect(ssePathsOf({}, { docs: {}, other: { path: "/docs/messages/" } })).toEqual([]);
    expect(() => mounts({ ssePath: "/sse" })).toThrow("{server}");
  });

  test.each(["/a/:name", "/**", "/", "sse", "/a b"])("%s is no path for HTTP+SSE clients", (ssePath) => {
    expect(() => createPenstock({ servers: { docs: { url: URL, path: "/x", ssePath } }, plugins: [] })).toThrow(
      /servers\.docs\.ssePath/,
    );
  });
});

describe("two claims on one path stop the start", () => {
  test.each([
    ["the same path", { a: { path: "/x" }, b: { path: "/x" } }, ["/x", "server 'a'", "server 'b'"]],
    ["a trailing slash", { a: { path: "/x" }, b: { path: "/x/" } }, ["/x", "server 'a'", "server 'b'"]],
    [
      "parameters of two names",
      { a: { path: "/:one/x" }, b: { path: "/:two/x" } },
      ["/:two/x", "server 'a'", "server 'b'"],
    ],
    ["an own path and a template", { a: {}, b: { path: "/a/mcp" } }, ["/a/mcp", "server 'a'", "server 'b'"]],
    ["two catch-alls", { a: { path: "/**" }, b: { path: "/**:rest" } }, ["/**", "server 'a'", "server 'b'"]],
    [
      "the messages of two streams",
      { a: { path: "/x", ssePath: "/a" }, b: { path: "/y", ssePath: "/b" } },
      ["/messages", "server 'a'", "server 'b'"],
    ],
    ["a stream and its own mount", { a: { path: "/x", ssePath: "/x" } }, ["/x", "server 'a'"]],
  ])("%s", (_what, paths, words) => {
    const servers = Object.fromEntries(Object.entries(paths).map(([name, server]) => [name, { url: URL, ...server }]));
    const start = () => createPenstock({ servers, plugins: [mounts()] });
    for (const word of words) expect(start).toThrow(word);
  });

  test("a plugin's route against a server's path: both are named, whoever comes first", async () => {
    const plugin = {
      name: "status-page",
      setup: (app: { route(route: object): void }) =>
        app.route({ method: "GET", path: "/docs/mcp", access: "public", handler() {} }),
    };
    const penstock = createPenstock({ servers: { docs: { url: URL } }, plugins: [mounts(), plugin as never] });
    await expect(penstock.ready()).rejects.toThrow(/server 'docs'.*plugin 'status-page'/);
  });
});

describe("names as path segments", () => {
  const pathOf = (name: string) =>
    createPenstock({ servers: { [name]: { url: URL }, other: { url: URL } }, plugins: [mounts()] }).mounts[0]!.path;

  test.each([
    ["Docs", "/Docs/mcp"],
    ["a.b_c~d-1", "/a.b_c~d-1/mcp"],
    ["My Docs (v2)", "/my-docs-v2/mcp"],
    ["Über/Wiki", "/uber-wiki/mcp"],
    ["mcp", "/mcp/mcp"],
  ])("%s is served at %s", (name, path) => expect(pathOf(name)).toBe(path));

  test.each([".", "..", "日本", " "])("%j makes no path: the start stops and asks for one", (name) => {
    expect(() => pathOf(name)).toThrow(/Give this server a path/);
  });

  test("two names with one segment stop the start, and both are named", () => {
    const servers = { "My Docs": { url: URL }, "my docs": { url: URL } };
    expect(() => createPenstock({ servers, plugins: [mounts()] })).toThrow(/'My Docs' and 'my docs'.*"my-docs"/);
  });
});
