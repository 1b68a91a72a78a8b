import { type AddressInfo, type Server as TcpServer, createServer } from "node:net";

/** Anything the harness starts: closed by hand, or at the end of a scope by `await using`. */
export interface Closeable extends AsyncDisposable {
  close(): Promise<void>;
}

/** Adds the disposal symbol to an object that has a `close()`; getters of the object survive. */
export function closeable<T extends { close(): Promise<void> }>(thing: T): T & Closeable {
  return Object.assign(thing, { [Symbol.asyncDispose]: () => thing.close() });
}

/** Binds a server to a port of 127.0.0.1, a free one unless it is named, and returns that port. */
export async function listen(server: TcpServer, port = 0): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** Stops a server without waiting for clients to leave: open streams and kept-alive connections are cut. */
export async function stop(server: TcpServer & { closeAllConnections?(): void }): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections?.();
  await closed;
}

/** Below the ports that systems hand out by themselves. */
const [FIRST, LAST] = [10_240, 32_000];

/** A port on which nobody listens, and which nobody is given who asks for any: two test files never meet on it. */
export async function deadPort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await stop(server);
    return port;
  }
}
