import { connect, type Socket } from "node:net";
import { type Closeable, closeable } from "../loopback.ts";
import { type WaitOptions, within } from "../wait.ts";
import { findHttpResponse, type ParsedResponse, parseHttpResponse } from "./http.ts";
import { type Peer, peer } from "./peer.ts";

/** A raw client connection. */
export interface RawClient extends Peer, Closeable {
  /** Waits for one whole response, its marked end included, and consumes it, so that the next call reads the next one. */
  receiveResponse(options?: WaitOptions & { method?: string }): Promise<ParsedResponse>;
  /** The first response as far as it has arrived; throws while there is no whole head. */
  response(): ParsedResponse;
}

/** Connects to a port of 127.0.0.1. Either side may half-close; this one never does so by itself. */
export async function rawClient(port: number): Promise<RawClient> {
  const socket = await connected(port);
  const base = peer(socket);
  let ended = false;
  void base.ended.then(() => {
    ended = true;
  });
  return closeable(
    // Assigned, not spread: `received` is a getter.
    Object.assign(base, {
      response: () => parseHttpResponse(base.received, { ended }),
      receiveResponse({ method = "GET", ...options }: WaitOptions & { method?: string } = {}) {
        return base.take(
          (pending, over) => {
            const value = findHttpResponse(pending, { ended: over, method });
            return value?.complete ? { value, length: value.length } : undefined;
          },
          "a whole response",
          options,
        );
      },
      async close() {
        socket.destroy();
        await base.closed;
      },
    }),
  );
}

async function connected(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const opened = new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  await within(opened, `a connection to port ${port}`);
  return socket;
}
