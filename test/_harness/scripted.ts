import { type ParsedRequest, type RawConnection, type RawServer, type RawServerOptions, rawServer } from "./peers.ts";

/** What a scripted server does with one request: bytes, nothing at all, or the end of the connection. */
export type Scripted = string | "hang" | "reset";

/** Everything that a scripted server was asked, beside the raw server. */
export interface ScriptedServer {
  server: RawServer;
  /** `POST initialize`, `GET`, `DELETE <session>` … in order. */
  seen: string[];
  requests: ParsedRequest[];
}

/** A raw server that answers each request as a function says. It is closed by whoever called. */
export async function scripted(
  answer: (request: ParsedRequest, connection: RawConnection) => Scripted | Promise<Scripted>,
  options?: RawServerOptions,
): Promise<ScriptedServer> {
  const seen: string[] = [];
  const requests: ParsedRequest[] = [];
  const server = await rawServer(async (connection) => {
    for await (const request of connection.requests()) {
      seen.push(nameOf(request));
      requests.push(request);
      const said = await answer(request, connection);
      if (said === "reset") connection.reset();
      else if (said !== "hang") connection.send(said);
    }
  }, options);
  return { server, seen, requests };
}

/** The JSON-RPC method of a posted message. */
export function methodOf({ body }: ParsedRequest): string | undefined {
  return body ? (JSON.parse(body) as { method?: string }).method : undefined;
}

/** The text of the id of a posted message. */
export function idOf({ body }: ParsedRequest): string {
  return JSON.stringify((JSON.parse(body) as { id?: unknown }).id);
}

function nameOf(request: ParsedRequest): string {
  const more = request.method === "POST" ? methodOf(request) : request.headers["mcp-session-id"];
  return more === undefined ? request.method : `${request.method} ${more}`;
}
