import { type Socket, connect, createServer } from "node:net";
import { type Closeable, closeable, listen, stop } from "./loopback.ts";

/** A wire in front of a proxy that can be cut. */
export interface Breakable extends Closeable {
  /** The same URL, by way of this wire. */
  readonly url: string;
  /** Cuts every connection there is, on both sides. @returns how many */
  cut(): number;
  /** So many connections were made. */
  readonly connections: number;
}

/** Puts a wire between a client and a URL; the connections break when they are told to, and new ones are made. */
export async function breakable(url: string): Promise<Breakable> {
  const target = new URL(url);
  const pairs = new Set<readonly [Socket, Socket]>();
  let connections = 0;
  const server = createServer((near) => {
    connections++;
    const far = connect(Number(target.port), target.hostname);
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.on("close", () => {
        pairs.delete(pair);
        for (const each of pair) each.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  const port = await listen(server);
  const wire = new URL(url);
  wire.port = String(port);
  function cut(): number {
    const count = pairs.size;
    for (const [near, far] of pairs) {
      near.resetAndDestroy();
      far.destroy();
    }
    return count;
  }
  return closeable({
    url: wire.href,
    cut,
    get connections() {
      return connections;
    },
    async close() {
      cut();
      await stop(server);
    },
  });
}
