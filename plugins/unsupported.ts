import { type Exchange, type Message, type Plugin, isRecord } from "../core/index.ts";
import { CAPABILITIES, declares, requiredFor } from "./_capabilities.ts";

/** Where the README explains what a client needs for each of them. */
const README = "https://www.npmjs.com/package/mcp-penstock";

/**
 * Answers what a server asks of a client that cannot do it: sampling, elicitation, roots and whatever is not known. Without
 * an answer the server would wait, and its tool with it. What the client declared passes untouched, and so does everything
 * from clients whose declaration this proxy has not seen: their server has.
 *
 * Modern servers (2026-07-28) send no requests, but ask in their results. One that asks what the client did not declare with this
 * very request gets no retry; the client is told with -32021 what it would have needed.
 */
export function unsupported(): Plugin {
  return {
    name: "unsupported",
    message: [
      {
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
      {
        filter: {
          direction: "down",
          kind: "response",
          era: "modern",
          method: ["tools/call", "prompts/get", "resources/read"],
          text: "input_required",
        },
        handler: refuseQuestions,
      },
    ],
  };
}

/** MCP 2026-07-28, Multi Round-Trip Requests: a server asks only for what the capabilities of this request allow. */
function refuseQuestions({ client, mount, log }: Exchange, message: Message): Message | undefined {
  const { result } = message;
  const requests = result?.resultType === "input_required" ? result.inputRequests : undefined;
  if (!isRecord(requests) || client.capabilities === undefined) return undefined;
  const lacking = Object.values(requests).filter(
    (one): one is Record<string, unknown> & { method: string } =>
      isRecord(one) && typeof one.method === "string" && !declares(client.capabilities!, one as unknown as Message),
  );
  if (lacking.length === 0) return undefined;
  const { server, upstream } = mount;
  const methods = [...new Set(lacking.map(({ method }) => method))];
  log.warn(
    () => `${server} (${upstream}) asked for ${methods.join(", ")}, which its client did not declare; answered -32021`,
  );
  const section = CAPABILITIES[methods[0]!]?.section ?? "server-requests";
  return {
    jsonrpc: "2.0",
    id: message.id,
    error: {
      code: -32021,
      message: `Penstock: the client of server '${server}' did not declare what ${methods.join(", ")} needs. See ${README}#${section}`,
      data: { requiredCapabilities: requiredFor(lacking as unknown as Message[]) },
    },
  };
}
