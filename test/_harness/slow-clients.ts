import { type RawClient, rawClient } from "./peers.ts";
import type { Use } from "./scope.ts";
import { call, post } from "./wire.ts";

/** What a client that holds its connection sends, and no more. */
export type Slow = "nothing" | "half a head" | "a head, byte by byte" | "half a body" | "a body, byte by byte";

const HEAD = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
const BEGINNINGS: Record<Slow, string> = {
  nothing: "",
  "half a head": HEAD,
  "a head, byte by byte": `${HEAD}x-slow: `,
  "half a body": `${HEAD}content-length: 1000\r\n\r\n{`,
  "a body, byte by byte": `${HEAD}content-length: 100000\r\n\r\n{`,
};

/** Many clients of one kind. */
export interface SlowClients {
  /** How long each was let wait, in milliseconds. */
  readonly ended: Promise<number[]>;
  /** The status that each was told, or `closed`. */
  fates(): string[];
}

/** Opens them. @param pace between two bytes, in milliseconds */
export async function openSlow(use: Use, port: number, count: number, kind: Slow, pace = 50): Promise<SlowClients> {
  const clients: RawClient[] = [];
  const ends: Promise<number>[] = [];
  for (let i = 0; i < count; i++) {
    const client = await use(rawClient(port));
    const since = performance.now();
    client.send(BEGINNINGS[kind]);
    clients.push(client);
    ends.push(client.ended.then(({ at }) => at - since));
  }
  const dripping = kind.endsWith("byte by byte")
    ? setInterval(() => {
        for (const { socket } of clients) if (!socket.destroyed && !socket.readableEnded) socket.write("x");
      }, pace)
    : undefined;
  const ended = Promise.all(ends).finally(() => clearInterval(dripping));
  ended.catch(() => {});
  return {
    ended,
    fates: () => clients.map(({ received }) => /^HTTP\/1\.1 (\d{3})/.exec(received)?.[1] ?? "closed"),
  };
}

/** Calls one after the other until something has happened. @returns how long each took, in milliseconds, sorted */
export async function expectHealthy(use: Use, port: number, until: Promise<unknown>): Promise<number[]> {
  let over = false;
  void until.finally(() => (over = true)).catch(() => {});
  const times: number[] = [];
  const client = await use(rawClient(port));
  do {
    const since = performance.now();
    client.send(post(call()));
    const { status } = await client.receiveResponse();
    if (status !== 200) throw new Error(`a healthy call was answered with ${status}`);
    times.push(performance.now() - since);
    await new Promise((resolve) => setTimeout(resolve, 20));
    // oxlint-disable-next-line no-unmodified-loop-condition -- the promise changes it
  } while (!over);
  return times.sort((a, b) => a - b);
}
