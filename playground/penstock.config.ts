/**
 * The playground: two demo servers behind one Penstock. `npm start` runs this file.
 * Change it and start again; nothing here is needed by the proxy itself.
 */
import { defineConfig } from "mcp-penstock";
import { standard } from "mcp-penstock/plugins/standard";
import { startDemoServers } from "./demo-servers.ts";
import { shout } from "./plugins/shout.ts";

// A config is an object, or a function that returns one. We need a function: the demo servers must run before we know their URLs.
export default defineConfig(async () => {
  const demo = await startDemoServers();

  return {
    // A *server* is an MCP server behind the proxy. Its name becomes part of the public path, and that path together with
    // the server and its plugins is a *mount*: here `/notes/mcp` and `/weather/mcp`.
    servers: {
      // Legacy era: sessions, a GET stream, questions from the server to the client.
      notes: { url: demo.notes },
      // Modern era: stateless. A client of either era can use either server.
      weather: { url: demo.weather },

      // Add your own server here, one line each, in the shape you know from `mcpServers` files:
      //
      //   docs: { url: "https://docs.example.com/mcp", headers: { authorization: "Bearer ${DOCS_TOKEN}" } },
      //   local: { url: "http://localhost:3104/mcp", plugins: [toolFilter({ deny: ["delete_*"] })] },
      //   files: { command: "npx", args: ["-y", "@modelcontextprotocol/server-filesystem", "/tmp"] },
      //
      // Penstock replaces `${DOCS_TOKEN}` by that environment variable, so the secret stays out of this file. Write it in
      // plain quotes, not in backticks, or JavaScript would replace it first. A variable that is not set stops the start.
    },

    // A *plugin* is one behaviour. The list is the order: requests pass from top to bottom, answers from bottom to top.
    // Plugins listed here work on every mount; `plugins: [...]` inside a server adds more for that server only.
    plugins: [
      // The default set. To remove one of its plugins, filter the list: standard().filter((plugin) => plugin.name !== "...").
      ...standard(),

      // A plugin of our own, see plugins/shout.ts. Delete this line, and forecasts are no longer shouted.
      shout(),

      // A plugin is a plain object, so a small one can be written in place. This one ends the demo servers with the proxy.
      { name: "demo-servers", close: demo.close },
    ],
  };
});
