/** Installs the runtimes of this folder on first use; a global set-up of the projects that need them. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const folder = fileURLToPath(new URL(".", import.meta.url));
const lock = join(folder, ".installing");
/** What was installed. Times of files say nothing after a checkout. */
const stamp = join(folder, "node_modules", ".installed");
const INSTALL_MS = 300_000;

export async function setup(): Promise<void> {
  const wanted = createHash("sha256")
    .update(readFileSync(join(folder, "package-lock.json")))
    .digest("hex");
  const installed = () => existsSync(stamp) && readFileSync(stamp, "utf8") === wanted;
  while (!installed()) {
    if (!acquire()) {
      await pause(200);
      continue;
    }
    try {
      if (!installed()) await install(wanted);
    } finally {
      rmSync(lock, { recursive: true, force: true });
    }
  }
}

/** A folder, because making one fails where it is already there. One that was left behind by a killed run is taken over. */
function acquire(): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    const made = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
    if (made !== undefined && Date.now() - made > INSTALL_MS) rmSync(lock, { recursive: true, force: true });
    return false;
  }
}

async function install(wanted: string): Promise<void> {
  console.log("Installing Node 24, Bun and Deno for the tests, once, in test/runtimes …");
  try {
    await promisify(execFile)("npm", ["ci", "--no-audit", "--no-fund"], { cwd: folder, timeout: INSTALL_MS });
  } catch (cause) {
    const { stderr = "", message } = cause as { stderr?: string; message: string };
    throw new Error(
      `The runtimes of test/runtimes could not be installed: ${stderr.trim() || message}\nWithout them: npx vitest run --project node`,
      { cause },
    );
  }
  writeFileSync(stamp, wanted);
}
