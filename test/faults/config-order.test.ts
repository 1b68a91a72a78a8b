/** The order in which plugins are written opens nothing: what is refused is refused in every order, or the start stops. */
import {
  apiKeys,
  hostGuard,
  late,
  oauthRoot,
  rateLimit,
  routes,
  standard,
  teapot,
  toolFilter,
} from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { type ScriptedServer, methodOf, scripted } from "../_harness/scripted.ts";
import { call, jsonAnswer } from "../_harness/wire.ts";
import { describe, expect, test } from "vitest";
import { asking } from "./asking.ts";

const use = testScope();
const KEY = "key-of-anna-0123456789";
const WITH_KEY = `x-api-key: ${KEY}`;
/** Of somebody else, whose calls count apart. */
const OTHER = "key-of-bert-0123456789";
const STRANGER = "x-forwarded-for: 192.0.2.7";
const root = "/.well-known/oauth-authorization-server";

/** Every order of a list. */
function permutations<T>(list: readonly T[]): T[][] {
  if (list.length < 2) return [[...list]];
  return list.flatMap((each, i) => permutations(list.toSpliced(i, 1)).map((rest) => [each, ...rest]));
}

/** Every element once in every place, forwards and backwards. */
function rotations<T>(list: readonly T[]): T[][] {
  const turned = list.map((_, i) => [...list.slice(i), ...list.slice(0, i)]);
  return [...turned, ...turned.map((each) => each.toReversed())];
}

async function upstream(): Promise<ScriptedServer> {
  const tools = '{"tools":[{"name":"echo","inputSchema":{}},{"name":"rm","inputSchema":{}}]}';
  const made = await scripted((request) =>
    jsonAnswer(`{"jsonrpc":"2.0","id":1,"result":${methodOf(request) === "tools/list" ? tools : "{}"}}`),
  );
  await use(made.server);
  return made;
}

/** What strangers, and callers with a key, get of a proxy with these plugins, and what its server gets of them. */
async function behaviour(plugins: readonly object[], { server, seen }: ScriptedServer): Promise<unknown[]> {
  const proxy = await startProxy({ servers: { one: { url: `${server.url}/mcp` } }, plugins });
  const ask = asking(use, Number(new URL(proxy.url).port));
  const before = seen.length;
  const deniedCall = call(1, "tools/call", '{"name":"rm","arguments":{}}');
  const answers = [
    await ask({ host: "evil.test", fields: [WITH_KEY] }),
    await ask({ fields: [WITH_KEY, "origin: https://evil.test"] }),
    await ask({ fields: [STRANGER] }),
    await ask({ fields: [STRANGER], body: deniedCall }),
    await ask({ fields: [`authorization: Bearer ${OTHER}`], body: deniedCall }),
    await ask({ fields: [WITH_KEY] }),
    await ask({ fields: [WITH_KEY] }),
    await ask({ method: "GET", target: "/health", fields: [STRANGER] }),
    await ask({ method: "GET", target: "/healthz", host: "192.0.2.9", fields: [STRANGER] }),
    await ask({ method: "GET", target: root, fields: [STRANGER] }),
  ];
  await proxy.close();
  const told = answers.map(({ status, body }) => (status === 200 && body.startsWith('{"json') ? body : status));
  return [...told, ...seen.slice(before)];
}

describe("CF-04 plugins in every order", () => {
  const deciding = [
    hostGuard(),
    apiKeys({ keys: { anna: KEY, bert: OTHER } }),
    toolFilter({ deny: ["rm"] }),
    rateLimit({ perMinute: 1 }),
  ];
  const others = standard().slice(1);
  const expected = [
    403,
    403,
    401,
    401,
    '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Unknown tool: rm"}}',
    '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","inputSchema":{}}]}}',
    429,
    401,
    200,
    404,
    "POST tools/list",
  ];

  test("those that decide, before all others and behind them", async () => {
    const behind = await upstream();
    for (const [i, list] of permutations(deciding).entries()) {
      const plugins = i % 2 ? [...list, ...others] : [...others, ...list];
      const names = plugins.map((plugin) => (plugin as { name: string }).name);
      expect([names, await behaviour(plugins, behind)]).toEqual([names, expected]);
    }
  }, 30_000);

  test("all of them, each in every place", async () => {
    const behind = await upstream();
    for (const plugins of rotations([...deciding, ...others])) {
      const names = plugins.map((plugin) => (plugin as { name: string }).name);
      expect([names, await behaviour(plugins, behind)]).toEqual([names, expected]);
    }
  }, 30_000);
});

describe("CF-04 the start stops", () => {
  const servers = { one: { url: "http://127.0.0.1:9/mcp", path: "/mcp" } };

  test.each(["list replaced in config", "list changed in config", "hook added in setup"] as const)(
    "where a guard comes too late to be called: %s",
    async (when) => {
      await expect(startProxy({ servers, plugins: [late(when)] })).rejects.toThrow(
        when === "hook added in setup" ? /plugin 'late'.*`guard`.*too late/ : /plugin 'late'.*may not change `plugins`/,
      );
    },
  );

  test("where a guard stands in the list of one server, and would never be called", async () => {
    const own = { one: { ...servers.one, plugins: [teapot()] } };
    await expect(startProxy({ servers: own, plugins: [] })).rejects.toThrow(
      /plugin 'teapot'.*move it from servers\.one\.plugins to the root list/,
    );
  });

  test("where two plugins claim the root's discovery, whichever comes first", async () => {
    const both = [standard(), oauthRoot()];
    for (const plugins of [both, both.toReversed()])
      await expect(startProxy({ servers, plugins })).rejects.toThrow(
        `is claimed by plugin 'oauth-root' and by plugin 'oauth-root'. Give one of them another path.`,
      );
    const own = [standard(), routes({ path: root })];
    for (const [plugins, first, second] of [
      [own, "oauth-root", "routes"],
      [own.toReversed(), "routes", "oauth-root"],
    ] as const)
      await expect(startProxy({ servers, plugins })).rejects.toThrow(
        `${root} is claimed by plugin '${first}' and by plugin '${second}'.`,
      );
  });
});
