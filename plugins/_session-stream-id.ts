/** Event ids: they tell the session, the process, the stream, the request that it answers, and the position in it. */

/** `p` answers a POST, `g` is the stream that a GET opens. */
export type StreamKind = "p" | "g";

/** What an event id says. */
export interface EventId {
  /** All of it but the position. */
  name: string;
  kind: StreamKind;
  session: string;
  epoch: string;
  number: number;
  position: number;
  /** The id of the request that the stream answers, as the client wrote it; nothing where that was too long. */
  idText: string | undefined;
}

const EVENT_ID = /^(([pg])\.([\da-f]{1,32})\.([\da-f]{12})\.(\d{1,15})\.([\w-]*))-(\d{1,15})$/;
/** Longest id of a request that is carried along, in bytes. */
const MAX_CARRIED = 96;

/**
 * @param session in hexadecimal
 * @param epoch of this process, 12 hexadecimal digits
 * @param number of the stream
 */
export function streamName(
  kind: StreamKind,
  session: string,
  epoch: string,
  number: number,
  idText: string | undefined,
): string {
  const carried = idText === undefined ? "" : Buffer.from(idText).toString("base64url");
  return `${kind}.${session}.${epoch}.${number}.${carried.length <= MAX_CARRIED ? carried : ""}`;
}

export function parseEventId(text: string): EventId | undefined {
  const [, name, kind, session, epoch, number, carried, position] = EVENT_ID.exec(text) ?? [];
  if (name === undefined) return undefined;
  const idText = carried === "" ? undefined : Buffer.from(carried!, "base64url").toString();
  return {
    name,
    kind: kind as StreamKind,
    session: session!,
    epoch: epoch!,
    number: Number(number),
    position: Number(position),
    idText: idText !== undefined && isId(idText) ? idText : undefined,
  };
}

/** Whoever made it up: it becomes part of a message. */
function isId(text: string): boolean {
  try {
    const id: unknown = JSON.parse(text);
    return typeof id === "string" || typeof id === "number";
  } catch {
    return false;
  }
}
