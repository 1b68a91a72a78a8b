import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, plain, post } from "../_harness/wire.ts";

const use = testScope();
const RELEASE_MS = 250;
const STACKS = [
  ["the bare core", []],
  ["standard()", [standard()]],
] as const;
const PHASES = [
  ["before the head of a POST", post(call()), ""],
  ["before the head of a GET", plain("GET"), ""],
  ["on an idle GET stream", plain("GET"), SSE_HEAD],
  ["in the middle of a POST's stream", post(call()), SSE_HEAD + chunk("data: 1\n\n")],
] as const;

describe.each(STACKS)("a client of %s that leaves", (_stack, plugins) => {
  describe.each(["reset", "fin"] as const)("with a %s", (how) => {
    test.each(PHASES)("%s: the server sees its connection close at once", async (_phase, request, answer) => {
      const asked = gate();
      const server = await use(
        rawServer(async (connection) => {
          await connection.receiveRequest();
          connection.send(answer);
          asked.open();
        }),
      );
      const client = await use(rawClient((await use(front(server.url, plugins))).port));
      client.send(request);
      await asked.promise;
      if (answer !== "") await client.receive(answer.includes("data") ? /data: 1/ : /\r\n\r\n/);
      const left = performance.now();
      client[how]();
      const closed = await within((await server.connection()).closed, "the release");
      expect(closed.at - left).toBeLessThan(RELEASE_MS);
    });
  });
});

describe("a client that stops reading", () => {
  // Events with ids: such a stream may end without a response, and gets no error for it.
  const PIECE = Buffer.alloc(64 * 1024, "id: 0123456789\n\n");
  const PIECES = 3200;
  /** Socket buffers of two connections on loopback, and what the proxy itself may hold. */
  const MOST_HELD = 32 * 1024 * 1024;

  test.each(STACKS)(
    "through %s blocks the server, and gets all 200 MB when it reads again",
    async (_stack, plugins) => {
      let sent = 0;
      const blocked = gate();
      const server = await use(
        rawServer(async (connection) => {
          await connection.receiveRequest();
          connection.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
          for (let i = 0; i < PIECES; i++) {
            sent += PIECE.length;
            if (connection.send(PIECE)) continue;
            // Full buffers alone are ordinary; no drain while the event loop turned many times is back-pressure.
            const turns = (async () => {
              for (let turn = 0; turn < 2000; turn++) await new Promise((resolve) => setImmediate(resolve));
              return "still";
            })();
            const drained = once(connection.socket, "drain");
            if ((await Promise.race([drained, turns])) === "still") blocked.open();
            await drained;
          }
          connection.fin();
        }),
      );
      const { port } = await use(front(server.url, plugins));
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      socket.write(post(call()));
      const [first] = (await once(socket, "data")) as [Buffer];
      socket.pause();
      await within(blocked.promise, "the server to be blocked", { timeout: 5000 });
      const held = sent;
      expect(held).toBeLessThan(MOST_HELD);
      const hash = createHash("sha256");
      let bytes = 0;
      const body = unchunk((piece) => {
        hash.update(piece);
        bytes += piece.length;
      });
      body(first);
      socket.on("data", body);
      socket.resume();
      await within(
        once(socket, "data").then(() => new Promise<void>((resolve) => (body.done = resolve))),
        "all bytes",
        { timeout: 8000 },
      );
      socket.destroy();
      await once(socket, "close");
      const wanted = createHash("sha256");
      for (let i = 0; i < PIECES; i++) wanted.update(PIECE);
      expect(bytes).toBe(PIECES * PIECE.length);
      expect(hash.digest("hex")).toBe(wanted.digest("hex"));
    },
    20_000,
  );
});

/** Takes a chunked response apart as it comes; the harness's parser would keep 200 MB as text. */
function unchunk(onPiece: (piece: Buffer) => void) {
  let rest: Buffer = Buffer.alloc(0);
  let inHead = true;
  let left = 0;
  const feed = (data: Buffer) => {
    rest = rest.length > 0 ? Buffer.concat([rest, data]) : data;
    for (;;) {
      if (left > 2) {
        const piece = rest.subarray(0, Math.min(left - 2, rest.length));
        if (piece.length === 0) return;
        onPiece(piece);
        left -= piece.length;
        rest = rest.subarray(piece.length);
      } else if (left > 0) {
        if (rest.length < left) return;
        rest = rest.subarray(left);
        left = 0;
      } else {
        const mark = inHead ? "\r\n\r\n" : "\r\n";
        const at = rest.indexOf(mark);
        if (at === -1) return;
        const line = rest.subarray(0, at).toString("latin1");
        rest = rest.subarray(at + mark.length);
        if (inHead) inHead = false;
        else if (line === "0") return feed.done();
        else left = Number.parseInt(line, 16) + 2;
      }
    }
  };
  feed.done = () => {};
  return feed;
}
