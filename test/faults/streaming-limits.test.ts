import { describe, expect, test } from "vitest";
import { type RawConnection, gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { framing, onMessage, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { vitals } from "../_harness/vitals.ts";
import { SSE_HEAD, call, chunk, front, plain, post } from "../_harness/wire.ts";

const use = testScope();
const LIMIT = 100_000;
const MB = 1e6;
/** An event of so many bytes. */
const eventOf = (bytes: number) => {
  const event = (text: string) => `data: {"jsonrpc":"2.0","id":9,"method":"n","params":{"text":"${text}"}}\n\n`;
  return event("x".repeat(bytes - event("").length));
};
const READERS = [
  ["that looks for requests", () => [framing()]],
  ["that reads notifications", () => [onMessage("down", "notification", "pass")]],
  ["of standard()", () => [standard()]],
] as const;

/** A server for a call, which goes as the test says, and for a GET, which stays open. */
async function twoStreams(fail: (connection: RawConnection) => unknown, plugins: unknown, server: object) {
  const upstream = await use(
    rawServer(async (connection) => {
      const { method } = await connection.receiveRequest();
      connection.send(SSE_HEAD);
      if (method === "POST") await fail(connection);
    }),
  );
  const proxy = await use(front(upstream.url, plugins, server));
  const listener = await use(rawClient(proxy.port));
  listener.send(plain("GET"));
  await listener.receive(/\r\n\r\n/);
  const caller = await use(rawClient(proxy.port));
  return {
    proxy,
    caller,
    call: () => caller.send(post(call(5))),
    connection: () => upstream.connection(1),
    /** The other stream goes on. */
    async expectOther() {
      (await upstream.connection(0)).send(chunk("data: still here\n\n"));
      await listener.receive(/still here/);
    },
  };
}

describe.each(READERS)("ST-11 for a hook %s", (_, plugins) => {
  test("an event of the limit passes; of one byte more the caller gets its error, and the server is let go", async () => {
    const [fits, over] = [eventOf(LIMIT), eventOf(LIMIT + 1)];
    const seen = gate();
    const fail = async (connection: RawConnection) => {
      connection.send(chunk(fits) + chunk(over.slice(0, 50_000)));
      await seen.promise;
      connection.send(chunk(over.slice(50_000)));
    };
    const streams = await twoStreams(fail, plugins(), { maxMessageBytes: LIMIT });
    streams.call();
    await streams.caller.receive(/x"\}\}\n\n/);
    seen.open();
    await within(streams.caller.ended, "the cut");
    const { body, complete } = streams.caller.response();
    expect(complete).toBe(false);
    expect(body.slice(0, fits.length)).toBe(fits);
    expect(body.slice(fits.length)).toMatch(/^data: \{"jsonrpc":"2\.0","id":5,"error":.*UPSTREAM_TOO_LARGE.*\n\n$/);
    await within((await streams.connection()).closed, "the release");
    await streams.expectOther();
  });

  test("a data line without an end is cut at the limit, and meanwhile nothing grows but what is held of it", async () => {
    const limit = 4 * MB;
    const streams = await twoStreams(endless, plugins(), { maxMessageBytes: limit });
    const net = await vitals(streams.proxy);
    streams.call();
    await within(streams.caller.ended, "the cut", { timeout: 5000 });
    expect(streams.caller.response().body).toMatch(
      /^data: \{"jsonrpc":"2\.0","id":5,"error":.*UPSTREAM_TOO_LARGE.*\n\n$/,
    );
    await within((await streams.connection()).closed, "the release");
    expect((await net.now()).rss - net.baseline.rss).toBeLessThan(48 * MB);
    await streams.expectOther();
  });
});

test("ST-11 where nobody reads it, a data line without an end just flows, and nothing grows", async () => {
  const streams = await twoStreams(endless, [], {});
  let bytes = 0;
  let until: [number, () => void] = [Infinity, () => {}];
  streams.caller.socket.removeAllListeners("data");
  streams.caller.socket.on("data", (data) => {
    bytes += data.length;
    if (bytes > until[0]) until[1]();
  });
  const flowed = (count: number) =>
    within(new Promise<void>((resolve) => (until = [count, resolve])), `${count} bytes`, { timeout: 8000 });
  streams.call();
  await flowed(30 * MB);
  const net = await vitals(streams.proxy);
  await flowed(bytes + 80 * MB);
  expect((await net.now()).rss - net.baseline.rss).toBeLessThan(48 * MB);
  await streams.expectOther();
  streams.caller.reset();
  await within((await streams.connection()).closed, "the release");
});

/** `data:` and never a line end. */
function endless(connection: RawConnection): void {
  const piece = Buffer.alloc(64 * 1024, 0x78);
  const text = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
  const fill = () => {
    while (!connection.socket.destroyed && connection.socket.write(text));
  };
  connection.send(chunk("data: "));
  connection.socket.on("drain", fill);
  fill();
}
