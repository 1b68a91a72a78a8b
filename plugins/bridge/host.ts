/** What both directions of the bridge are given. */
import type { App, Mount, ServerEras } from "../../core/index.ts";

/** Settings of the plugin, all of them there. Times are in milliseconds. */
export interface BridgeSettings {
  /** How long a server is waited for that works on a request whose legacy client has left. */
  holdTimeout: number;
  /** How long a question to a client, or a call that waits for its retry, stays open. */
  questionTimeout: number;
  /** Rounds of questions that one call may have. */
  maxRounds: number;
  /** Calls of one caller that wait for their retry. */
  maxParked: number;
  /** Sessions with a legacy server for one caller; and how long one may be idle. */
  maxLeases: number;
  idleTimeout: number;
}

/** One mount, as the bridge sees it. */
export interface BridgeHost {
  readonly app: App;
  readonly mount: Mount;
  readonly eras: ServerEras;
  readonly settings: BridgeSettings;
}
