#!/usr/bin/env node
/** The command line: one command per file in `cli/commands/`, and this table. */
import { type ArgsDef, type CommandDef, renderUsage, runCommand } from "citty";
import { badArgument, ownArgs, refuseUnknown } from "./cli/args.ts";
import { checkCommand, routesCommand } from "./cli/commands/check.ts";
import { connectCommand } from "./cli/commands/connect.ts";
import { doctorCommand } from "./cli/commands/doctor.ts";
import { initCommand } from "./cli/commands/init.ts";
import { startCommand } from "./cli/commands/start.ts";
import { createOutput } from "./cli/output.ts";
import { version } from "./cli/runtime.ts";

const argv = process.argv.slice(2);
const name = argv[0] !== undefined && !argv[0].startsWith("-") ? argv[0] : undefined;
const output = createOutput(ownArgs(argv));

const commands = {
  check: checkCommand(output),
  routes: routesCommand(output),
  doctor: doctorCommand(output),
  init: initCommand(output),
  connect: connectCommand(output),
} satisfies Record<string, CommandDef>;

const start = startCommand(output);

/** @returns whether the process goes on: the proxy runs until a signal comes */
async function run(): Promise<boolean> {
  const command = name === undefined ? start : Object.hasOwn(commands, name) && commands[name as keyof typeof commands];
  if (!command) throw badArgument(`${JSON.stringify(name)} is not a command.`);
  const rest = name === undefined ? argv : argv.slice(1);
  const own = ownArgs(rest);
  if (own.includes("--help") || own.includes("-h")) {
    output.print(await renderUsage(name === undefined ? { ...command, subCommands: commands } : command));
    return false;
  }
  if (own.includes("--version") || own.includes("-v")) {
    output.print(version);
    return false;
  }
  refuseUnknown(rest, command.args as ArgsDef);
  await runCommand(command, { rawArgs: rest });
  return command === start;
}

async function fail(error: unknown): Promise<never> {
  output.printError(error, name !== undefined && Object.hasOwn(commands, name) ? name : undefined);
  await output.flush();
  process.exit(1);
}

// Code of a configuration file may fail at any time; the runtime would print its stack with whatever it holds.
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);

run().then(async (goesOn) => {
  if (goesOn) return;
  await output.flush();
  process.exit(process.exitCode ?? 0);
}, fail);
