import { afterAll, beforeAll, expect, test } from "vitest";
import { type Lanes, startLanes } from "../servers/lanes.ts";
import { installServers } from "../servers/public.ts";

const SERVERS = [
  "everything-http",
  "everything-sse",
  "everything-stdio",
  "memory-stdio",
  "filesystem-stdio",
  "sequential-thinking-stdio",
];
const CLIENTS = (["v1", "v2"] as const).flatMap((sdk) =>
  (["http", "sse", "stdio"] as const).map((protocol) => [sdk, protocol] as const),
);

let lanes: Lanes | undefined;
beforeAll(async () => {
  await installServers();
  lanes = await startLanes(() => true);
}, 180_000);
afterAll(() => lanes?.close());

test.for(SERVERS.flatMap((server) => CLIENTS.map(([sdk, protocol]) => ({ server, sdk, protocol }))))(
  "$server tells a $sdk client over $protocol the same through the proxy",
  async ({ server, sdk, protocol }, { task }) => {
    task.meta.startedProcess = true;
    expect(await lanes!.proxied(server, sdk, protocol)).toEqual(await lanes!.direct(server, sdk));
  },
);
