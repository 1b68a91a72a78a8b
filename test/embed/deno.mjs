/* global Deno -- this file runs under Deno only */
import { embedded } from "./penstock.mjs";

const penstock = embedded(Deno.args[0]);
Deno.serve(
  { port: 0, hostname: "127.0.0.1", onListen: ({ port }) => console.log(`listening on http://127.0.0.1:${port}`) },
  (request) => {
    if (request.url.endsWith("/hello")) return new Response("hello from the host");
    return penstock.fetch(request);
  },
);
