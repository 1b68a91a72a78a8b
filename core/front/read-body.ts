/** Posted bodies of a host program's requests: read whole, within a limit in bytes, and with a limit for pauses. */
import { joinChunks } from "../body/sse.ts";
import type { Deadlines } from "../deadlines.ts";
import { ProxyError } from "../errors.ts";

/**
 * @param limit in bytes
 * @param pause longest one between two pieces, in milliseconds
 * @throws ProxyError `BODY_TOO_LARGE`, `BODY_TIMEOUT` or `CLIENT_GONE`
 */
export async function readWebBody(
  request: Request,
  limit: number,
  pause: number,
  deadlines: Deadlines,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  let expire: (error: ProxyError) => void = () => {};
  const expired = new Promise<never>((_, reject) => (expire = reject));
  // Nobody waits for it once the body is whole.
  expired.catch(() => {});
  const gap = deadlines.after(pause, () => expire(new ProxyError("BODY_TIMEOUT")));
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), expired]);
      if (done) return chunks.length === 0 ? new Uint8Array() : joinChunks(chunks);
      size += value.length;
      if (size > limit) throw new ProxyError("BODY_TOO_LARGE");
      chunks.push(value);
      gap.restart();
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof ProxyError ? error : new ProxyError("CLIENT_GONE", { cause: error });
  } finally {
    gap.cancel();
  }
}
