/** Installs the runtimes of this folder on first use; a global set-up of the projects that need them. */
import { fileURLToPath } from "node:url";
import { installPackages } from "../_harness/packages.ts";

export async function setup(): Promise<void> {
  await installPackages({
    folder: fileURLToPath(new URL(".", import.meta.url)),
    what: "Node 24, Bun and Deno",
    scripts: true,
    without: "Without them: npx vitest run --project node",
  });
}
