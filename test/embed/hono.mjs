import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { embedded } from "./penstock.mjs";

const penstock = embedded(process.argv[2]);
const app = new Hono();
app.get("/hello", (context) => context.text("hello from the host"));
app.all("*", (context) => penstock.fetch(context.req.raw));
serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) =>
  console.log(`listening on http://127.0.0.1:${port}`),
);
