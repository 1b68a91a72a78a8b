/** `node main.mjs stdio|dual-stdio|modern-stdio`, or one of the names in `http.mjs`: it prints its URL. */
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { everythingServer } from "./everything.mjs";
import { modernProcess } from "./modern.mjs";

const [transport] = process.argv.slice(2);
if (transport === "stdio") await everythingServer().connect(new StdioServerTransport());
else if (transport === "dual-stdio") serveStdio(modernProcess);
else if (transport === "modern-stdio") serveStdio(modernProcess, { legacy: "reject" });
else (await import("./http.mjs")).listen(transport, (url) => console.log(url));
