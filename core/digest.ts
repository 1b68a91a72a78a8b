import { createHash } from "node:crypto";

/** SHA-256 of a text, in hexadecimal: it can be compared, and tells nothing of what it was made from. */
export function digest(text: string | Uint8Array): string {
  // Web Crypto would take a turn through a thread for some microseconds of work.
  return createHash("sha256").update(text).digest("hex");
}
