// The MCP server behind every target: `node upstream.mjs <kind> <port>`. It answers a tools/call with prepared bytes and
// does as little else as possible, because it shares a core with the load generator.
import { createServer } from "node:net";
import { answers, protocolVersion } from "./workloads.mjs";

const [kind, port] = process.argv.slice(2);
const sendSize = 16 * 1024;
const endOfHead = Buffer.from("\r\n\r\n");
const toolsCall = Buffer.from('"tools/call"');
const sends = prepare(answers[kind]);

/** Head and body as the pieces that go to the socket, one send each. */
function prepare({ type, body, chunks }) {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n`;
  if (!chunks) return [Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body])];
  const framed = chunks.map((chunk) => `${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`).join("");
  const bytes = Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n${framed}0\r\n\r\n`);
  const pieces = [];
  for (let at = 0; at < bytes.length; at += sendSize) pieces.push(bytes.subarray(at, at + sendSize));
  return pieces;
}

/** Offset behind a chunked body that starts at `at`, or 0 while it is incomplete. Trailers are not expected. */
function endOfChunks(buffer, at) {
  for (;;) {
    const lineEnd = buffer.indexOf("\r\n", at);
    if (lineEnd < 0) return 0;
    const size = Number.parseInt(buffer.latin1Slice(at, lineEnd), 16);
    at = lineEnd + 2 + size + 2;
    if (!(at <= buffer.length)) return 0;
    if (size === 0) return at;
  }
}

/** Where the first request in `buffer` has its body and its end; nothing while it is incomplete. */
function parse(buffer) {
  const headEnd = buffer.indexOf(endOfHead);
  if (headEnd < 0) return;
  const head = buffer.latin1Slice(0, headEnd);
  const bodyAt = headEnd + 4;
  const length = /\ncontent-length: *(\d+)/i.exec(head);
  const chunked = !length && /\ntransfer-encoding: *chunked/i.test(head);
  const end = chunked ? endOfChunks(buffer, bodyAt) : bodyAt + (length ? Number(length[1]) : 0);
  if (end && end <= buffer.length) return { head, bodyAt, end };
}

function reply(socket, status, body = "", headers = "") {
  socket.write(
    `HTTP/1.1 ${status}\r\n${headers}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}

/** Everything besides tools/call: enough of a session server for proxies that probe and open sessions. */
function answerHandshake(socket, head, body) {
  if (head.startsWith("DELETE")) return reply(socket, "204 No Content");
  if (!head.startsWith("POST")) return reply(socket, "405 Method Not Allowed", "", "Allow: POST, DELETE\r\n");
  const message = JSON.parse(body.slice(body.indexOf("{"), body.lastIndexOf("}") + 1));
  if (message.id === undefined) return reply(socket, "202 Accepted");
  const answer = (rest) => JSON.stringify({ jsonrpc: "2.0", id: message.id, ...rest });
  if (message.method === "initialize") {
    const serverInfo = { name: "bench", version: "1.0.0" };
    const result = { protocolVersion, capabilities: { tools: {} }, serverInfo };
    return reply(socket, "200 OK", answer({ result }), "Mcp-Session-Id: 5f1c9a52-7f0e-4f6b-9c6e-0a7c1d2e3f40\r\n");
  }
  if (message.method === "ping") return reply(socket, "200 OK", answer({ result: {} }));
  // What a server older than server/discover says to a request without a session.
  reply(socket, "400 Bad Request", answer({ error: { code: -32000, message: "Server not initialized" } }));
}

createServer({ noDelay: true }, (socket) => {
  let rest;
  socket.on("error", () => socket.destroy());
  socket.on("data", (data) => {
    let buffer = rest ? Buffer.concat([rest, data]) : data;
    for (let request; buffer.length > 0 && (request = parse(buffer)); buffer = buffer.subarray(request.end)) {
      const body = buffer.subarray(request.bodyAt, request.end);
      if (body.includes(toolsCall)) for (const piece of sends) socket.write(piece);
      else answerHandshake(socket, request.head, body.toString());
    }
    rest = buffer.length > 0 ? buffer : undefined;
  });
}).listen(Number(port), "127.0.0.1");
