/** The environment of a server's process: what is declared, and a few names of the proxy's own. */

/** As the SDKs have it. The proxy's own environment holds the secrets of other servers. */
const POSIX = ["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"];
const WINDOWS = [
  "APPDATA",
  "HOMEDRIVE",
  "HOMEPATH",
  "LOCALAPPDATA",
  "PATH",
  "PROCESSOR_ARCHITECTURE",
  "SYSTEMDRIVE",
  "SYSTEMROOT",
  "TEMP",
  "USERNAME",
  "USERPROFILE",
  "PROGRAMFILES",
];

/**
 * @param declared in the configuration; only there can variables be set that change what is run (`NODE_OPTIONS`, `LD_PRELOAD`)
 * @param own the proxy's
 */
export function childEnvironment(
  declared: Readonly<Record<string, string>> = {},
  own: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of process.platform === "win32" ? WINDOWS : POSIX) {
    const value = own[name];
    // A function of bash, which would be run.
    if (value !== undefined && !value.startsWith("()")) environment[name] = value;
  }
  return { ...environment, ...declared };
}
