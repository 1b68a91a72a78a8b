import { expect, test } from "vitest";
import { cliCommand } from "../_harness/proxy.ts";
import { CLIENTS, CLIENT_VERSIONS, clientScenarios, directClient, isBridged, runClients } from "./direct.ts";
import { Judge } from "./lanes.ts";
import { installSuite } from "./suite.ts";

test.for(CLIENTS)("a client of kind %s through Penstock to the suite's servers", async (client, { task }) => {
  await installSuite();
  const judge = new Judge("client", client);
  for (const version of CLIENT_VERSIONS) {
    const bridged = isBridged(client, version);
    // What is expected of it is what a client of that revision does by itself.
    const own = bridged ? (version < "2026-07-28" ? "v2 legacy" : "v2 modern") : client;
    const before = await directClient(own, version);
    expect(before.scenarios.length).toBeGreaterThan(0);
    const { command, args, env } = cliCommand([], { PENSTOCK_SECRET: "the-secret-of-clients-that-conform" });
    const { scenarios } = await clientScenarios(version);
    const proxy = { command: [command, ...args], env };
    judge.look(version, { bridged }, before, await runClients(client, version, scenarios, proxy));
  }
  task.meta.conformance = judge.end();
});
