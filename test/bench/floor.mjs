// The floor: the least that a Node relay can do, `node floor.mjs <upstream url> <port>`. No framework, no hooks, no joining
// of writes. Every other target is quoted as a ratio to it, because a ratio to C code does not travel between machines.
import { createServer } from "node:http";
import { Client } from "undici";

const [upstream, port] = process.argv.slice(2);
const { origin, pathname: path } = new URL(upstream);
const hop = new Set(["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]);
const own = new Set([...hop, "host", "content-length", "expect"]); // undici writes these itself
const idle = []; // last in, first out: the warmest connection is taken first

function without(names, raw) {
  const kept = [];
  for (let i = 0; i < raw.length; i += 2) {
    if (!names.has(`${raw[i]}`.toLowerCase())) kept.push(`${raw[i]}`, `${raw[i + 1]}`);
  }
  return kept;
}

createServer((req, res) => {
  const chunks = [];
  req.on("data", (chunk) => chunks.push(chunk));
  req.on("end", () => {
    const client = idle.pop() ?? new Client(origin, { bodyTimeout: 0, headersTimeout: 0 });
    const body = chunks.length > 1 ? Buffer.concat(chunks) : chunks[0];
    client.dispatch(
      { method: req.method, path, headers: without(own, req.rawHeaders), body },
      {
        onRequestStart: (control) =>
          res.on("close", () => res.writableFinished || control.abort(new Error("client left"))),
        onResponseStart(control, status) {
          if (status < 200) return;
          res.on("drain", () => res.writableEnded || control.resume());
          res.writeHead(status, without(hop, control.rawHeaders));
        },
        onResponseData: (control, chunk) => res.write(chunk) || control.pause(),
        onResponseEnd: () => (idle.push(client), res.end()),
        onResponseError: () => (idle.push(client), res.headersSent ? res.destroy() : res.writeHead(502).end()),
      },
    );
  });
}).listen(Number(port), "127.0.0.1");
