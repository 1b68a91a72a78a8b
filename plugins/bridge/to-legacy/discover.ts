/** `server/discover` of a server that has only `initialize` (MCP 2026-07-28, Discovery). */
import { type Answer, type Json, MODERN, META, jsonText } from "../../../core/index.ts";

/** What became of tasks is an extension with another wire. */
const GONE = "tasks";

/** @param result of `initialize` @param idText of the request, as it was posted */
export function discovered(idText: string, result: Json): Answer {
  const { capabilities, instructions, serverInfo } = result;
  const { [GONE]: _gone, ...kept } = (capabilities ?? {}) as Json;
  const discovery = {
    resultType: "complete",
    supportedVersions: [MODERN],
    capabilities: kept,
    ...(instructions !== undefined && { instructions }),
    ttlMs: 0,
    cacheScope: "private",
    _meta: { [`${META}serverInfo`]: serverInfo },
  };
  return jsonText(`{"jsonrpc":"2.0","id":${idText},"result":${JSON.stringify(discovery)}}`);
}
