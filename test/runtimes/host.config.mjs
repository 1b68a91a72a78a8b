/**
 * A configuration for the command line that makes its process a host: proxies are started and closed in it, and
 * it is looked at, on request: one JSON line each on stdin and stdout. A process per proxy would spend most of the suite's time on starting.
 */
import { createInterface } from "node:readline";
import { createPenstock } from "../../dist/core/index.mjs";
import { inspect } from "./inspect.ts";

/** Proxies by the path of their configuration. */
const proxies = new Map();

async function answer({ start, close, vitals }) {
  if (vitals) return inspect();
  if (close) {
    await proxies.get(close).close();
    proxies.delete(close);
    return undefined;
  }
  const { default: config } = await import(start);
  const server = await createPenstock(config).serve({ port: 0 });
  proxies.set(start, server);
  return server.url;
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { id, ...request } = JSON.parse(line);
  answer(request).then(
    (result) => console.log(JSON.stringify({ id, result })),
    (error) => console.log(JSON.stringify({ id, error: String(error) })),
  );
});
// The tests have gone.
lines.on("close", () => process.exit());

export default { servers: { none: { url: "http://127.0.0.1:9/mcp" } }, plugins: [] };
