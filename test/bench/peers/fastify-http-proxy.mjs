// @fastify/http-proxy as its manual shows it: `node fastify-http-proxy.mjs <upstream url> <port>`.
import proxy from "@fastify/http-proxy";
import Fastify from "fastify";

const [upstream, port] = process.argv.slice(2);
const { origin, pathname } = new URL(upstream);
const app = Fastify();
await app.register(proxy, { upstream: origin, prefix: "/bench/mcp", rewritePrefix: pathname });
await app.listen({ port: Number(port), host: "127.0.0.1" });
