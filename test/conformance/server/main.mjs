/** `node main.mjs stdio|http|sse`: the server over one transport. It prints its URL where it has one. */
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { everythingServer } from "./everything.mjs";

const [transport] = process.argv.slice(2);
if (transport === "stdio") await everythingServer().connect(new StdioServerTransport());
else (await import("./http.mjs")).listen(transport, (url) => console.log(url));
