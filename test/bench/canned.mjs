// A minimal MCP server by string: no SDK, because an SDK server behind would be the limit of whatever stands in front of it.
// The Streamable HTTP upstream and the stdio child answer with it.
import { modernVersion, requestBody, smallJson } from "./workloads.mjs";

const { name } = JSON.parse(requestBody).params;
const tools = JSON.stringify([{ name, description: "Searches the reports.", inputSchema: { type: "object" } }]);
const callResult = JSON.stringify(JSON.parse(smallJson).result);
const serverInfo = { name: "bench", version: "1.0.0" };
const results = {
  "tools/call": callResult,
  "tools/list": `{"tools":${tools}}`,
  ping: "{}",
};

const about = `"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":${JSON.stringify(serverInfo)}}`;
const cache = `"ttlMs":0,"cacheScope":"private"`;
const modernResults = {
  "server/discover": `{"supportedVersions":["${modernVersion}"],"capabilities":{"tools":{}},${cache},${about}}`,
  "tools/call": `${callResult.slice(0, -1)},${about}}`,
  "tools/list": `{"tools":${tools},${cache},${about}}`,
};

/** The same of a server that speaks 2026-07-28 and nothing else. @returns status and text */
export function modernAnswerTo(text) {
  const id = /"id" ?: ?(\d+|"[^"]*")/.exec(text)?.[1];
  if (id === undefined) return { status: "202 Accepted", text: "" };
  const method = /"method" ?: ?"([^"]+)"/.exec(text)?.[1];
  const answer = (member) => `{"jsonrpc":"2.0","id":${id},${member}}`;
  if (method in modernResults) return { status: "200 OK", text: answer(`"result":${modernResults[method]}`) };
  const data = `"data":{"supported":["${modernVersion}"],"requested":"${method}"}`;
  const error = `"error":{"code":-32022,"message":"Unsupported protocol version",${data}}`;
  return { status: "400 Bad Request", text: answer(error) };
}

/**
 * The answer to one message, or nothing for a notification. It looks for strings and never parses: the calls of the bench
 * have their id and method nowhere else.
 * @param {string} text one JSON-RPC message
 */
export function answerTo(text) {
  const id = /"id" ?: ?(\d+|"[^"]*")/.exec(text)?.[1];
  if (id === undefined) return;
  const method = /"method" ?: ?"([^"]+)"/.exec(text)?.[1];
  if (method === "initialize") {
    // The client's own revision: old and new SDKs refuse what they do not know.
    const protocolVersion = /"protocolVersion" ?: ?"([^"]+)"/.exec(text)?.[1];
    return JSON.stringify({
      jsonrpc: "2.0",
      id: JSON.parse(id),
      result: { protocolVersion, capabilities: { tools: {} }, serverInfo },
    });
  }
  if (method in results) return `{"jsonrpc":"2.0","id":${id},"result":${results[method]}}`;
  return `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"Method not found"}}`;
}
