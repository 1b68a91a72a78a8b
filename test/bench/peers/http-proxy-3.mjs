// http-proxy-3 with a keep-alive agent; without one it opens a connection for every request: `node http-proxy-3.mjs <upstream url> <port>`.
import { Agent } from "node:http";
import { createProxyServer } from "http-proxy-3";

const [upstream, port] = process.argv.slice(2);
const proxy = createProxyServer({ target: upstream, ignorePath: true, agent: new Agent({ keepAlive: true }) });
proxy.on("error", (_, _request, response) => response.destroy());
proxy.listen(Number(port), "127.0.0.1");
