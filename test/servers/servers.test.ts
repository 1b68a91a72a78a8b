import { beforeAll, expect, test } from "vitest";
import { testScope } from "../_harness/scope.ts";
import { startLanes } from "./lanes.ts";
import { installServers } from "./public.ts";

const use = testScope();
beforeAll(installServers, 120_000);

test("a public server tells a client the same through the proxy", { timeout: 30_000 }, async () => {
  const lanes = await use(startLanes((server, protocol) => server === "everything" && protocol === "http"));
  for (const sdk of ["v1", "v2"] as const) {
    const direct = await lanes.direct("everything-http", sdk);
    expect(direct.answers.length).toBeGreaterThan(30);
    expect(await lanes.proxied("everything-http", sdk, "http")).toEqual(direct);
  }
});
