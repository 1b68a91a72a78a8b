/** `mcp-penstock/testing`: tests of a plugin in a few lines, without a socket or with real ones. */
export { pluginContract } from "./testing/contract.ts";
export type { ContractCheck, ContractOptions } from "./testing/contract.ts";
export { fakeServer } from "./testing/fake-server.ts";
export type { FakeServer, Recorded, Responder } from "./testing/fake-server.ts";
export { testPlugin } from "./testing/kit.ts";
export type { PluginTest, PluginTestOptions, Posted, PostOptions } from "./testing/kit.ts";
export { storeContract } from "./testing/store-contract.ts";
export type { StoreContractOptions } from "./testing/store-contract.ts";
