/** Legacy clients of modern servers, with the official SDKs on both sides, through everything that `standard()` has. */
import { expect, test } from "vitest";
import { connectV1 } from "../_harness/clients.ts";
import { standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startModernServer } from "../_harness/servers.ts";

const use = testScope();

test("lists, calls, reports progress", async () => {
  const server = await use(startModernServer());
  const one = { url: server.url, path: "/mcp", era: "modern" as const };
  const proxy = await use(startProxy({ servers: { one }, plugins: standard() }));
  const { client, errors } = await use(connectV1(`${proxy.url}/mcp`));
  expect(client.getServerVersion()).toMatchObject({ name: "modern-fixture" });
  expect(client.getInstructions()).toBe("A fixture.");
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toEqual(["echo", "count", "slow"]);
  const steps: number[] = [];
  const result = await client.callTool({ name: "count", arguments: { n: 3 } }, undefined, {
    onprogress: ({ progress }) => steps.push(progress),
  });
  expect(result).toMatchObject({ content: [{ type: "text", text: "counted 3" }] });
  expect(steps).toEqual([1, 2, 3]);
  await client.ping();
  expect(errors).toEqual([]);
});
