/** Real SDK clients that log in for tokens which are checked here, and log in again for more. */
import { expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import { bearerAuth } from "mcp-penstock/plugins/bearer-auth";
import { mounts } from "mcp-penstock/plugins/mounts";
import { bridge } from "mcp-penstock/plugins/bridge";
import { closeable } from "../_harness/loopback.ts";
import { logIn } from "../_harness/oauth.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";
import { startTokenIssuer } from "../_harness/token-issuer.ts";

const use = testScope();

test.each(["v1", "v2"] as const)("a client of the %s SDK logs in, calls, and is asked for more", async (era) => {
  const server = await use(startLegacyServer());
  const issuer = await use(startTokenIssuer());
  const auth = bearerAuth({ issuers: issuer.issuer, scopes: ["use"], tools: { echo: ["echo:use"] } });
  const penstock = createPenstock({
    servers: { docs: { url: server.url }, other: { url: server.url } },
    plugins: [mounts(), auth, bridge()],
  });
  const { url } = await use(closeable(await penstock.serve({ port: 0 })));
  const { client, authorizeUrls } = await use(logIn(era, `${url}/docs/mcp`));
  const asked = () =>
    authorizeUrls.map(({ searchParams }) => [searchParams.get("resource"), searchParams.get("scope")]);
  expect(asked()).toEqual([[`${url}/docs/mcp`, "use"]]);
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toContain("echo");

  const more = client.callTool({ name: "echo", arguments: { text: "more" } });
  await expect(more).rejects.toThrow();
  const [, [resource, scope] = []] = asked();
  expect(resource).toBe(`${url}/docs/mcp`);
  expect(scope?.split(" ").sort()).toEqual(["echo:use", "use"]);
  expect(server.requests.some(({ headers }) => headers.authorization)).toBe(false);
});
