/** The login at one server, kept in a file of this user alone: its tokens, and what is needed to renew and revoke them. */
import { createHash, randomUUID } from "node:crypto";
import {
  linkSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { AuthorizationServer } from "oauth4webapi";
import { isRecord } from "../../body/message.ts";
import { ProxyError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { permitted, stateFolder, whyNotPrivate } from "../state-folder.ts";

/** What is kept. The tokens belong to the server, the issuer, the resource and the client that stand beside them, and to no others. */
export interface Kept {
  readonly format: 1;
  /** The URL that the user typed. */
  readonly server: string;
  /** As the user gave it; `undefined` where the client registered by itself. */
  readonly clientId?: string;
  /** Without one: a server of 2025-03-26. */
  readonly resource?: string;
  readonly as: Pick<
    AuthorizationServer,
    "issuer" | "token_endpoint" | "revocation_endpoint" | "token_endpoint_auth_methods_supported"
  >;
  readonly client: { client_id: string; client_secret?: string; token_endpoint_auth_method?: string };
  readonly accessToken: string;
  readonly refreshToken?: string;
  /** Milliseconds since 1970; without, nobody knows. */
  readonly expiresAt?: number;
  readonly scopes?: readonly string[];
}

/** A process that holds the lock for longer is gone, in milliseconds: it does one request meanwhile. */
const LOCK_STALE = 20_000;
const LOCK_POLL = 50;
const MAX_BYTES = 256 * 1024;

export class KeptLogin {
  readonly #server: string;
  readonly #clientId: string | undefined;
  readonly #log: Logger;
  /** `undefined` where nothing can be kept. */
  readonly file: string | undefined;
  #memory: Kept | undefined;
  #hasWarned = false;

  /** @param clientId as the user gave it */
  constructor(server: string, clientId: string | undefined, log: Logger) {
    this.#server = server;
    this.#clientId = clientId;
    this.#log = log;
    const folder = stateFolder();
    const name = createHash("sha256")
      .update(JSON.stringify([server, clientId ?? null]))
      .digest("hex");
    this.file = folder === undefined ? undefined : join(folder, "logins", `${name}.json`);
  }

  /** @throws ProxyError `BAD_CONFIG` for a file that others may have read or written */
  read(): Kept | undefined {
    const { file } = this;
    if (file === undefined) return this.#memory;
    try {
      if (statSync(file).size > MAX_BYTES) return undefined;
      const why = whyNotPrivate(file);
      if (why !== undefined)
        throw new ProxyError("BAD_CONFIG", {
          hint: `The login that is kept in ${file} is open to others (${why}). Remove the file, revoke that login at the server, and log in again; its folder must be writable for you alone.`,
        });
      const found: unknown = JSON.parse(readFileSync(file, "utf8"));
      return this.#isMine(found) ? found : undefined;
    } catch (cause) {
      if (cause instanceof ProxyError) throw cause;
      return this.#memory;
    }
  }

  /** In one step: whoever reads sees the old login or the new one. */
  write(kept: Kept): void {
    const { file } = this;
    this.#memory = kept;
    const why = file === undefined ? "this user has no home folder" : this.#tryWrite(file, JSON.stringify(kept));
    if (why === undefined || this.#hasWarned) return;
    this.#hasWarned = true;
    this.#log.warn(`The login cannot be kept (${why}): it ends with this process.`);
  }

  remove(): void {
    this.#memory = undefined;
    try {
      if (this.file !== undefined) rmSync(this.file, { force: true });
    } catch (cause) {
      this.#log.warn(`The file of the login cannot be removed: ${codeOf(cause)}`);
    }
  }

  /** Runs `work` while no other process of this user does so for the same login. Where nothing can be kept, nobody else knows it. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    const lock = this.file === undefined ? undefined : `${this.file}.lock`;
    if (lock === undefined || !(await this.#take(lock))) return work();
    try {
      return await work();
    } finally {
      rmSync(lock, { force: true });
    }
  }

  async #take(lock: string): Promise<boolean> {
    if (!permitted({ name: "write", path: dirname(lock) })) return false;
    for (;;) {
      try {
        mkdirSync(dirname(lock), { recursive: true, mode: 0o700 });
        closeSync(openSync(lock, "wx", 0o600));
        return true;
      } catch (cause) {
        if (codeOf(cause) !== "EEXIST") return false;
      }
      breakStale(lock);
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL));
    }
  }

  #tryWrite(file: string, text: string): string | undefined {
    const draft = `${file}.${randomUUID()}`;
    if (!permitted({ name: "write", path: dirname(file) })) return "--allow-write is missing";
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      writeFileSync(draft, text, { flag: "wx", mode: 0o600 });
      renameSync(draft, file);
      return undefined;
    } catch (cause) {
      rmSync(draft, { force: true });
      return codeOf(cause);
    }
  }

  #isMine(found: unknown): found is Kept {
    if (!isRecord(found) || found.format !== 1 || typeof found.accessToken !== "string") return false;
    return (
      found.server === this.#server && found.clientId === this.#clientId && isRecord(found.as) && isRecord(found.client)
    );
  }
}

/** Of two processes that find the same one, the second may have taken away the first one's new lock: that is put back. */
function breakStale(lock: string): void {
  const isStale = (file: string) => Date.now() - statSync(file).mtimeMs > LOCK_STALE;
  const aside = `${lock}.${randomUUID()}`;
  try {
    if (!isStale(lock)) return;
    renameSync(lock, aside);
    if (!isStale(aside)) linkSync(aside, lock);
  } catch {
    // It is gone, or there is another one already.
  }
  rmSync(aside, { force: true });
}

function codeOf(cause: unknown): string {
  return cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause);
}
