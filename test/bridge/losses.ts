/**
 * What the protocol makes unavoidable between two eras or over a transport: the model expects no more than that. Whatever else is
 * missing is a mistake.
 */
import { type Kind, hasChannel, isModern } from "./plan.ts";

export interface Loss {
  what: "log messages" | "logs before a level was set" | "answer with an error" | "calls of a client that left";
  applies(client: Kind, server: Kind): boolean;
  why: string;
}

export const LOSSES: readonly Loss[] = [
  {
    what: "log messages",
    // MCP 2025-11-25, Logging: `notifications/message` names no request, and here no stream does either.
    applies: (client, server) => hasChannel(server) && (isModern(client) || isModern(server)),
    why: "over one channel a log message does not tell to which request it belongs, and in 2026-07-28 it belongs to one",
  },
  {
    what: "logs before a level was set",
    // MCP 2026-07-28, Logging: a server must not send any for requests without a level.
    applies: (client, server) => !isModern(client) && isModern(server),
    why: "a modern server logs only for requests that name a level, and a legacy client names one when it likes",
  },
  {
    what: "answer with an error",
    // MCP 2026-07-28, Multi Round-Trip Requests: responses are results.
    applies: (client, server) => !isModern(client) && isModern(server),
    why: "a modern server is told results only, so a JSON-RPC error to its question ends the call, or becomes `cancel`",
  },
  {
    what: "calls of a client that left",
    // The end of the channel, or of the stream, is the end of its session or of its request.
    applies: (client) => hasChannel(client) || isModern(client),
    why: "a client whose channel closes has ended its session, and a modern one has cancelled with its connection",
  },
];

export function isLost(what: Loss["what"], client: Kind, server: Kind): boolean {
  return LOSSES.some((loss) => loss.what === what && loss.applies(client, server));
}
