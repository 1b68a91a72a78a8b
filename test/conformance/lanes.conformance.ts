import { beforeAll, expect, test } from "vitest";
import { startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { folderWith } from "../core/files.ts";
import { type Difference, differences, judge, notRun } from "./compare.ts";
import { everything, runDirect, startEverything } from "./direct.ts";
import { EXPECTED } from "./expected.ts";
import { type Results, VERSIONS, type Version, runSuite } from "./suite.ts";

const use = testScope();

/** One run through the proxy, for the table of results. */
export interface Lane {
  upstream: keyof typeof UPSTREAMS;
  version: Version;
  scenarios: number;
  passed: number;
  expected: number;
}

declare module "vitest" {
  interface TaskMeta {
    conformance?: Lane[];
  }
}

const UPSTREAMS = {
  http: async () => ({ url: (await use(startEverything("http"))).url }),
  sse: async () => ({ url: (await use(startEverything("sse"))).url, transport: "sse" }),
  stdio: async () => ({ command: process.execPath, args: [everything, "stdio"] }),
} as const;

let direct: Awaited<ReturnType<typeof runDirect>>;
beforeAll(async () => {
  direct = await runDirect();
});

function told({ scenario, check, what, direct, proxied }: Difference): string {
  const short = (value: unknown) => JSON.stringify(value)?.slice(0, 120);
  return `${scenario}, ${check}, ${what}: ${short(direct)} -> ${short(proxied)}`;
}

function passed(results: Results): number {
  return [...results.values()].flat().filter(({ status }) => status === "SUCCESS").length;
}

test.for(["http", "stdio", "sse"] as const)("a server over %s through Penstock", async (upstream, { task }) => {
  const cwd = folderWith({ "penstock.config.json": { servers: { everything: await UPSTREAMS[upstream]() } } });
  const cli = await use(startCli(["--port", "0"], { cwd, runs: true }));
  const rows = EXPECTED.filter(({ upstreams }) => upstreams.includes(upstream));
  const all: Difference[] = [];
  const lanes: Lane[] = [];
  for (const version of VERSIONS) {
    const results = await runSuite(`${cli.url}/everything/mcp`, version);
    const { scenarios, results: before } = direct.get(version)!;
    const excused = new Set(rows.filter(({ what }) => what === "missing").map(({ scenario }) => scenario));
    const silent = notRun(scenarios, results).filter((scenario) => !excused.has(scenario));
    expect.soft(silent, `${version}: did not run`).toEqual([]);
    const found = differences(before, results);
    const { unexpected } = judge(found, rows);
    expect.soft(unexpected.map(told), `${version}: differs`).toEqual([]);
    all.push(...found);
    const expected = found.length - unexpected.length;
    lanes.push({ upstream, version, scenarios: results.size, passed: passed(results), expected });
  }
  expect(judge(all, rows).stale, "rows of expected.ts that are not true any more").toEqual([]);
  task.meta.conformance = lanes;
});
