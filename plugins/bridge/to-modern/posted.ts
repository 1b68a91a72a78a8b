/** What a client has posted, as text that keeps all its digits. */
import { type Exchange, JsonObject, type UpstreamRequest } from "../../../core/index.ts";

/** The posted message, as bytes where it came as such. */
export function messageOf({ posted }: Exchange, { body }: UpstreamRequest): JsonObject {
  if (body instanceof Uint8Array) return JsonObject.read(body)!;
  const message = JsonObject.read(Buffer.from(JSON.stringify(body)))!;
  // A hook has changed it, and a number may have lost digits.
  const idText = posted?.idText;
  if (idText !== undefined && body?.id !== undefined && JSON.parse(idText) === body.id) message.set("id", idText);
  return message;
}
