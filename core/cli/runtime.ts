/** Which runtime this is; the version of the package. */
import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";

const { version: packageVersion } = createRequire(import.meta.url)("mcp-penstock/package.json") as { version: string };

export const version: string = packageVersion;

/** E.g. `Node.js 20.20.2`, `Bun 1.4.4`, `Deno 2.9.6`. */
export function runtimeName(): string {
  const { bun, deno, node } = process.versions;
  return bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node.js ${node}`;
}

/**
 * Sets V8 to what a relay needs; for Node and Deno, before the first request. Where objects of one place in the code survive
 * for a while, V8 allocates those that follow among the old ones. Here they live as long as a request, and dead old objects
 * keep alive what they point to, until the next full collection: that cost a third of the throughput, in some processes and
 * not in others (`--trace-pretenuring-statistics` shows when).
 */
export function tuneRuntime(): void {
  if (process.versions.bun === undefined) setFlagsFromString("--no-allocation-site-pretenuring");
}
