import { expect, test } from "vitest";
import { manyStreams, possibleStreams, told } from "../_harness/many-streams.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();
const STREAMS = 10_000;
const MIB = 1024 * 1024;

test("RL-01 10,000 idle streams, or as many as this machine allows, opened and closed ten times", async ({ task }) => {
  const count = await possibleStreams(STREAMS);
  const result = await manyStreams(use, count, 10);
  console.log(`RL-01 ${task.file.projectName}: ${count} streams, ${told(result)}`);
  expect(result.bytesEach).toBeLessThan(80 * 1024);
  expect(result.heapGrowth).toBeLessThan(10 * MIB);
});
