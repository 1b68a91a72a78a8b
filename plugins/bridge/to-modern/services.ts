/** What all legacy sessions with one modern server share. */
import type { BridgeHost } from "../host.ts";
import type { ToolCatalog } from "../params.ts";
import type { Discovery } from "./discover.ts";

export interface Services {
  readonly host: BridgeHost;
  readonly discovery: Discovery;
  readonly tools: ToolCatalog;
}
