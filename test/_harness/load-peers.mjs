/**
 * One end of many streams: a process of its own, so that what it costs is not measured with the proxy. It is told what to do in
 * lines of JSON on stdin, and answers on stdout. `node load-peers.mjs server` or `… client`.
 */
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
/** Comparable between processes of one machine. */
const now = () => performance.timeOrigin + performance.now();
const sockets = new Set();

/** Answers GET with a stream that stays open, and a POST with as many bytes of JSON as its `x-bytes` asks for. */
function server() {
  const streams = new Set();
  let ticking;
  const listening = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      streams.delete(socket);
    });
    let held = "";
    socket.on("data", (bytes) => {
      held += bytes.toString("latin1");
      const end = held.indexOf("\r\n\r\n");
      if (end === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(held)?.[1] ?? 0);
      if (held.length < end + 4 + length) return;
      const [head] = [held.slice(0, end), (held = held.slice(end + 4 + length))];
      if (head.startsWith("GET")) {
        streams.add(socket);
        return void socket.write(HEAD + chunk(": open\n\n"));
      }
      const text = "x".repeat(Number(/x-bytes: (\d+)/i.exec(head)?.[1] ?? 0));
      const body = `{"jsonrpc":"2.0","id":1,"result":{"text":"${text}"}}`;
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
    });
  });
  return {
    listen: () =>
      new Promise((resolve) => listening.listen(0, "127.0.0.1", 4096, () => resolve(listening.address().port))),
    count: () => streams.size,
    /** Every stream gets an event with the time every so many milliseconds, the streams spread over them. 0 ends it. */
    tick({ every }) {
      clearInterval(ticking);
      if (every === 0) return;
      const slots = Math.max(1, Math.floor(every / 5));
      let slot = 0;
      ticking = setInterval(() => {
        slot = (slot + 1) % slots;
        let i = 0;
        for (const socket of streams)
          if (i++ % slots === slot)
            socket.write(chunk(`data: {"jsonrpc":"2.0","method":"tick","params":{"at":${now().toFixed(3)}}}\n\n`));
      }, 5);
    },
  };
}

/** Opens streams, notes how late their events are, and calls. */
function client() {
  const path = "/mcp";
  let late = [];
  const open = (port) =>
    new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1");
      sockets.add(socket);
      let opened = false;
      socket.setNoDelay(true);
      socket.on("error", reject);
      socket.on("close", () => {
        sockets.delete(socket);
        reject(new Error("closed"));
      });
      socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n`);
      socket.on("data", (bytes) => {
        const text = bytes.toString("latin1");
        if (!opened && text.includes(": open")) resolve((opened = true));
        for (const [, at] of text.matchAll(/"at":([\d.]+)/g)) late.push(now() - Number(at));
      });
    });
  return {
    async open({ port, count }) {
      const since = performance.now();
      let left = count;
      const worker = async () => {
        while (left-- > 0) await open(port);
      };
      await Promise.all(Array.from({ length: 64 }, worker));
      return performance.now() - since;
    },
    count: () => sockets.size,
    async close() {
      const all = [...sockets];
      const closed = all.map((socket) => new Promise((resolve) => socket.on("close", resolve)));
      for (const socket of all) socket.destroy();
      await Promise.all(closed);
    },
    /** @returns how late events were, in milliseconds, sorted; forgets them */
    ticks() {
      const sorted = late.sort((a, b) => a - b);
      late = [];
      const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
      return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
    },
    /** One call. @returns its duration, its status and the bytes that came */
    call: ({ port, bytes = 0 }) =>
      new Promise((resolve, reject) => {
        const since = performance.now();
        const socket = connect(port, "127.0.0.1");
        const body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}';
        socket.on("error", reject);
        socket.write(
          `POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\nx-bytes: ${bytes}\r\naccept: application/json, text/event-stream\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        );
        let came = 0;
        let status = 0;
        socket.on("data", (data) => {
          if (came === 0) status = Number(data.toString("latin1", 9, 12));
          came += data.length;
        });
        socket.on("close", () => resolve({ ms: performance.now() - since, status, bytes: came }));
      }),
  };
}

const does = process.argv[2] === "server" ? server() : client();
const lines = createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const { id, what, ...args } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ id, result: (await does[what](args)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ id, error: String(error) }));
  }
});
// The tests have gone.
lines.on("close", () => process.exit());
