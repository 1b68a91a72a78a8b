import { H3, serve } from "h3";
import { embedded } from "./penstock.mjs";

const penstock = embedded(process.argv[2]);
const app = new H3().get("/hello", () => "hello from the host").all("/**", (event) => penstock.fetch(event.req));
const server = serve(app, { port: 0, hostname: "127.0.0.1", silent: true });
await server.ready();
console.log(`listening on ${server.url}`);
