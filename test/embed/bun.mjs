/* global Bun -- this file runs under Bun only */
import { embedded } from "./penstock.mjs";

const penstock = embedded(process.argv[2]);
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  // Bun ends answers that are silent for 10 s otherwise.
  idleTimeout: 0,
  fetch(request) {
    if (request.url.endsWith("/hello")) return new Response("hello from the host");
    return penstock.fetch(request);
  },
});
console.log(`listening on http://127.0.0.1:${server.port}`);
