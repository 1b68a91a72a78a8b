/** Lets Node 20, which cannot strip types itself, load the plugins of the tests, and sources; everything else it loads as ever. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { register } from "node:module";
import { isMainThread } from "node:worker_threads";

const OWN = new RegExp(
  `^${new URL("../../", import.meta.url).href}(?:test/(?:_harness|runtimes)|core|plugins)/.*\\.ts$`,
);
/** To load the compiler takes longer than to start a proxy. */
const CACHE = new URL("node_modules/.stripped/", import.meta.url);

// The hooks run in a thread of their own, from this same file.
if (isMainThread) register(import.meta.url);

/** The `load` hook of node:module. */
export async function load(url, context, nextLoad) {
  if (!OWN.test(url)) return nextLoad(url, context);
  const text = await readFile(new URL(url), "utf8");
  const cached = new URL(`${createHash("sha256").update(text).digest("hex")}.mjs`, CACHE);
  const source = await readFile(cached, "utf8").catch(() => strip(text, cached));
  return { format: "module", source, shortCircuit: true };
}

async function strip(text, cached) {
  const { default: ts } = await import("typescript");
  const compilerOptions = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2022,
    verbatimModuleSyntax: true,
  };
  const { outputText } = ts.transpileModule(text, { compilerOptions });
  const unfinished = new URL(`${cached.href}.${process.pid}`);
  await mkdir(CACHE, { recursive: true });
  await writeFile(unfinished, outputText);
  await rename(unfinished, cached);
  return outputText;
}
