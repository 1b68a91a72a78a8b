/** Every plugin of the package against the contract that the test kit exports. */
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Plugin, type PluginOption, type ServerConfig, json } from "mcp-penstock";
import { apiKeys } from "mcp-penstock/plugins/api-keys";
import { bearerAuth } from "mcp-penstock/plugins/bearer-auth";
import { breaker } from "mcp-penstock/plugins/breaker";
import { bridge } from "mcp-penstock/plugins/bridge";
import { hostGuard } from "mcp-penstock/plugins/host-guard";
import { health } from "mcp-penstock/plugins/health";
import { mounts } from "mcp-penstock/plugins/mounts";
import { oauthClient } from "mcp-penstock/plugins/oauth-client";
import { oauthBroker } from "mcp-penstock/plugins/oauth-broker";
import { oauthRelay } from "mcp-penstock/plugins/oauth-relay";
import { oauthRoot } from "mcp-penstock/plugins/oauth-root";
import { rateLimit } from "mcp-penstock/plugins/rate-limit";
import { requestLog } from "mcp-penstock/plugins/request-log";
import { retry } from "mcp-penstock/plugins/retry";
import { sessions } from "mcp-penstock/plugins/sessions";
import { sseRelay } from "mcp-penstock/plugins/sse-relay";
import { standard } from "mcp-penstock/plugins/standard";
import { timeout } from "mcp-penstock/plugins/timeout";
import { toolFilter } from "mcp-penstock/plugins/tool-filter";
import { unsupported } from "mcp-penstock/plugins/unsupported";
import { type ContractOptions, fakeServer, pluginContract } from "mcp-penstock/testing";

/** Servers that check their callers' tokens, at one public URL with and without sockets. */
const passthrough: Plugin = {
  name: "passthrough",
  config: (config) => ({
    ...config,
    publicUrl: "https://gw.example.com",
    servers: Object.fromEntries(
      Object.entries(config.servers).map(([name, server]) => [
        name,
        { ...server, auth: "passthrough" } as ServerConfig,
      ]),
    ),
  }),
};
const published: Plugin = {
  name: "published",
  config: (config) => ({ ...config, publicUrl: "https://gw.example.com" }),
};
const refusing = () =>
  fakeServer(({ message }) =>
    message?.params?.name === "delete_all"
      ? json({}, 401, { "www-authenticate": 'Bearer scope="a", resource_metadata="http://internal/"' })
      : undefined,
  );

const makers: Record<string, () => PluginOption> = {
  "api-keys": () => apiKeys({ keys: { ci: "0123456789abcdef" } }),
  // The test kit's caller has no scope: one of the tools is refused.
  "bearer-auth": () => [published, bearerAuth({ issuers: "https://as.example.com", tools: { "delete_*": ["admin"] } })],
  breaker,
  bridge,
  "host-guard": hostGuard,
  // With probes in the middle of the traffic.
  health: () => health({ initialDelay: 10, interval: 40 }),
  mounts,
  "oauth-client": () => oauthClient({ tokens: { anna: "token-of-anna", bert: "token-of-bert" } }),
  "oauth-broker": () => oauthBroker({ issuer: "https://login.example.com", clientId: "penstock" }),
  "oauth-relay": () => [passthrough, oauthRelay()],
  "oauth-root": oauthRoot,
  // Four requests, then nothing: what one principal uses up must not be missing elsewhere.
  "rate-limit": () => rateLimit({ perMinute: 1, burst: 4, tools: { echo: { perMinute: 1, burst: 1 } } }),
  "request-log": requestLog,
  retry,
  sessions,
  "sse-relay": sseRelay,
  standard,
  timeout: () => timeout({ methods: { "tools/call": 60_000 }, tools: { "e*": { total: 60_000 } }, total: 90_000 }),
  "tool-filter": () => toolFilter({ deny: ["delete_*"] }),
  unsupported,
};

const options: Record<string, ContractOptions> = { "oauth-relay": { server: refusing } };

for (const [name, make] of Object.entries(makers)) {
  describe(name, () => {
    for (const check of pluginContract(make, options[name])) it(check.name, check.run);
  });
}

it("leaves no plugin of the package out", () => {
  const files = readdirSync("plugins").filter((file) => /^[^_].*\.ts$/.test(file));
  expect(Object.keys(makers).sort()).toEqual(files.map((file) => file.slice(0, -3)).sort());
});

it("catches a plugin that remembers across principals", async () => {
  // The mistake that the contract is there for: a counter in the factory's closure.
  const counting = () => {
    let calls = 0;
    return {
      name: "counting",
      response(_exchange: unknown, answer: { headers: Headers }) {
        answer.headers.set("x-calls", String(++calls));
      },
    };
  };
  const failed: string[] = [];
  for (const check of pluginContract(counting)) await check.run().catch(() => failed.push(check.name));
  expect(failed).toEqual(["mixes up neither mounts nor principals", "does the same over sockets"]);
});
