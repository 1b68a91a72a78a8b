/** `node main.mjs stdio|modern-stdio|http|sse|dual|modern`: a server over one transport. It prints its URL where it has one. */
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { everythingServer } from "./everything.mjs";
import { modernProcess } from "./modern.mjs";

const [transport] = process.argv.slice(2);
if (transport === "stdio") await everythingServer().connect(new StdioServerTransport());
else if (transport === "modern-stdio") serveStdio(modernProcess, { legacy: "reject" });
else (await import("./http.mjs")).listen(transport, (url) => console.log(url));
