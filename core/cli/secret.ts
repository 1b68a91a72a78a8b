/** What sessions are sealed with, where the configuration does not say: from the environment, else kept in a file of this user. */
import { linkSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ProxyError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Redactor } from "../redact.ts";
import { createSecret, whyNoSecret } from "../seal.ts";
import { permitted, stateFolder, whyNotPrivate } from "./state-folder.ts";

const VARIABLE = "PENSTOCK_SECRET";

/**
 * `PENSTOCK_SECRET`: several are separated by commas or white space.
 *
 * @returns `undefined` where it is not set
 * @throws ProxyError `BAD_CONFIG`
 */
export function secretOfEnvironment(redactor: Redactor): string[] | undefined {
  const text = process.env[VARIABLE];
  return text ? split(text, VARIABLE, redactor) : undefined;
}

/**
 * The secret that the proxies of this user keep; made when it is asked for the first time. Two that start at once get the same.
 *
 * @returns `undefined` where none can be kept, which is logged
 * @throws ProxyError `BAD_CONFIG` where there is one that others may know
 */
export function keptSecret(log: Logger, redactor: Redactor): string[] | undefined {
  const folder = stateFolder();
  const file = folder === undefined ? undefined : join(folder, "secret");
  const why = file === undefined ? "this user has no home folder" : make(file);
  if (file !== undefined && why === undefined) return split(read(file), file, redactor);
  log.warn(
    `No secret can be kept${file === undefined ? "" : ` in ${file}`}: ${why}. Sessions of clients end with this process. Set ${VARIABLE}, or \`secret\` in the configuration.`,
  );
  return undefined;
}

/** Makes the file unless there is one. @returns why that cannot be done */
function make(file: string): string | undefined {
  const folder = dirname(file);
  const draft = `${file}.${crypto.randomUUID()}`;
  try {
    if (exists(file)) return undefined;
    if (!permitted({ name: "write", path: folder })) return "--allow-write is missing";
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${createSecret()}\n`, { flag: "wx", mode: 0o600 });
    try {
      // Takes nobody's place: of two that start at once the second one reads what the first one wrote.
      linkSync(draft, file);
    } catch {
      // Some file systems have no links; there the later one wins.
      if (!exists(file)) renameSync(draft, file);
    }
    rmSync(draft, { force: true });
    return undefined;
  } catch (cause) {
    return cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause);
  }
}

function exists(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

/** @throws ProxyError `BAD_CONFIG` where others can read it, or put another one in its place */
function read(file: string): string {
  const folder = dirname(file);
  switch (whyNotPrivate(file)) {
    case "no-file":
      throw bad(`${file} is no regular file. Remove it, and a new one is made.`);
    case "foreign":
      throw bad(
        `${file}, or its folder, belongs to another user. Set ${VARIABLE}, or XDG_STATE_HOME to a folder of yours.`,
      );
    case "open-folder":
      throw bad(`others may write to ${folder}. Take that away: chmod 700 ${folder}`);
    case "exposed":
      throw bad(`others can read ${file}, and may know it. Remove it, and a new one is made.`);
    case undefined:
  }
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw bad(`${file} cannot be read (${(cause as NodeJS.ErrnoException).code}). Set ${VARIABLE} in its place.`);
  }
}

/** @throws ProxyError `BAD_CONFIG` */
function split(text: string, where: string, redactor: Redactor): string[] {
  const secrets = text.split(/[\s,]+/).filter(Boolean);
  for (const secret of secrets) redactor.add(secret);
  const why = secrets.length === 0 ? "it is empty." : secrets.map(whyNoSecret).find(Boolean);
  if (why !== undefined) throw bad(`${where}: ${why}`);
  return secrets;
}

function bad(hint: string): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint: `The proxy's secret: ${hint}` });
}
