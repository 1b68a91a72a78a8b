/** How long any wait of the harness may last, in milliseconds, before it fails with a message. */
export const FAIL_SAFE_MS = 2_000;

/** Options of every helper that waits. */
export interface WaitOptions {
  /** Milliseconds before the wait fails; `Infinity` waits for ever. */
  timeout?: number | undefined;
}

/**
 * Fails a promise that takes too long. A test that waits for an event of the other side would otherwise only end with the
 * runner's own time-out, which cannot say what was missing.
 */
export async function within<T>(
  promise: Promise<T>,
  what: string | (() => string),
  { timeout = FAIL_SAFE_MS }: WaitOptions = {},
): Promise<T> {
  if (timeout === Infinity) return promise;
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`after ${timeout} ms still waiting for ${typeof what === "string" ? what : what()}`));
    }, timeout);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}
