/** A configuration that is wrong, or open by mistake, does not start; an empty list denies. */
import { pathToFileURL } from "node:url";
import { hostGuard, mounts, standard, toolFilter } from "../_harness/plugins.ts";
import { runCli, startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { call, jsonAnswer } from "../_harness/wire.ts";
import { folderWith } from "../core/files.ts";
import { describe, expect, test } from "vitest";
import { asking } from "./asking.ts";

const use = testScope();
const url = "http://127.0.0.1:9/mcp";
const a = { url };

describe("CF-01 an empty list denies", () => {
  async function start(plugins: readonly object[], answer = "{}") {
    const upstream = await scripted(() => jsonAnswer(answer));
    await use(upstream.server);
    const proxy = await use(startProxy({ servers: { a: { url: `${upstream.server.url}/mcp` } }, plugins }));
    return { upstream, ask: asking(use, Number(new URL(proxy.url).port)) };
  }

  test("of hosts, or of origins", async () => {
    const hosts = await start([mounts(), hostGuard({ hosts: [] })]);
    expect((await hosts.ask()).status).toBe(403);
    const origins = await start([mounts(), hostGuard({ origins: [] })]);
    expect((await origins.ask({ fields: ["origin: http://localhost"] })).status).toBe(403);
    expect([...hosts.upstream.seen, ...origins.upstream.seen]).toEqual([]);
  });

  test("of tools", async () => {
    const result = '{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}';
    const { ask, upstream } = await start(
      [mounts(), toolFilter({ allow: [] })],
      `{"jsonrpc":"2.0","id":1,"result":${result}}`,
    );
    expect(JSON.parse((await ask()).body)).toMatchObject({ result: { tools: [] } });
    const called = await ask({ body: call(2, "tools/call", '{"name":"echo","arguments":{}}') });
    expect(JSON.parse(called.body)).toMatchObject({ id: 2, error: { message: "Unknown tool: echo" } });
    expect(upstream.seen).toEqual(["POST tools/list"]);
  });
});

const dist = (name: string) => pathToFileURL(`dist/plugins/${name}.mjs`).href;
const keyed = (key: string) =>
  `import { apiKeys } from "${dist("api-keys")}"; export default { servers: { a: { url: "${url}" } }, port: 0, plugins: [apiKeys({ keys: { ci: ${key} } })] };`;

describe("CF-01 the start stops with exit code 1, and says precisely why", () => {
  test.each<[string, object | string, RegExp[]]>([
    [
      "unknown keys and typing errors, all of them at once",
      { servers: { a: { ...a, authh: "x", path: [] } }, prot: 1, allowUnauthenticated: "flase" },
      [
        /^ {2}- prot: unknown key\. Allowed are servers, plugins, port,/m,
        /^ {2}- servers\.a\.authh: unknown key\. Allowed are url, transport,/m,
        /^ {2}- servers\.a\.path: found a list; allowed is at least one path\.$/m,
        /^ {2}- allowUnauthenticated: found "flase"; allowed is true or false\.$/m,
      ],
    ],
    [
      "a bind that others reach, without a plugin that asks callers",
      { servers: { a }, host: "0.0.0.0" },
      [/host: "0\.0\.0\.0" can be reached from other machines, and no plugin asks callers who they are\./],
    ],
    [
      "the same without a guard, for IPv6",
      { servers: { a }, host: "::", plugins: [], allowUnauthenticated: true },
      [/host: "::" can be reached .*, and no plugin checks Host and Origin\. Add the plugin host-guard/],
    ],
    [
      "a key that is not set",
      keyed("process.env.NO_SUCH_KEY"),
      [/plugin 'api-keys'.* keys\["ci"\]: there is no key\. Is its environment variable set\?/],
    ],
    [
      "a key from an example",
      keyed('"shhh-change-me-now"'),
      [/keys\["ci"\]: a placeholder stands where the key should/],
    ],
  ])("%s", async (_, config, lines) => {
    const text = typeof config === "string" ? config : `export default ${JSON.stringify({ port: 0, ...config })};`;
    const { code, stdout, stderr } = await runCli([], { cwd: folderWith({ "penstock.config.mjs": text }) });
    for (const line of lines) expect(stderr).toMatch(line);
    expect(stderr).toMatch(/^penstock: /);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).not.toMatch(/shhh/i);
  });

  const both = "is claimed by server 'a' and by server 'b'. Give one of them another path.";
  test.each<[string, Record<string, string | string[]>, string]>([
    ["one path", { a: "/x", b: "/x/" }, `/x ${both}`],
    ["one of several", { a: ["/w", "/x"], b: "/x" }, `/x ${both}`],
    ["one pattern", { a: "/:team/mcp", b: "/:any/mcp" }, `/:any/mcp ${both}`],
    ["one path in two spellings", { a: "/x/a", b: "/x/%61" }, `/x/%61 ${both}`],
    ["one path, written with its encoding", { a: "/münchen", b: "/m%C3%BCnchen" }, `/m%C3%BCnchen ${both}`],
    ["a path that leads to another", { a: "/y", b: "/x/../y" }, 'servers.b.path: "/x/../y" has empty or dot segments'],
    ["a path that nobody can ask for", { a: "/x%2Fy" }, 'servers.a.path: "/x%2Fy" has empty or dot segments'],
    ["a plugin's path", { a: "/healthz" }, "/healthz is claimed by server 'a' and by plugin 'health'."],
    ["a discovery path", { a: "/.well-known/oauth-protected-resource" }, "by server 'a' and by plugin 'oauth-root'."],
    ["one made of two names", { "a b": [], "a-b": [] }, "'a b' and 'a-b' would both be served under \"a-b\""],
  ])("mounts that overlap: %s", async (_, paths, why) => {
    const servers = Object.entries(paths).map(([name, path]) => [name, { url, ...(path.length > 0 && { path }) }]);
    await expect(startProxy({ servers: Object.fromEntries(servers), plugins: [standard()] })).rejects.toThrow(why);
  });
});
