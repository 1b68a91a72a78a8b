/** Which values of a configuration are secrets. Asked before it is checked, so that no message about a mistake shows one. */
import { isRecord } from "./body/message.ts";
import { type Redactor, isOpaque, isSecretName } from "./redact.ts";
import type { Expansion } from "./variables.ts";

/** @param config with variables filled in, not yet checked */
export function registerSecrets(config: unknown, expansions: readonly Expansion[], redactor: Redactor): void {
  const servers = isRecord(config) && isRecord(config.servers) ? Object.values(config.servers).filter(isRecord) : [];
  for (const { url, headers, env, args, tls } of servers) {
    for (const values of [headers, env])
      if (isRecord(values)) for (const [name, value] of Object.entries(values)) redactor.add(String(value), name);
    if (Array.isArray(args)) for (const secret of secretArgs(args.map(String))) redactor.add(secret);
    if (typeof url === "string" && URL.canParse(url)) registerUrl(new URL(url), redactor);
    registerTls(tls, redactor);
  }
  if (isRecord(config)) registerTls(config.tls, redactor);
  if (isRecord(config))
    for (const secret of [config.secret].flat()) if (typeof secret === "string") redactor.add(secret);
  const hosts = servers.map(({ url }) => (typeof url === "string" && URL.canParse(url) ? new URL(url).host : ""));
  for (const { name, value, where } of expansions) {
    // A variable may hold a host or a whole URL: the banner must still be able to say where a server is.
    const isPlace = value.includes("://") || hosts.some((host) => host.includes(value));
    if (
      /^secret(?:\.|$)/.test(where) ||
      isSecretName(name) ||
      isOpaque(value) ||
      /\.(?:headers|env)\./.test(where) ||
      (where.endsWith(".url") && !isPlace)
    )
      redactor.add(value, name);
  }
}

/** `--token=…`, `--token …`, and what looks like a key by itself. */
export function secretArgs(args: readonly string[]): string[] {
  return args.flatMap((arg, i) => {
    const [, name, value] = /^--?([\w.-]+)=([^]+)$/.exec(arg) ?? [];
    if (name !== undefined) return isSecretName(name) || isOpaque(value!) ? [value!] : [];
    const before = args[i - 1];
    const isValue = !arg.startsWith("-") && before !== undefined && /^--?[\w.-]+$/.test(before) && isSecretName(before);
    return isValue || isOpaque(arg) ? [arg] : [];
  });
}

/** Services hide keys in queries, and in paths too. */
function registerUrl(url: URL, redactor: Redactor): void {
  for (const [name, value] of url.searchParams) redactor.add(value, name);
  for (const part of url.pathname.split("/")) if (isOpaque(part)) redactor.add(part);
  if (url.password) redactor.add(decode(url.password));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function registerTls(tls: unknown, redactor: Redactor): void {
  if (!isRecord(tls)) return;
  if (typeof tls.passphrase === "string") redactor.add(tls.passphrase);
  if (typeof tls.key !== "string" || !tls.key.includes("-----BEGIN")) return;
  for (const line of tls.key.split("\n")) if (!line.includes("-----")) redactor.add(line);
}

/** Variables of the environment whose names say that they are secrets: an error of a configuration file may quote them. */
export function registerEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  redactor: Redactor,
): void {
  for (const [name, value] of Object.entries(environment))
    if (value !== undefined && value.length >= 8 && isSecretName(name)) redactor.add(value, name);
}
