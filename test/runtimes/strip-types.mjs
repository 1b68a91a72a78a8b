/** Lets Node 20, which cannot strip types itself, load the plugins of the tests, and sources; everything else it loads as ever. */
import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

const OWN = new RegExp(
  `^${new URL("../../", import.meta.url).href}(?:test/(?:_harness|runtimes)|core|plugins)/.*\\.ts$`,
);

// The hooks run in a thread of their own, from this same file.
if (isMainThread) register(import.meta.url);

/** The `load` hook of node:module. */
export async function load(url, context, nextLoad) {
  if (!OWN.test(url)) return nextLoad(url, context);
  const { default: ts } = await import("typescript");
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true };
  const { outputText } = ts.transpileModule(await readFile(fileURLToPath(url), "utf8"), { compilerOptions: options });
  return { format: "module", source: outputText, shortCircuit: true };
}
