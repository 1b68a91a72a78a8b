/** Which runtime this is; the version of the package. */
import { createRequire } from "node:module";

const { version: packageVersion } = createRequire(import.meta.url)("mcp-penstock/package.json") as { version: string };

export const version: string = packageVersion;

/** E.g. `Node.js 20.20.2`, `Bun 1.4.4`, `Deno 2.9.6`. */
export function runtimeName(): string {
  const { bun, deno, node } = process.versions;
  return bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node.js ${node}`;
}
