import { createPenstock } from "mcp-penstock";
import { standard } from "mcp-penstock/plugins/standard";

/** The proxy that every host embeds: one server, the default preset. @param {string} url */
export function embedded(url) {
  return createPenstock({ servers: { docs: { url } }, plugins: [standard()] });
}
