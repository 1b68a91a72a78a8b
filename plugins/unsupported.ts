import type { Plugin } from "../core/index.ts";
import { CAPABILITIES, declares } from "./_capabilities.ts";

/** Where the README explains what a client needs for each of them. */
const README = "https://www.npmjs.com/package/mcp-penstock";

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
