import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { testScope } from "../_harness/scope.ts";
import { CLIENTS, SERVERS, pairTable } from "./pairs.ts";
import { failures, runPairs } from "./run-pairs.ts";

const use = testScope();

/** To write the table: UPDATE_DOCS=1 npx vitest run --project node test/bridge/clients.test.ts */
const [BEGIN, END] = ["<!-- pairs: written by test/bridge/clients.test.ts -->", "<!-- /pairs -->"];

test("clients of both SDKs can do all that a server offers, whatever the two speak", { timeout: 180_000 }, async () => {
  const clients = CLIENTS.filter(({ long = false }) => !long);
  const pairs = await runPairs(use, clients, SERVERS);
  expect(failures(pairs)).toEqual([]);
  const readme = readFileSync("README.md", "utf8");
  const [from, to] = [readme.indexOf(BEGIN) + BEGIN.length, readme.indexOf(END)];
  const written = `${readme.slice(0, from)}\n\n${pairTable(pairs)}\n\n${readme.slice(to)}`;
  if (process.env.UPDATE_DOCS) writeFileSync("README.md", written);
  expect(readFileSync("README.md", "utf8")).toBe(written);
});
