import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { NotPortableError, configModule } from "./child-config.ts";
import { onMessage, sseRelay, standard } from "./plugins.ts";
import { assertRuntime } from "./runtimes.ts";

/** What a child process gets of a configuration. */
async function carried(config: unknown): Promise<unknown> {
  const folder = mkdtempSync(join(tmpdir(), "harness-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "config.mjs");
  writeFileSync(file, configModule(config));
  return ((await import(pathToFileURL(file).href)) as { default: unknown }).default;
}

describe("a configuration for a child process", () => {
  test("holds the same data", async () => {
    const data = { a: ["1", 2n, -0, Number.NaN, Infinity, null, undefined, false], "b-c": { re: /x\/"y"/giu } };
    expect(await carried(data)).toEqual(data);
  });

  test("holds plugins that the built factories made from the same options, whole lists or some of their elements", async () => {
    const config = {
      plugins: [standard(), [sseRelay({ keepAlive: 0 })], standard().filter(({ name }) => name !== "mounts")],
    };
    const text = configModule(config);
    expect(text).toContain('sseRelay_1({ "keepAlive": 0 })');
    expect(text.match(/dist\/plugins\/standard\.mjs/g)).toHaveLength(1);
    const shape = (plugins: object[]) =>
      plugins.flat().map((plugin) => [(plugin as { name: string }).name, Object.keys(plugin)]);
    const { plugins } = (await carried(config)) as typeof config;
    expect(shape(plugins)).toEqual(shape(config.plugins));
  });

  test("cannot hold a hook of the test itself, nor an option that is one", () => {
    for (const plugin of [{ name: "own", done() {} }, onMessage("up", "request", (() => {}) as never), new Map()])
      expect(() => configModule({ plugins: [plugin] })).toThrow(NotPortableError);
  });
});

test("another runtime than the project's is noticed", () => {
  const banner = (runtime: string) => `Penstock 0.1.0 on ${runtime} listening on http://127.0.0.1:1\n`;
  assertRuntime(banner(`Node.js ${process.versions.node}`));
  for (const other of ["Node.js 1.0.0", `Bun ${process.versions.node}`])
    expect(() => assertRuntime(banner(other))).toThrow(/should have answered, and not/);
  expect(() => assertRuntime("Penstock 0.1.0 listening on http://127.0.0.1:1\n")).toThrow("undefined");
});
