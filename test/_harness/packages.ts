/** Packages from npm that only some tests need: a folder with a `package.json` and a lock file, installed on first use. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

const INSTALL_MS = 300_000;

/** What is installed, and how. */
export interface Packages {
  folder: string;
  /** What they are, for whoever waits for it. */
  what: string;
  /** Install scripts are run. @default false */
  scripts?: boolean;
  /** What can be done without them, told when they cannot be had. */
  without?: string;
}

/** Installs what the lock file of a folder says, unless that has been done. Several processes may call it at once. */
export async function installPackages(packages: Packages): Promise<void> {
  const { folder } = packages;
  const lock = join(folder, ".installing");
  // Times of files say nothing after a checkout.
  const stamp = join(folder, "node_modules", ".installed");
  const wanted = createHash("sha256")
    .update(readFileSync(join(folder, "package-lock.json")))
    .digest("hex");
  const installed = () => existsSync(stamp) && readFileSync(stamp, "utf8") === wanted;
  while (!installed()) {
    if (!acquire(lock)) {
      await pause(200);
      continue;
    }
    try {
      if (installed()) continue;
      await install(packages);
      writeFileSync(stamp, wanted);
    } finally {
      rmSync(lock, { recursive: true, force: true });
    }
  }
}

/** A folder, because making one fails where it is already there. One that was left behind by a killed run is taken over. */
function acquire(lock: string): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    const made = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
    if (made !== undefined && Date.now() - made > INSTALL_MS) rmSync(lock, { recursive: true, force: true });
    return false;
  }
}

async function install({ folder, what, scripts = false, without }: Packages): Promise<void> {
  console.log(`Installing ${what} for the tests, once, in ${folder} …`);
  const args = ["ci", "--no-audit", "--no-fund", ...(scripts ? [] : ["--ignore-scripts"])];
  try {
    await promisify(execFile)("npm", args, { cwd: folder, timeout: INSTALL_MS });
  } catch (cause) {
    const { stderr = "", message } = cause as { stderr?: string; message: string };
    throw new Error(
      [`${folder} could not be installed: ${stderr.trim() || message}`, without].filter(Boolean).join("\n"),
      { cause },
    );
  }
}
