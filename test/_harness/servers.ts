/** Real MCP servers on loopback, built with the official SDKs: the upstreams that every behaviour is tested against. */
export { type LegacyServer, type LegacyServerOptions, startLegacyServer } from "./servers/v1.ts";
export { type SseServer, startSseServer } from "./servers/v1-sse.ts";
export { type ModernServer, type ModernServerOptions, startModernServer } from "./servers/v2.ts";
export { type ChangingServer, startChangingLegacy, startChangingModern } from "./servers/changing.ts";
export type { Intercept, RecordedRequest } from "./servers/http.ts";
export type { NamedGates } from "./servers/gates.ts";
