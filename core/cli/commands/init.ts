/** `penstock init`: writes a configuration. Asks nothing, and overwrites nothing unasked. */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CommandDef, defineCommand } from "citty";
import { type Args, builtIn, jsonArg } from "../args.ts";
import type { Conversion } from "../init/convert.ts";
import { renderConfig } from "../init/template.ts";
import type { Output } from "../output.ts";
import { version } from "../runtime.ts";
import { usage } from "../sources.ts";

const FILE = "penstock.config.ts";
/** Where other products keep their servers. */
const OTHERS = [".mcp.json", ".cursor/mcp.json", ".vscode/mcp.json"];

export function initCommand(output: Output): CommandDef {
  return defineCommand({
    meta: { name: "penstock init", version, description: `Writes a ${FILE} into this folder` },
    args: {
      from: {
        type: "string",
        valueHint: "file",
        description: "Take over the servers of a Claude, Cursor or VS Code file; secrets in it become variables",
      },
      force: { type: "boolean", description: `Overwrite ${FILE}` },
      ...jsonArg,
      ...builtIn,
    },
    run: ({ args }) => init(args as Args, output),
  }) as CommandDef;
}

async function init({ from, force = false, json }: Args, output: Output): Promise<void> {
  const folder = process.cwd();
  refuseOther(folder, force);
  const conversion = from === undefined ? undefined : await convert(from);
  write(join(folder, FILE), renderConfig(conversion), force);
  const found = from === undefined ? OTHERS.filter((file) => existsSync(join(folder, file))) : [];
  if (json)
    return output.printJson({
      file: join(folder, FILE),
      servers: conversion?.servers.map(({ name }) => name) ?? ["docs"],
      variables: conversion?.variables ?? [],
      skipped: conversion?.skipped.map(({ name, reason }) => ({ name, reason })) ?? [],
      found,
    });
  output.print([`Wrote ${FILE}.`, ...notes(conversion), ...found.map(hint), next(conversion)].join("\n\n"));
}

async function convert(from: string): Promise<Conversion> {
  // Only this way of it reads files: the other starts in half the time.
  const [{ parseMcpJson }, { convertServers }] = await Promise.all([
    import("../../mcp-json.ts"),
    import("../init/convert.ts"),
  ]);
  const conversion = convertServers(parseMcpJson(from, "Name an existing one with --from.").entries);
  if (conversion.servers.length > 0) return conversion;
  const why = conversion.skipped.map(({ name, reason }) => `\n  - ${JSON.stringify(name)}: ${reason}`).join("");
  throw usage(`${from}: no server in it can be used.${why}`);
}

function notes(conversion: Conversion | undefined): string[] {
  if (!conversion) return [];
  const { servers, skipped, variables } = conversion;
  return [
    `Servers: ${servers.map(({ name }) => name).join(", ")}`,
    ...(variables.length > 0 ? [`Set these environment variables before the start:\n${list(variables)}`] : []),
    ...(skipped.length > 0
      ? [`Left out, as comments in the file:\n${list(skipped.map(({ name, reason }) => `${name}: ${reason}`))}`]
      : []),
  ];
}

function list(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join("\n");
}

function hint(file: string): string {
  return `There is a ${file}: \`penstock init --force --from ${file}\` takes over its servers.`;
}

function next(conversion: Conversion | undefined): string {
  return conversion
    ? "Next: `penstock check`, then `penstock`."
    : "Next: put your server into it, then `penstock check` and `penstock`.";
}

/** One that is found first would be read in place of the new one. */
function refuseOther(folder: string, force: boolean): void {
  const other = readdirSync(folder).find((file) => /^penstock\.config\.\w+$/.test(file) && (file !== FILE || !force));
  if (other === FILE) throw usage(`${FILE} is here already. Overwrite it with --force.`);
  if (other !== undefined)
    throw usage(`${other} is here already. Remove or rename it; two configurations in one folder are one too many.`);
}

function write(file: string, text: string, force: boolean): void {
  try {
    writeFileSync(file, text, { flag: force ? "w" : "wx" });
  } catch (cause) {
    throw usage(`${file} cannot be written (${(cause as NodeJS.ErrnoException).code}).`);
  }
}
