/** The file of a Unix socket: taken over from a process that died, never from one that lives, and gone after the stop. */
import { chmodSync, lstatSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { ProxyError } from "./errors.ts";

/** The system's structure holds 104 bytes on macOS and 108 on Linux, with the final zero; Node cuts a longer path off in silence. */
const MAX_PATH = 103;
const OWNER_ONLY = 0o600;

/** A claimed path. */
export interface SocketFile {
  /** Starts to listen, and leaves the file to this user alone. */
  bind(listen: () => unknown): Promise<void>;
  /** Removes the file, unless it has become another's. */
  release(): void;
}

/**
 * Makes way for a listening socket.
 *
 * @throws ProxyError `BAD_CONFIG` where something lives there, or is no socket
 */
export async function claimSocket(path: string): Promise<SocketFile> {
  if (Buffer.byteLength(path) > MAX_PATH)
    throw bad(path, `its path is longer than ${MAX_PATH} bytes. Choose a shorter one.`);
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found && !found.isSocket())
    throw bad(path, "there is a file that is no socket. Choose another path, or remove it.");
  if (found) {
    const code = await knock(path);
    if (code === "") throw bad(path, "it is taken by a running process. Stop that, or choose another path.");
    if (code !== "ECONNREFUSED" && code !== "ENOENT")
      throw bad(path, `this user may not tell whose it is (${code}). Choose another path, or remove it.`);
    rmSync(path, { force: true });
  }
  let inode: number | undefined;
  return {
    async bind(listen) {
      const restore = narrowMask();
      let listening: unknown;
      try {
        listening = listen();
      } finally {
        restore();
      }
      await Promise.resolve(listening).catch((cause: NodeJS.ErrnoException) => {
        throw bad(path, WHY[cause.code ?? ""] ?? `the system refuses it (${cause.code ?? cause.message}).`, cause);
      });
      chmodSync(path, OWNER_ONLY);
      inode = lstatSync(path).ino;
    },
    release() {
      if (inode !== undefined && lstatSync(path, { throwIfNoEntry: false })?.ino === inode)
        rmSync(path, { force: true });
    },
  };
}

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: "it is taken by a running process. Stop that, or choose another path.",
  ENOENT: "its folder does not exist. Make it first.",
  EACCES: "its folder does not exist, or this user may not write to it. Choose another path.",
};

/** @returns the error code of a connection to it, or nothing when somebody answers */
function knock(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path, () => done(""));
    const done = (code: string) => {
      socket.destroy();
      resolve(code);
    };
    socket.on("error", (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  });
}

/** The file is made while `listen()` runs: from the first moment no other user may connect. */
function narrowMask(): () => void {
  try {
    const before = process.umask(0o777 & ~OWNER_ONLY);
    return () => void process.umask(before);
  } catch {
    // Workers may not, and Deno wants a permission for it: there `chmod` alone has to do.
    return () => {};
  }
}

function bad(path: string, hint: string, cause?: unknown): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint: `The socket ${path}: ${hint}`, cause });
}
