import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { otherRuntime } from "../_harness/runtimes.ts";
import { testScope } from "../_harness/scope.ts";
import { CLIENTS, type ClientKind, SERVERS, type ServerKind, pairTable } from "./pairs.ts";
import { failures, runPairs } from "./run-pairs.ts";

const use = testScope();

/** To write the table: UPDATE_DOCS=1 npx vitest run --project node test/bridge/clients.test.ts */
const [BEGIN, END] = ["<!-- pairs: written by test/bridge/clients.test.ts -->", "<!-- /pairs -->"];

/** On other runtimes the corners; `test/long` has everything on all of them. */
const isCorner = ({ transport }: ServerKind | ClientKind) => transport !== "HTTP+SSE";
const clients = CLIENTS.filter(({ long = false, sdk }) => !long && (!otherRuntime || /^(?:v1|pin)$/.test(sdk))).filter(
  (client) => !otherRuntime || (isCorner(client) && client.transport.endsWith("HTTP")),
);
const servers = SERVERS.filter(
  (server) => !otherRuntime || (isCorner(server) && /^(?:http|modern|stdio|modern-stdio)$/.test(server.name)),
);

test("clients of both SDKs can do all that a server offers, whatever the two speak", { timeout: 90_000 }, async () => {
  const pairs = await runPairs(use, clients, servers);
  expect(failures(pairs)).toEqual([]);
  if (otherRuntime) return;
  const [before, , after] = readFileSync("README.md", "utf8").split(new RegExp(`(?<=${BEGIN})[^]*(?=${END})`));
  const written = `${before}\n\n${pairTable(pairs)}\n\n${after}`;
  if (process.env.UPDATE_DOCS) writeFileSync("README.md", written);
  expect(readFileSync("README.md", "utf8")).toBe(written);
});
