/** Posted bodies: read whole, within a limit in bytes, and with a limit for pauses. */
import { joinChunks } from "../body/sse.ts";
import type { Deadlines } from "../deadlines.ts";
import { ProxyError } from "../errors.ts";

/** A client may pause this long within its message, in milliseconds. */
const BODY_GAP = 30_000;

/** What is used of Node's `IncomingMessage`. */
export interface NodeReadable {
  rawHeaders: string[];
  headers: Record<string, string | string[] | undefined>;
  on(event: string, listener: (value: never) => void): unknown;
  pause(): unknown;
}

/** What is used of Node's `ServerResponse`. */
interface NodeResponse {
  readonly headersSent?: boolean;
  setHeader?(name: string, value: string): unknown;
}

/**
 * @param limit in bytes
 * @throws ProxyError `BODY_TOO_LARGE`, `BODY_TIMEOUT` or `CLIENT_GONE`
 */
export function readNodeBody(
  { req, res }: { req: NodeReadable; res?: NodeResponse },
  limit: number,
  deadlines: Deadlines,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const gap = deadlines.after(BODY_GAP, () => fail(new ProxyError("BODY_TIMEOUT")));
    // The listeners go with the request: taking them off one by one costs a small request more than they do.
    let over = false;
    const fail = (error: ProxyError) => {
      if (over) return;
      over = true;
      gap.cancel();
      req.pause();
      // What is left of the body is never read, so no other request can come on this connection.
      if (!res?.headersSent) res?.setHeader?.("connection", "close");
      reject(error);
    };
    const onData = (chunk: Uint8Array) => {
      if (over) return;
      size += chunk.length;
      if (size > limit) return fail(new ProxyError("BODY_TOO_LARGE"));
      chunks.push(chunk);
      gap.restart();
    };
    const onEnd = () => {
      over = true;
      gap.cancel();
      resolve(chunks.length === 0 ? new Uint8Array() : joinChunks(chunks));
    };
    const onClose = () => {
      // Every request closes; an error is made only for those that are not whole.
      if (!over) fail(new ProxyError("CLIENT_GONE"));
    };
    if (Number(req.headers["content-length"]) > limit) return fail(new ProxyError("BODY_TOO_LARGE"));
    req.on("data", onData as never);
    req.on("end", onEnd);
    req.on("close", onClose);
    req.on("error", onClose);
  });
}

/** The same for hosts other than Node's server. */
export async function readWebBody(request: Request, limit: number, deadlines: Deadlines): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  let expire: (error: ProxyError) => void = () => {};
  const expired = new Promise<never>((_, reject) => (expire = reject));
  // Nobody waits for it once the body is whole.
  expired.catch(() => {});
  const gap = deadlines.after(BODY_GAP, () => expire(new ProxyError("BODY_TIMEOUT")));
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
