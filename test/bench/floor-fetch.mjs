/* global Bun, Deno -- it runs on these two */
// The floor on Bun and Deno: the runtime's own server and its `fetch`, streaming the body, `floor-fetch.mjs <upstream url> <port>`.
const [upstream, port] = typeof Deno === "undefined" ? process.argv.slice(2) : Deno.args;
const hop = ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length"];

async function relay(request) {
  const headers = new Headers(request.headers);
  for (const name of hop) headers.delete(name);
  headers.set("accept-encoding", "identity");
  const body = request.method === "POST" ? await request.arrayBuffer() : undefined;
  const answer = await fetch(upstream, { method: request.method, headers, body, signal: request.signal });
  const answerHeaders = new Headers(answer.headers);
  for (const name of ["connection", "keep-alive", "transfer-encoding"]) answerHeaders.delete(name);
  // Bun closes the connection then, but does not say so by itself; a load generator needs to know.
  if (request.headers.get("connection") === "close") answerHeaders.set("connection", "close");
  return new Response(answer.body, { status: answer.status, headers: answerHeaders });
}

if (typeof Deno === "undefined") Bun.serve({ port: Number(port), hostname: "127.0.0.1", idleTimeout: 0, fetch: relay });
else Deno.serve({ port: Number(port), hostname: "127.0.0.1", onListen() {} }, relay);
