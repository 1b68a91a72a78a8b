/**
 * The factories of plugins, for tests that give plugins to `front()` or `startProxy()`: what they return is remembered with
 * its module and options, so that a proxy in a child process can make the same plugins again.
 */
import * as apiKeysModule from "mcp-penstock/plugins/api-keys";
import * as bearerAuthModule from "mcp-penstock/plugins/bearer-auth";
import * as breakerModule from "mcp-penstock/plugins/breaker";
import * as bridgeModule from "mcp-penstock/plugins/bridge";
import * as healthModule from "mcp-penstock/plugins/health";
import * as hostGuardModule from "mcp-penstock/plugins/host-guard";
import * as mountsModule from "mcp-penstock/plugins/mounts";
import * as oauthClientModule from "mcp-penstock/plugins/oauth-client";
import * as oauthBrokerModule from "mcp-penstock/plugins/oauth-broker";
import * as oauthRelayModule from "mcp-penstock/plugins/oauth-relay";
import * as oauthRootModule from "mcp-penstock/plugins/oauth-root";
import * as rateLimitModule from "mcp-penstock/plugins/rate-limit";
import * as requestLogModule from "mcp-penstock/plugins/request-log";
import * as retryModule from "mcp-penstock/plugins/retry";
import * as sessionsModule from "mcp-penstock/plugins/sessions";
import * as sseRelayModule from "mcp-penstock/plugins/sse-relay";
import * as standardModule from "mcp-penstock/plugins/standard";
import * as timeoutModule from "mcp-penstock/plugins/timeout";
import * as toolFilterModule from "mcp-penstock/plugins/tool-filter";
import * as unsupportedModule from "mcp-penstock/plugins/unsupported";
import * as fetchingModule from "./fetching.ts";
import * as brokerModule from "./oauth-broker.ts";
import * as ownModule from "./test-plugins.ts";

/** How an object can be made again. */
export interface Origin {
  /** URL of the module. */
  module: string;
  /** Name of the factory that it exports. */
  factory: string;
  args: readonly unknown[];
  /** Which element, where the factory returns a list. */
  index?: number;
}

type Factory = (...args: never[]) => object;

const origins = new WeakMap<object, Origin>();

/** Where a value came from; `undefined` for one that the test made itself. */
export function originOf(value: object): Origin | undefined {
  return origins.get(value);
}

/** The factories of a module, with a memory. @param path of the module, relative to the checkout */
function remembered<T extends object>(path: string, factories: T): T {
  const module = new URL(`../../${path}`, import.meta.url).href;
  const wrapped = Object.entries(factories).map(([factory, make]: [string, Factory]) => [
    factory,
    (...args: never[]) => {
      const made = make(...args);
      origins.set(made, { module, factory, args });
      if (Array.isArray(made))
        made.forEach((each: object, index) => origins.set(each, { module, factory, args, index }));
      return made;
    },
  ]);
  return Object.fromEntries(wrapped) as T;
}

export const { apiKeys } = remembered("dist/plugins/api-keys.mjs", apiKeysModule);
export const { bearerAuth } = remembered("dist/plugins/bearer-auth.mjs", bearerAuthModule);
export const { breaker } = remembered("dist/plugins/breaker.mjs", breakerModule);
export const { bridge } = remembered("dist/plugins/bridge.mjs", bridgeModule);
export const { health } = remembered("dist/plugins/health.mjs", healthModule);
export const { hostGuard } = remembered("dist/plugins/host-guard.mjs", hostGuardModule);
export const { mounts } = remembered("dist/plugins/mounts.mjs", mountsModule);
export const { oauthClient } = remembered("dist/plugins/oauth-client.mjs", {
  oauthClient: oauthClientModule.oauthClient,
});
export const { oauthBroker } = remembered("dist/plugins/oauth-broker.mjs", oauthBrokerModule);
export const { oauthRelay } = remembered("dist/plugins/oauth-relay.mjs", oauthRelayModule);
export const { oauthRoot } = remembered("dist/plugins/oauth-root.mjs", oauthRootModule);
export const { rateLimit } = remembered("dist/plugins/rate-limit.mjs", rateLimitModule);
export const { requestLog } = remembered("dist/plugins/request-log.mjs", requestLogModule);
export const { retry } = remembered("dist/plugins/retry.mjs", retryModule);
export const { sessions } = remembered("dist/plugins/sessions.mjs", sessionsModule);
export const { sseRelay } = remembered("dist/plugins/sse-relay.mjs", sseRelayModule);
export const { standard } = remembered("dist/plugins/standard.mjs", standardModule);
export const { timeout } = remembered("dist/plugins/timeout.mjs", timeoutModule);
export const { toolFilter } = remembered("dist/plugins/tool-filter.mjs", toolFilterModule);
export const { unsupported } = remembered("dist/plugins/unsupported.mjs", unsupportedModule);
export const { fetching } = remembered("test/_harness/fetching.ts", fetchingModule);
export const { broker } = remembered("test/_harness/oauth-broker.ts", { broker: brokerModule.broker });
export const {
  answering,
  byName,
  byToken,
  calm,
  closed,
  contracts,
  cookies,
  counting,
  failing,
  failingAnswers,
  failingLate,
  fence,
  framing,
  loopDelay,
  late,
  markAnswers,
  marking,
  onMessage,
  outcomes,
  renaming,
  routes,
  stopping,
  streaming,
  teapot,
  waitingRoom,
  tellTarget,
  wrapping,
  twice,
} = remembered("test/_harness/test-plugins.ts", ownModule);
