// Before a target is measured it has to prove that it relays: a client's handshake, then one call, compared byte for byte.
import { request } from "node:http";
import { answers, protocolVersion, requestBody, requestHeaders } from "./workloads.mjs";

function post(step, url, headers, body) {
  return new Promise((done, reject) => {
    const fail = (error) => reject(new Error(`${step}: ${error.message}`));
    const outgoing = request(url, {
      method: "POST",
      headers: { ...headers, "Content-Length": body.length },
      agent: false,
      timeout: 10_000,
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer within 10 s")));
    outgoing.on("error", fail);
    outgoing.on("response", async (incoming) => {
      try {
        const chunks = [];
        for await (const chunk of incoming) chunks.push(chunk);
        done({
          status: incoming.statusCode,
          headers: incoming.headers,
          body: Buffer.concat(chunks),
        });
      } catch (error) {
        fail(error);
      }
    });
    outgoing.end(body);
  });
}

/** Opens an MCP session through the target and returns its id: a proxy may issue ids of its own and refuse others. */
export async function openSession(url) {
  const { Accept, "Content-Type": type } = requestHeaders("");
  const params = {
    protocolVersion,
    capabilities: {},
    clientInfo: { name: "bench", version: "1.0.0" },
  };
  const initialize = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params });
  const answer = await post("initialize", url, { Accept, "Content-Type": type }, initialize);
  const session = answer.headers["mcp-session-id"];
  if (answer.status !== 200 || !session)
    throw new Error(`initialize: status ${answer.status}, session ${session ?? "missing"}`);
  const initialized = JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" });
  const { status } = await post("notifications/initialized", url, requestHeaders(session), initialized);
  // 202 it should be; nginx as the upstream takes a body of unknown length for the call and answers 200.
  if (status >= 300) throw new Error(`notifications/initialized: status ${status}`);
  return session;
}

/** One call in a session, in whatever form it is answered. */
export async function callOnce(url, session) {
  const { status, body } = await post("tools/call", url, requestHeaders(session), requestBody);
  if (status !== 200 || !body.includes('"result"'))
    throw new Error(`tools/call: status ${status}, ${body.subarray(0, 120)}`);
}

/** A target that keeps the connection although it was asked to close it cannot take part in W6. */
export async function verifyClose(url, session) {
  const headers = { ...requestHeaders(session), Connection: "close" };
  const answer = await post("tools/call", url, headers, requestBody);
  if (!/\bclose\b/.test(answer.headers.connection)) throw new Error("it does not close the connection when asked to");
}

/** Ids of events are a proxy's own, and an event that has only an id is none (MCP 2025-11-25, Transports). */
function withoutEventIds(body) {
  const text = body.toString("latin1").replace(/^id: .*\ndata: \n\n/, "");
  return Buffer.from(text.replaceAll(/^id: .*\n/gm, ""), "latin1");
}

/** One call through the target must give exactly the upstream's body, but for ids of events; throws with the first difference. */
export async function verify(url, session, kind) {
  const expected = answers[kind];
  const answer = await post("tools/call", url, requestHeaders(session), requestBody);
  const { status, headers } = answer;
  const isStream = expected.type === "text/event-stream";
  const body = isStream ? withoutEventIds(answer.body) : answer.body;
  if (status !== 200) throw new Error(`tools/call: status ${status}, ${body.subarray(0, 120)}`);
  if (!headers["content-type"]?.startsWith(expected.type))
    throw new Error(`tools/call: content-type ${headers["content-type"]}`);
  if (body.equals(expected.body)) return;
  const at = body.findIndex((byte, index) => byte !== expected.body[index]);
  const where = at < 0 ? body.length : at;
  throw new Error(
    `tools/call: body differs from the upstream's at byte ${where} (${body.length} instead of ${expected.body.length} bytes)`,
  );
}
