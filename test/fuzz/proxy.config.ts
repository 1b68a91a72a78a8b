/** The four proxies that are fuzzed, one configuration each; the command line loads the one that the environment names. */
import type { Direction, Kind, MessageHook, PenstockConfig, Plugin, PluginOption } from "mcp-penstock";
import { standard } from "mcp-penstock/plugins/standard";
import { change } from "./changes.ts";

/** Which way the answers go: raw, through a framer, through a framer that changes them, through the default preset. */
export type Lane = "raw" | "noop" | "change" | "standard";
export const LANES: readonly Lane[] = ["raw", "noop", "change", "standard"];

const KINDS: readonly Kind[] = ["request", "notification", "response"];

function every(direction: Direction, handler: MessageHook["handler"]): MessageHook[] {
  return KINDS.map((kind) => ({ filter: { direction, kind }, handler }));
}

function noop(): Plugin {
  return { name: "noop", message: [...every("up", () => {}), ...every("down", () => {})] };
}

function changing(): Plugin {
  return {
    name: "changing",
    message: every("down", (exchange, message) => change(message, exchange.message?.method)),
  };
}

const PLUGINS: Record<Lane, () => PluginOption> = {
  raw: () => [],
  noop: () => noop(),
  change: () => changing(),
  // What damage this server does one case with must not decide about the next: nothing is counted, and nothing sent again.
  standard: () => standard().filter(({ name }) => name !== "breaker" && name !== "retry"),
};

/** Largest body that is taken, in bytes. */
export const MAX_BODY: number = 64 * 1024;

/** @param url of the server behind it */
export function configOf(lane: Lane, url: string): PenstockConfig {
  return { servers: { fuzzed: { url, path: "/mcp", maxRequestBytes: MAX_BODY } }, plugins: PLUGINS[lane]() };
}

const { FUZZ_LANE, FUZZ_SERVER } = process.env;
export default FUZZ_LANE ? configOf(FUZZ_LANE as Lane, FUZZ_SERVER!) : undefined;
