import { type Json, type Message, type Plugin, isRecord } from "../core/index.ts";

/** Where the README explains what a client needs for each of them. */
const README = "https://www.npmjs.com/package/mcp-penstock";

/** Server→client requests and the capability that a client declares for them (MCP 2025-11-25, Lifecycle, Capability Negotiation). */
const CAPABILITIES: Record<string, { name: string; section: string }> = {
  "sampling/createMessage": { name: "sampling", section: "sampling" },
  "elicitation/create": { name: "elicitation", section: "elicitation" },
  "roots/list": { name: "roots", section: "roots" },
};

/**
 * Answers what a server asks of a client that cannot do it: sampling, elicitation, roots and whatever is not known. Without
 * an answer the server would wait, and its tool with it. What the client declared passes untouched, and so does everything
 * from clients whose declaration this proxy has not seen: their server has.
 *
 * Modern servers (2026-07-28) send no requests; they ask in their results, and those pass.
 */
export function unsupported(): Plugin {
  return {
    name: "unsupported",
    message: {
      filter: { direction: "down", kind: "request", era: "legacy" },
      handler(exchange, message) {
        const method = message.method!;
        const { capabilities } = exchange.client;
        if (method === "ping" || capabilities === undefined || declares(capabilities, message)) return;
        const { server, upstream } = exchange.mount;
        const section = CAPABILITIES[method]?.section ?? "server-requests";
        // Params carry conversations and prompts: they are formatted for debugging only.
        exchange.log.warn(
          () => `${server} (${upstream}) asked for ${method}, which its client did not declare; answered -32601`,
        );
        exchange.log.debug(() => `${server}: params of ${method}: ${JSON.stringify(message.params)}`);
        const text = `Penstock: the client of server '${server}' did not declare what ${method} needs. See ${README}#${section}`;
        return { reply: { error: { code: -32601, message: text, data: { method, server } } } };
      },
    },
  };
}

function declares(capabilities: Json, { method, params }: Message): boolean {
  const capability = CAPABILITIES[method!];
  // Requests that this proxy does not know belong to a capability that it does not know either: the name's first part, as in tasks/get.
  const declared = capabilities[capability?.name ?? method!.split("/")[0]!];
  if (!isRecord(declared)) return false;
  if (method === "elicitation/create") {
    const mode = params?.mode ?? "form";
    // MCP 2025-11-25, Elicitation: an empty object declares forms only.
    return mode === "form"
      ? Object.keys(declared).length === 0 || isRecord(declared.form)
      : isRecord(declared[String(mode)]);
  }
  if (method === "sampling/createMessage" && params?.tools !== undefined) return isRecord(declared.tools);
  return true;
}
