// Penstock as a library: `node penstock-bare.mjs <upstream url> <port> [choice]`. Without a choice it runs no plugin at all;
// the choice is JSON and measures what plugins cost: `{ "standard": true, "minus": ["retry"], "plus": ["tool-filter"], "noop": 20,
// "messages": ["up", "down"] }`, where `noop` is a number of plugins with an empty hook each way and `messages` empty message hooks.
import { createPenstock } from "mcp-penstock";

const [upstream, port, choice = "{}"] = process.argv.slice(2);
const { standard = false, minus = [], plus = [], noop = 0, messages = [] } = JSON.parse(choice);

/** Calls the factory in `plugins/<name>`: the export is the file name in camel case. */
async function plugin(name, options = {}) {
  const module = await import(`mcp-penstock/plugins/${name}`);
  return module[name.replace(/-(.)/g, (_, letter) => letter.toUpperCase())](options);
}

const preset = standard ? [await plugin("standard")].flat(Infinity).filter(Boolean) : [];
const unknown = minus.filter((name) => !preset.some((one) => one.name === name));
if (unknown.length > 0) throw new Error(`not in the standard preset: ${unknown.join(", ")}`);

const plugins = preset.filter((one) => !minus.includes(one.name));
for (const name of plus) plugins.push(await plugin(name));
for (let i = 1; i <= noop; i++) plugins.push({ name: `noop-${i}`, request() {}, response() {} });
for (const direction of messages) {
  const filter = { direction, kind: direction === "up" ? "request" : "response" };
  plugins.push({ name: `message-${direction}`, message: { filter, handler() {} } });
}

const servers = { bench: { url: upstream, path: "/bench/mcp" } };
await createPenstock({ servers, plugins }).serve({ port: Number(port), hostname: "127.0.0.1" });
