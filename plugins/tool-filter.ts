import { type Exchange, type Message, type Plugin, ProxyError, type Reply, isRecord } from "../core/index.ts";
import { type Pattern, compilePatterns } from "./_patterns.ts";

/** Options of {@link toolFilter}. A pattern is a name, a name with `*`, or a regular expression. */
export interface ToolFilterOptions {
  /** Only these tools exist. An empty list means none. @default all */
  allow?: readonly Pattern[];
  /** These do not exist, whatever `allow` says. @default none */
  deny?: readonly Pattern[];
}

/** Unknown tool (MCP 2025-11-25, Tools, Error Handling). */
const INVALID_PARAMS = -32602;

/**
 * Hides tools: a denied one is in no list, and calling it answers what an unknown tool would. The decision reads the message
 * that is forwarded, never a copy.
 *
 * @throws ProxyError `BAD_OPTION` when neither list is given
 */
export function toolFilter(options: ToolFilterOptions): Plugin {
  const { allow, deny = [] } = options;
  if (allow === undefined && options.deny === undefined)
    throw new ProxyError("BAD_OPTION", { plugin: "plugin 'tool-filter'", hint: "Give `allow`, `deny` or both." });
  const allowed = allow && compilePatterns(allow, "tool-filter");
  const denied = compilePatterns(deny, "tool-filter");
  const exists = (name: unknown) => typeof name === "string" && (allowed?.(name) ?? true) && !denied(name);
  return {
    name: "tool-filter",
    message: [
      {
        filter: { direction: "up", kind: "request", method: "tools/call" },
        handler: (exchange, message) => refuseDenied(exchange, message, exists),
      },
      {
        filter: { direction: "down", kind: "response", method: "tools/list" },
        handler: (exchange, message) => withoutDenied(exchange, message, exists),
      },
    ],
  };
}

function refuseDenied(exchange: Exchange, message: Message, exists: (name: unknown) => boolean): Reply | undefined {
  const name = isRecord(message.params) ? message.params.name : undefined;
  if (exists(name)) return;
  exchange.log.info(() => `${exchange.mount.server}: a call of tool ${JSON.stringify(name)} was refused`);
  return { reply: { error: { code: INVALID_PARAMS, message: `Unknown tool: ${String(name)}` } } };
}

function withoutDenied(exchange: Exchange, message: Message, exists: (name: unknown) => boolean): Message | undefined {
  const { result } = message;
  if (!isRecord(result)) return;
  // On a resumed stream it is not known what is answered; where it is, a list that cannot be read is no list.
  if (!Array.isArray(result.tools) && exchange.message?.method !== "tools/list") return;
  const before: unknown[] = Array.isArray(result.tools) ? result.tools : [];
  const tools = before.filter((tool) => isRecord(tool) && exists(tool.name));
  const rest = Object.entries(result).filter(([key]) => key.toLowerCase() !== "tools");
  // A list beside the list (`Tools`) would be one to clients whose parser ignores case.
  if (tools.length === before.length && rest.length === Object.keys(result).length - 1 && before === result.tools)
    return;
  return { ...message, result: { ...Object.fromEntries(rest), tools } };
}
