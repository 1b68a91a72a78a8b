import { readdirSync } from "node:fs";
import { LogLevels, consola } from "consola";
import { defineBuildConfig } from "unbuild";

// `npm run --silent build`, as in `npm start`: two hundred lines of file sizes would push away what the start has to say.
if (process.env.npm_config_loglevel === "silent") consola.level = LogLevels.warn;

const plugins = readdirSync("plugins").filter((file) => file.endsWith(".ts") && !file.startsWith("_"));

export default defineBuildConfig({
  entries: ["core/index", "core/cli", "core/testing", ...plugins.map((file) => `plugins/${file.slice(0, -3)}`)].map(
    // With the extension: an entry without one gets a compiler of its own for its types, which took most of the build.
    (name) => ({ input: `${name}.ts`, name }),
  ),
  outDir: "dist",
  clean: true,
  // "node16" writes .d.mts only; the .d.ts twins would be types for a CommonJS build that does not exist.
  declaration: "node16",
  failOnWarn: true,
  rollup: {
    // Without it every plugin file would import h3 only because it shares a chunk with the app.
    output: { hoistTransitiveImports: false },
    // Only published code must have explicit types on its exports (JSR and fast .d.ts need it).
    dts: {
      compilerOptions: {
        isolatedDeclarations: true,
        declaration: true,
        noEmit: false,
        allowImportingTsExtensions: true,
        emitDeclarationOnly: true,
      },
    },
  },
});
