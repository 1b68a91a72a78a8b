import { beforeAll, describe, expect, test } from "vitest";
import { newHost } from "../_harness/elsewhere.ts";
import { startLoad } from "../_harness/load.ts";
import { manyStreams, possibleStreams, told } from "../_harness/many-streams.ts";
import { loopDelay, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { front } from "../_harness/wire.ts";

const use = testScope();
// Memory that earlier files left free would hide what is held.
beforeAll(newHost);
const STREAMS = 5000;

test(
  "RL-01 5,000 idle streams, opened and closed twice: what they cost, and that nothing of them is left",
  { timeout: 60_000 },
  async ({ task }) => {
    const count = await possibleStreams(STREAMS);
    const result = await manyStreams(use, count, 2);
    console.log(`RL-01 ${task.file.projectName}: ${count} streams, ${told(result)}`);
    expect(result.bytesEach).toBeLessThan(80 * 1024);
  },
);

// Bun's own client stops at 256 requests of a process.
test("RL-03 while 300 streams are open a call is answered as fast as ever", async () => {
  const load = await use(startLoad());
  const { port } = await use(front(load.url, [standard()]));
  await load.open(port, 300);
  const times = [];
  for (let i = 0; i < 20; i++) {
    const { status, ms } = await load.call(port);
    expect(status).toBe(200);
    times.push(ms);
  }
  expect(times.sort((a, b) => a - b)[18]).toBeLessThan(100);
  expect((await load.counts()).server).toBe(300);
});

describe("RL-07 a 12 MB answer", () => {
  test.for([
    ["the bare core", () => []],
    ["standard()", () => [standard()]],
  ] as const)(
    "through %s delays no other stream: nobody parses it",
    { timeout: 20_000 },
    async ([name, plugins], { task }) => {
      const load = await use(startLoad());
      const { port, url } = await use(front(load.url, [...plugins(), loopDelay()]));
      const delays = async () => (await (await fetch(`${url}/loop`)).json()) as { p99: number; max: number };
      const toParse = parseTime();
      await load.open(port, 200);
      await load.call(port, 12e6);
      await load.tick(100);
      await delays();
      for (let i = 0; i < 15; i++) {
        const { status, bytes } = await load.call(port, 12e6);
        expect(status).toBe(200);
        expect(bytes).toBeGreaterThan(12e6);
      }
      const { p99, max } = await delays();
      await load.tick(0);
      const ticks = await load.ticks();
      const ms = (time: number) => `${time.toFixed(1)} ms`;
      console.log(
        `RL-07 ${task.file.projectName}, ${name}: loop p99 ${ms(p99)}, max ${ms(max)}; events p50 ${ms(ticks.p50)}, p99 ${ms(ticks.p99)} late; to parse as much takes ${ms(toParse)}`,
      );
      expect(ticks.count).toBeGreaterThan(200);
      expect(p99).toBeLessThan(Math.max(20, toParse / 4));
      expect(max).toBeLessThan(Math.max(60, toParse / 2));
    },
  );
});

/** What it would take to read and write 12 MB of messages, in milliseconds: about 100, and more while the machine is busy. */
function parseTime(): number {
  const text = JSON.stringify(
    Array.from({ length: 120_000 }, (_, id) => ({ id, name: `tool-${id}`, text: "x".repeat(60) })),
  );
  const times = Array.from({ length: 3 }, () => {
    const since = performance.now();
    JSON.stringify(JSON.parse(text));
    return performance.now() - since;
  });
  return times.sort((a, b) => a - b)[1]!;
}
