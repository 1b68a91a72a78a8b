/** Opens a browser; no shell reads the URL, and no program but the system's own opener is started. */
import { spawn } from "node:child_process";
import { safeUrl } from "./check-server.ts";

/**
 * A URL as a browser may be given it by any means: characters that mean something to a shell are percent-encoded, for openers
 * that are shell scripts themselves.
 *
 * @throws TypeError for what is not https:, or http: on this machine
 */
export function plainHref(url: URL): string {
  if (!safeUrl(url.href)) throw new TypeError("A browser is shown https: URLs only.");
  return url.href.replace(/[^\w\-.~:/?#[\]@!&*+,;=%]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** @returns whether a program could be started; not whether a window came up */
export async function openBrowser(url: URL): Promise<boolean> {
  const href = plainHref(url);
  const [command, args] =
    process.platform === "win32"
      ? ["rundll32", ["url.dll,FileProtocolHandler", href]]
      : [process.platform === "darwin" ? "open" : "xdg-open", [href]];
  try {
    const child = spawn(command as string, args as string[], { stdio: "ignore", detached: true, shell: false });
    return await new Promise((resolve) => {
      child.once("error", () => resolve(false));
      child.once("spawn", () => {
        child.unref();
        resolve(true);
      });
    });
  } catch {
    // Deno without --allow-run.
    return false;
  }
}
