/** Requests written byte by byte, each over a connection of its own. */
import { rawClient } from "../_harness/peers.ts";
import type { Use } from "../_harness/scope.ts";
import { call } from "../_harness/wire.ts";

/** A request; what is left out is as an ordinary client would send it. */
export interface Asked {
  /** @default "POST", with a JSON-RPC call */
  method?: string;
  /** @default "/mcp" */
  target?: string;
  /** `null`: no such field. @default "localhost" */
  host?: string | null;
  /** Whole lines, without CRLF. */
  fields?: readonly string[];
  /** @default a call of `tools/list` for POST, PUT and PATCH, else none */
  body?: string;
}

/** Methods that carry a body where nothing else is said. */
const WITH_BODY = new Set(["POST", "PUT", "PATCH"]);

/** Sends requests to a proxy, and reads what it answers. */
export function asking(use: Use, port: number) {
  return async ({ method = "POST", target = "/mcp", host = "localhost", fields = [], body }: Asked = {}) => {
    const client = await use(rawClient(port));
    const content = body ?? (WITH_BODY.has(method) ? call() : "");
    const lines = [`${method} ${target} HTTP/1.1`, ...(host === null ? [] : [`host: ${host}`]), ...fields];
    if (content) lines.push("content-type: application/json", `content-length: ${Buffer.byteLength(content)}`);
    client.send(`${lines.join("\r\n")}\r\n\r\n${content}`);
    const answer = await client.receiveResponse({ method });
    await client.close();
    return answer;
  };
}
