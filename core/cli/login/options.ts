/** From the options of a command to logins. */
import { ProxyError } from "../../errors.ts";
import { type LogFormat, type Logger, jsonLine } from "../../log.ts";
import { createGuardedFetch } from "../../outbound/guarded-fetch.ts";
import { trustOf } from "../../outbound/trusted.ts";
import { isLoopbackHost } from "../../public-url.ts";
import type { TlsOptions } from "../../types.ts";
import { type Expansion, expandVariables } from "../../variables.ts";
import { type Args, valuesOf } from "../args.ts";
import type { Output } from "../output.ts";
import { openBrowser, plainHref } from "./browser.ts";
import { isDocument } from "./authorize.ts";
import type { LoginOptions } from "./login.ts";

/** What is the same for all servers of one command. */
export type LoginSettings = Omit<LoginOptions, "fetch" | "trusts"> & { trusted: readonly string[] };

/** @throws ProxyError `BAD_CONFIG` */
export function loginSettings(args: Args, rawArgs: readonly string[], log: Logger, output: Output): LoginSettings {
  const { "client-id": clientId, "client-secret": secret, open } = args;
  // citty reads it as the opposite of an option `login`.
  const mayLogIn = !rawArgs.includes("--no-login") && !/^(?!0$|false$)./i.test(process.env.CI ?? "");
  const clientSecret = secret === undefined ? undefined : secretOf(secret);
  if (clientSecret !== undefined && (clientId === undefined || isDocument(clientId)))
    throw usage("--client-secret is that of a client that was registered beforehand: give its id with --client-id.");
  if (clientSecret !== undefined) output.redactor.add(clientSecret);
  const trusted = valuesOf(rawArgs, "trust");
  try {
    trustOf(trusted);
  } catch {
    throw usage('--trust: a host such as "login.example.com" is needed, or an origin.');
  }
  const format = args["log-format"] ?? "text";
  return {
    clientId,
    clientSecret,
    callbackPort: portOf(args["callback-port"]),
    patience: patienceOf(),
    log,
    secret: (value) => output.redactor.add(value),
    instead: (server) => insteadOf(server, mayLogIn),
    trusted,
    ...(mayLogIn && {
      show(url, server) {
        tell(url, server, format);
        if (!open) return;
        void openBrowser(url).then(
          (isOpen) => isOpen || log.warn("No browser could be opened: go to that URL yourself."),
        );
      },
    }),
  };
}

/** Where nobody can log in, or nobody has. */
function insteadOf({ origin, pathname }: URL, mayLogIn: boolean): string {
  const command = `penstock doctor --url ${origin}${pathname} --login`;
  return mayLogIn
    ? `Log in beforehand, in a terminal: \`${command}\`.`
    : `Nobody may log in here (--no-login, or the variable CI). Log in where a browser is, as the same user: \`${command}\`. Or give a token of your own: --header "Authorization: Bearer \${TOKEN}".`;
}

/** The host that the user typed may be anywhere; those that it names must be public, or named as well. */
export function loginOptions({ trusted, ...settings }: LoginSettings, server: URL, tls?: TlsOptions): LoginOptions {
  const own = isLoopbackHost(server.hostname) ? ["localhost", "127.0.0.1", "[::1]"] : [server.hostname];
  return {
    ...settings,
    fetch: createGuardedFetch({ trusted: [...own, ...trusted], maxRedirects: 3, tls }),
    trusts: trustOf(trusted),
  };
}

/** Not through the log: that takes out `state`, without which the login would fail. It is good for this login only. */
function tell(url: URL, server: URL, format: LogFormat): void {
  const href = plainHref(url);
  const message = `Log in to ${server.host} in a browser on this machine`;
  process.stderr.write(
    format === "json" ? `${jsonLine("warn", `${message}.`, { url: href })}\n` : `\n${message}:\n\n  ${href}\n\n`,
  );
}

function secretOf(text: string): string {
  const mistakes: string[] = [];
  const expansions: Expansion[] = [];
  const value = expandVariables(text, "--client-secret", mistakes, { expansions });
  if (mistakes.length > 0) throw usage(mistakes.join("\n"));
  if (expansions.length === 0)
    throw usage("--client-secret: write '${NAME}', and the secret into that variable of the environment.");
  return value as string;
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535) return Number(text);
  throw usage(`--callback-port: ${JSON.stringify(text)} is no port; allowed is 1 to 65535.`);
}

function patienceOf(): number | undefined {
  const { PENSTOCK_LOGIN_TIMEOUT: text } = process.env;
  if (!text) return undefined;
  const ms = Number(text);
  if (Number.isFinite(ms) && ms > 0 && ms < 2 ** 31) return ms;
  throw usage(`PENSTOCK_LOGIN_TIMEOUT: ${JSON.stringify(text)} is no time above 0, in milliseconds.`);
}

function usage(hint: string): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint });
}
