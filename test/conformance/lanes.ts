/** The ways through the proxy that the suite is sent, and how what it finds is judged. */
import { expect } from "vitest";
import { type Difference, differences, judge, notRun } from "./compare.ts";
import type { ClientName, Direct } from "./direct.ts";
import { EXPECTED } from "./expected.ts";
import type { Mode, Results, Version } from "./suite.ts";

/** What a server speaks, and no other thing. `dual` has both eras over HTTP. */
export type ServerName = "http" | "sse" | "stdio" | "dual" | "modern" | "modern-stdio";
export type LaneName = ServerName | ClientName;

/** One run through the proxy, for the table of results. */
export interface Lane {
  mode: Mode;
  lane: LaneName;
  version: Version;
  bridged: boolean;
  scenarios: number;
  passed: number;
  expected: number;
}

declare module "vitest" {
  interface TaskMeta {
    conformance?: Lane[];
  }
}

function told({ scenario, check, what, direct, proxied }: Difference): string {
  const short = (value: unknown) => JSON.stringify(value)?.slice(0, 300);
  return `${scenario}, ${check}, ${what}: ${short(direct)} -> ${short(proxied)}`;
}

/** All runs of one way through the proxy; rows of `expected.ts` that none of them needs fail it. */
export class Judge {
  readonly lanes: Lane[] = [];
  readonly #all: Difference[] = [];
  readonly #mode: Mode;
  readonly #lane: LaneName;

  constructor(mode: Mode, lane: LaneName) {
    this.#mode = mode;
    this.#lane = lane;
  }

  /**
   * Compares a run with the same one without the proxy. Where eras are translated, or the proxy is the server of HTTP for a
   * server that knows none, only with what its checks found.
   */
  look(
    version: Version,
    { bridged, edge = false }: { bridged: boolean; edge?: boolean },
    before: Direct,
    results: Results,
  ): void {
    const rows = this.#rows;
    const excused = new Set(rows.filter(({ what }) => what === "missing").map(({ scenario }) => scenario));
    const silent = notRun(before.scenarios, results).filter((scenario) => !excused.has(scenario));
    expect.soft(silent, `${this.#lane}, ${version}: did not run`).toEqual([]);
    const found = differences(before.results, results).filter(
      ({ what }) => !(bridged || edge) || ["status", "missing", "added"].includes(what),
    );
    const { unexpected } = judge(found, rows);
    expect.soft(unexpected.map(told), `${this.#lane}, ${version}: differs`).toEqual([]);
    this.#all.push(...found);
    this.lanes.push({
      mode: this.#mode,
      lane: this.#lane,
      version,
      bridged,
      scenarios: results.size,
      passed: [...results.values()].flat().filter(({ status }) => status === "SUCCESS").length,
      expected: found.length - unexpected.length,
    });
  }

  end(): Lane[] {
    const { stale } = judge(this.#all, this.#rows);
    expect(stale, "rows of expected.ts that are not true any more").toEqual([]);
    return this.lanes;
  }

  get #rows() {
    return EXPECTED.filter(({ lanes }) => lanes.includes(this.#lane));
  }
}
