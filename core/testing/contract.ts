/** What every plugin must hold, whatever it does: one object serves several mounts and principals and mixes nothing up. */
import { orderPlugins } from "../hooks.ts";
import type { Json, PluginOption } from "../types.ts";
import { type FakeServer, fakeServer } from "./fake-server.ts";
import { type Posted, testPlugin } from "./kit.ts";

export interface ContractOptions {
  /** What one client does; the default lists tools and calls each of the fake server's. */
  traffic?: readonly (readonly [method: string, params?: Json])[];
  /** A server with what the plugin needs behind it. A new one for each check. */
  server?: () => FakeServer;
}

/** One check: run it in a test of that name. Rejects when the plugin does not hold it. */
export interface ContractCheck {
  name: string;
  run(): Promise<void>;
}

const TRAFFIC: NonNullable<ContractOptions["traffic"]> = [
  ["tools/list"],
  ["tools/call", { name: "echo", arguments: { text: "hello" } }],
  ["tools/call", { name: "delete_all", arguments: {} }],
  ["tools/call", { name: "echo", arguments: { text: "again" } }],
  ["tools/list"],
];
/** Fields that differ from one exchange to the next in a good plugin too. */
const VOLATILE = new Set(["date", "x-request-id", "mcp-session-id", "via"]);

/**
 * The contract as a list of checks for any test runner:
 *
 * @example
 * for (const { name, run } of pluginContract(() => rateLimit({ perMinute: 60 }))) it(name, run);
 *
 * @param make makes a new plugin each time
 */
export function pluginContract(make: () => PluginOption, options: ContractOptions = {}): ContractCheck[] {
  const { traffic = TRAFFIC, server = fakeServer } = options;

  async function alone(): Promise<string> {
    const test = await testPlugin(make(), { server: server(), mounts: ["alpha"] });
    const seen = await play(test, "alpha", "anna");
    await test.close();
    return seen;
  }

  async function play(test: Awaited<ReturnType<typeof testPlugin>>, mount: string, principal: string): Promise<string> {
    const seen: string[] = [];
    for (const [i, [method, params]] of traffic.entries())
      seen.push(show(await test.post({ id: i, method, ...(params && { params }) }, { mount, principal })));
    // A plugin may name the mount and the caller in what it says.
    return seen.join("\n").replaceAll(mount, "<mount>").replaceAll(principal, "<principal>");
  }

  async function mixesNothingUp(socket: boolean): Promise<void> {
    const expected = await alone();
    const test = await testPlugin(make(), { server: server(), mounts: ["alpha", "beta"], socket });
    try {
      const pairs = ["alpha", "beta"].flatMap((mount) =>
        ["anna", "bert"].map((principal) => [mount, principal] as const),
      );
      const results = await Promise.all(pairs.map(([mount, principal]) => play(test, mount, principal)));
      results.forEach((seen, i) =>
        expectSame(seen, expected, `principal ${pairs[i]![1]} on mount ${pairs[i]![0]}, beside others`),
      );
    } finally {
      await test.close();
    }
  }

  return [
    {
      name: "is a plugin: a kebab-case name, and no hook that does not exist",
      async run() {
        for (const { name } of orderPlugins(make()))
          if (!/^[a-z\d]+(?:-[a-z\d]+)*$/.test(name)) throw new Error(`'${name}' is not kebab-case`);
      },
    },
    { name: "mixes up neither mounts nor principals", run: () => mixesNothingUp(false) },
    { name: "does the same over sockets", run: () => mixesNothingUp(true) },
    {
      name: "shares nothing between two proxies",
      async run() {
        const expected = await alone();
        const tests = await Promise.all([1, 2].map(() => testPlugin(make(), { server: server() })));
        const results = await Promise.all(tests.map((test) => play(test, "alpha", "anna")));
        await Promise.all(tests.map((test) => test.close()));
        for (const seen of results) expectSame(seen, expected, "two proxies in one process");
      },
    },
    {
      name: "survives a client that leaves before the answer",
      async run() {
        const test = await testPlugin(make(), { server: server(), socket: true });
        const leaving = new AbortController();
        const answer = test.request("tools/call", { name: "echo" }, { signal: leaving.signal }).catch(() => {});
        leaving.abort();
        await answer;
        const { status } = await test.request("tools/list");
        await test.close();
        if (status !== 200) throw new Error(`the next request was answered with ${status}`);
      },
    },
    {
      name: "closes without having served anything",
      async run() {
        await (await testPlugin(make())).close();
      },
    },
  ];
}

function show({ status, headers, text }: Posted): string {
  const kept = [...headers]
    .filter(
      ([name]) => !VOLATILE.has(name) && !/^(?:connection|keep-alive|transfer-encoding|content-length)$/.test(name),
    )
    .sort();
  return `${status} ${JSON.stringify(kept)} ${text}`;
}

function expectSame(seen: string, expected: string, where: string): void {
  if (seen !== expected)
    throw new Error(`${where}: it behaves differently.\n--- alone\n${expected}\n--- here\n${seen}`);
}
