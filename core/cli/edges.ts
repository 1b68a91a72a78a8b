/** Which clients a server is served to as they are, for which ones it is translated, and what the protocol loses on that way. */
import type { Era, Mount } from "../types.ts";

/** One kind of clients, in front of one server. */
export interface Edge {
  /** What they speak. */
  clients: string;
  /** `asked first`: which of the others it is depends on what the server says when it is asked. */
  way: "as they are" | "translated" | "asked first" | "refused by the server";
  /** What no proxy can bring across, a few words each. */
  lost: readonly string[];
}

const MODERN_CLIENTS = "2026-07-28";
const LEGACY_CLIENTS = "2025-11-25 and before";
const SSE_CLIENTS = "HTTP+SSE (2024-11-05)";

/** To a legacy server: MCP 2026-07-28 has no place for these. */
const LOST_BY_MODERN = [
  "questions and log lines outside of a call",
  "tasks (2025-11-25)",
  "a call that waits for answers is kept by one process",
];
/** To a modern server. */
const LOST_BY_LEGACY = ["the tasks extension", "changes while no event stream is open"];
const LOST_BY_SSE = ["resumption"];

/**
 * @param eras which the server speaks; `undefined` when it was not asked
 * @param isBridged the plugin `bridge` serves it
 */
export function edgesOf(
  transport: Mount["transport"],
  eras: readonly Era[] | undefined,
  isBridged: boolean,
  hasSsePath: boolean,
): Edge[] {
  const edge = (clients: string, era: Era, bridged: readonly string[], always: readonly string[]): Edge => {
    if (eras === undefined) return { clients, way: "asked first", lost: always };
    if (eras.includes(era)) return { clients, way: "as they are", lost: always };
    return isBridged
      ? { clients, way: "translated", lost: [...bridged, ...always] }
      : { clients, way: "refused by the server", lost: [] };
  };
  const stream = transport === "sse" ? LOST_BY_SSE : [];
  return [
    edge(MODERN_CLIENTS, "modern", LOST_BY_MODERN, stream),
    edge(LEGACY_CLIENTS, "legacy", LOST_BY_LEGACY, stream),
    ...(hasSsePath ? [edge(SSE_CLIENTS, "legacy", LOST_BY_LEGACY, LOST_BY_SSE)] : []),
  ];
}

/** Eras that the configuration or the transport says. */
export function configuredEras({ era, transport }: Pick<Mount, "era" | "transport">): readonly Era[] | undefined {
  if (era !== "auto") return [era];
  return transport === "sse" ? ["legacy"] : undefined;
}

/** One line for people. */
export function describeEdge({ clients, way, lost }: Edge): string {
  return `${clients}: ${way}${lost.length > 0 ? `; lost: ${lost.join(", ")}` : ""}`;
}
