// What the targets run on: the Node of this process, or one of those that the tests install.
import { join } from "node:path";
import { root } from "./processes.mjs";

const installed = (name) => join(root, "test/runtimes/node_modules/.bin", name);

/**
 * `floor` is the relay of the same runtime that its targets are compared with: on Node the least that node:http and undici can
 * do, elsewhere the runtime's own server and its `fetch`.
 * @type {Record<string, { command: string, args: string[], floor: string }>}
 */
export const runtimes = {
  node: { command: process.execPath, args: [], floor: "floor.mjs" },
  node24: { command: installed("node"), args: [], floor: "floor.mjs" },
  bun: {
    command: installed("bun"),
    args: [`--tsconfig-override=${join(root, "test/runtimes/bun.tsconfig.json")}`],
    floor: "floor-fetch.mjs",
  },
  deno: { command: installed("deno"), args: ["run", "--allow-all"], floor: "floor-fetch.mjs" },
};
