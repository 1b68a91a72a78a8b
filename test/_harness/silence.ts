import { expect } from "vitest";
import { rawClient, rawServer } from "./peers.ts";
import type { Use } from "./scope.ts";
import { SSE_HEAD, call, chunk, front, plain, post } from "./wire.ts";

/**
 * Opens two streams through each stack of plugins, a GET and a call, and lets their server be silent. Then each must get its
 * next event, and nothing else but the comments that were due.
 *
 * @param ms of silence
 * @param server more of the server's configuration
 * @param stacks name, plugins, and how many comments there must be at least
 */
export async function silence(
  use: Use,
  ms: number,
  server: object,
  stacks: readonly (readonly [name: string, plugins: unknown, comments: number])[],
): Promise<void> {
  const upstream = await use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(SSE_HEAD + chunk('data: {"jsonrpc":"2.0","method":"first"}\n\n'));
    }),
  );
  const listening = [];
  for (const [name, plugins, comments] of stacks) {
    const { port } = await use(front(upstream.url, plugins, server));
    for (const request of [plain("GET"), post(call(1, "tools/call"))]) {
      const client = await use(rawClient(port));
      client.send(request);
      await client.receive(/"first"\}\n\n/);
      const connection = await upstream.connection(listening.length);
      listening.push({ name, comments, client, connection });
    }
  }
  // Time is the subject.
  await new Promise((resolve) => setTimeout(resolve, ms));
  for (const { name, comments, client, connection } of listening) {
    connection.send(chunk('data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n') + chunk(""));
    await client.receive(/0\r\n\r\n$/);
    const { body, complete } = client.response();
    expect({ name, complete, body: body.replaceAll(": keep-alive\n\n", "") }).toEqual({
      name,
      complete: true,
      body: 'data: {"jsonrpc":"2.0","method":"first"}\n\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n',
    });
    expect((body.match(/: keep-alive\n\n/g) ?? []).length, name).toBeGreaterThanOrEqual(comments);
  }
}
