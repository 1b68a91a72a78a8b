/** Errors as their user reads them: what is wrong, and what to do. */
import { isProxyError } from "../errors.ts";

/** A stable code, and the text. */
export interface Explanation {
  code: string;
  message: string;
}

/** A stack only for what is our fault. @param command whose help lists what is allowed */
export function explain(error: unknown, command: string | undefined): Explanation {
  // The text before the hint says little, but which plugin is meant.
  if (isProxyError(error))
    return {
      code: error.code,
      message: error.details.plugin === undefined ? (error.details.hint ?? error.message) : error.message,
    };
  const { code, message } = error as NodeJS.ErrnoException;
  if (code?.startsWith("E_") || code === "EARG")
    return {
      code: "BAD_ARGUMENT",
      message: `${message} \`penstock ${command ? `${command} ` : ""}--help\` lists what is allowed.`,
    };
  // Deno's permissions: the message names the flag.
  if (error instanceof Error && error.name === "NotCapable") return { code: "NOT_PERMITTED", message };
  return { code: "INTERNAL", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** Why an address cannot be listened on. @returns `undefined` where it is something else */
export function explainListen(error: unknown, host: string, port: number): string | undefined {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EADDRINUSE")
    return `Port ${port} on ${host} is taken. Choose another with --port, or 0 for a free one.`;
  if (code === "EACCES")
    return `Port ${port} on ${host} may not be used by this user. Choose one above 1023 with --port.`;
  // EINVAL: Deno, for an address that another machine has.
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "EINVAL")
    return `${JSON.stringify(host)} is no address of this machine (${code}). Choose another with --host.`;
  return undefined;
}
