import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { VERSION } from "../../core/version.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const pkg = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  version: string;
  dependencies: Record<string, string>;
  exports: Record<string, string | { default: string }>;
};

/** Every module that a built file imports statically, its own chunks followed: what an `import` of it costs. */
function staticImports(file: string, seen = new Set<string>()): Set<string> {
  const found = new Set<string>();
  if (seen.has(file)) return found;
  seen.add(file);
  const text = readFileSync(file, "utf8");
  for (const [, specifier] of text.matchAll(/^(?:import|export)\b[^;]*?from\s*['"]([^'"]+)['"]/gm)) {
    if (!specifier!.startsWith(".")) found.add(specifier!);
    else for (const inner of staticImports(resolve(dirname(file), specifier!), seen)) found.add(inner);
  }
  for (const [, specifier] of text.matchAll(/^import\s*['"]([^'"]+)['"]/gm)) found.add(specifier!);
  return found;
}

const packageOf = (specifier: string) =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

/** What plugins that check or fetch tokens need, with the guarded fetch: whoever uses none does not load it. */
const OAUTH: readonly string[] = ["jose", "node:dns", "node:net", "node:timers", "node:tls", "oauth4webapi"];
const OAUTH_PLUGINS: readonly string[] = ["bearer-auth.mjs", "oauth-broker.mjs", "oauth-client.mjs"];

describe("the package", () => {
  test("tells servers the version that it has", () => {
    expect(VERSION).toBe(pkg.version);
  });

  test("the root import loads what the data path needs: no SDK, no c12, no zod, no command line", () => {
    const imported = [...staticImports(join(root, "dist/core/index.mjs"))];
    expect(imported).toContain("h3");
    for (const name of imported.map(packageOf))
      expect(name).not.toMatch(/^(?:@modelcontextprotocol|c12|zod|citty|jiti|confbox)/);
  });

  test.each(readdirSync(join(root, "dist/plugins")).filter((file) => file.endsWith(".mjs")))(
    "plugins/%s loads no library but those of its protocol: it brings its own behaviour only",
    (file) => {
      const imported = [...staticImports(join(root, "dist/plugins", file))];
      const allowed = OAUTH_PLUGINS.includes(file) ? OAUTH : [];
      const libraries = new Set(imported.map(packageOf).filter((name) => name !== "mcp-penstock"));
      expect([...libraries].sort()).toEqual(allowed);
      expect(imported.map(packageOf)).not.toContain("h3");
    },
  );

  test("everything that the built files import is a dependency, or comes with the runtime", () => {
    const files = readdirSync(join(root, "dist"), { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".mjs"),
    );
    const imported = new Set(files.flatMap((file) => [...staticImports(join(root, "dist", file))]).map(packageOf));
    for (const name of imported)
      if (!name.startsWith("node:") && name !== "mcp-penstock") expect(Object.keys(pkg.dependencies)).toContain(name);
  });
});
