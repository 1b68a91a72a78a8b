// http-proxy-3 with the keep-alive agent that its manual advises for speed: `node http-proxy-3.mjs <upstream url> <port>`.
import { Agent } from "node:http";
import { createProxyServer } from "http-proxy-3";

const [upstream, port] = process.argv.slice(2);
const proxy = createProxyServer({ target: upstream, ignorePath: true, agent: new Agent({ keepAlive: true }) });
proxy.on("error", (_, _request, response) => response.destroy());
proxy.listen(Number(port), "127.0.0.1");
