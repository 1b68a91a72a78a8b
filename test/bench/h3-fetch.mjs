// What a person writes by hand: h3, the global fetch and the streamed body, `node h3-fetch.mjs <upstream url> <port>`.
import { H3, serve } from "h3";

const [upstream, port] = process.argv.slice(2);
const hop = ["connection", "keep-alive", "transfer-encoding", "upgrade", "host", "content-length", "expect"];
const app = new H3();

app.all("/bench/mcp", async (event) => {
  const headers = new Headers(event.req.headers);
  for (const name of hop) headers.delete(name);
  const answer = await fetch(upstream, {
    method: event.req.method,
    headers,
    body: event.req.body,
    duplex: "half",
  });
  const answerHeaders = new Headers(answer.headers);
  for (const name of ["connection", "keep-alive", "transfer-encoding"]) answerHeaders.delete(name);
  return new Response(answer.body, { status: answer.status, headers: answerHeaders });
});

serve(app, { port: Number(port), hostname: "127.0.0.1", silent: true });
