// The MCP server behind every target: `node upstream.mjs <kind> <port>`. It answers a tools/call with prepared bytes and
// does as little else as possible, because it shares a core with the load generator.
import { createServer } from "node:net";
import { answerTo, modernAnswerTo } from "./canned.mjs";
import { parse } from "./http1.mjs";
import { answers } from "./workloads.mjs";

const [kind, port] = process.argv.slice(2);
const sendSize = 16 * 1024;
const idleStream =
  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n: open\n\n\r\n";
const toolsCall = Buffer.from('"tools/call"');
const sends = answers[kind] && prepare(answers[kind]);
const sendsAndClose = answers[kind] && prepare(answers[kind], "Connection: close\r\n");

/** Head and body as the pieces that go to the socket, one send each. */
function prepare({ type, body, chunks }, more = "") {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n${more}`;
  if (!chunks) return [Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body])];
  const framed = chunks.map((chunk) => `${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`).join("");
  const bytes = Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n${framed}0\r\n\r\n`);
  const pieces = [];
  for (let at = 0; at < bytes.length; at += sendSize) pieces.push(bytes.subarray(at, at + sendSize));
  return pieces;
}

function reply(socket, status, body = "", headers = "") {
  socket.write(
    `HTTP/1.1 ${status}\r\n${headers}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}

/** At `/modern` is a server of 2026-07-28. */
function answerModern(socket, body) {
  const { status, text } = modernAnswerTo(body.latin1Slice());
  reply(socket, status, text);
}

function answerCall(socket, head, body) {
  // In the MCP work every call has an id of its own.
  if (!sends) return reply(socket, "200 OK", answerTo(body.latin1Slice()));
  const last = head.includes("onnection: close");
  for (const piece of last ? sendsAndClose : sends) socket.write(piece);
  if (last) socket.end();
}

/** Everything besides tools/call: enough of a session server for proxies that probe and open sessions. */
function answerHandshake(socket, head, body) {
  if (head.startsWith("DELETE")) return reply(socket, "204 No Content");
  // A stream that stays silent: W5 opens thousands of them.
  if (head.startsWith("GET") && kind === "w5") return socket.write(idleStream);
  if (!head.startsWith("POST")) return reply(socket, "405 Method Not Allowed", "", "Allow: POST, DELETE\r\n");
  const message = JSON.parse(body.slice(body.indexOf("{"), body.lastIndexOf("}") + 1));
  if (message.id === undefined) return reply(socket, "202 Accepted");
  const answer = (rest) => JSON.stringify({ jsonrpc: "2.0", id: message.id, ...rest });
  if (message.method === "initialize") {
    const serverInfo = { name: "bench", version: "1.0.0" };
    const result = { protocolVersion: message.params?.protocolVersion, capabilities: { tools: {} }, serverInfo };
    return reply(socket, "200 OK", answer({ result }), "Mcp-Session-Id: 5f1c9a52-7f0e-4f6b-9c6e-0a7c1d2e3f40\r\n");
  }
  if (kind === "mcp" || kind === "bridge") return reply(socket, "200 OK", answerTo(body));
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
      if (request.head.startsWith("POST /modern")) answerModern(socket, body);
      else if (body.includes(toolsCall)) answerCall(socket, request.head, body);
      else answerHandshake(socket, request.head, body.toString());
    }
    rest = buffer.length > 0 ? buffer : undefined;
  });
}).listen(Number(port), "127.0.0.1");
