import { beforeAll, expect, test } from "vitest";
import { testScope } from "../_harness/scope.ts";
import { startLanes } from "./lanes.ts";
import { installServers } from "./public.ts";

const use = testScope();
beforeAll(installServers, 120_000);

/** A part of the matrix that has every transport on either side. */
const PART = [
  ["everything-http", "v1", "http"],
  ["everything-sse", "v2", "sse"],
  ["everything-stdio", "v1", "stdio"],
  ["sequential-thinking-stdio", "v2", "http"],
] as const;

test("public servers tell clients the same through the proxy, by every transport", { timeout: 60_000 }, async () => {
  const chosen = new Set<string>(PART.map(([server]) => server));
  const lanes = await use(startLanes((server, protocol) => chosen.has(`${server}-${protocol}`)));
  for (const [server, sdk, protocol] of PART) {
    const direct = await lanes.direct(server, sdk);
    expect(direct.answers.length, server).toBeGreaterThan(3);
    expect(await lanes.proxied(server, sdk, protocol), server).toEqual(direct);
  }
});
