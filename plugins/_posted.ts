import { type UpstreamRequest, isRecord } from "../core/index.ts";

const decoder = new TextDecoder();

/** The JSON-RPC method of what is about to be sent, which need not be what the client posted; nothing for a response or no message. */
export function postedMethod({ body }: UpstreamRequest): string | undefined {
  if (body === null) return undefined;
  if (!(body instanceof Uint8Array)) return body.method;
  try {
    const message: unknown = JSON.parse(decoder.decode(body));
    return isRecord(message) && typeof message.method === "string" ? message.method : undefined;
  } catch {
    return undefined;
  }
}
