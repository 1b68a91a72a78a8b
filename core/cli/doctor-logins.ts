/** Logins of all servers that the doctor asks. */
import type { Logger } from "../log.ts";
import type { Probe } from "../probe.ts";
import type { PenstockConfig, PluginOption } from "../types.ts";
import type { Diagnosis, LoginReport } from "./advice.ts";
import type { Args } from "./args.ts";
import type { Login } from "./login/login.ts";
import type { Output } from "./output.ts";

type Refused = NonNullable<Probe["refusal"]>;

/** What the doctor does with them. */
export interface DoctorLogins {
  /** Tokens that are kept go with requests, where logins were asked for: what a proxy can do has nothing to do with them. */
  readonly plugins: PluginOption;
  /** The way to a login at a server that refused so. Never rejects. */
  look(server: string, refused: Refused): Promise<LoginReport | undefined>;
  /** Logs in where that was wanted. @param again asks the server once more */
  complete(found: Diagnosis, again: () => Promise<Diagnosis>): Promise<Diagnosis>;
}

/** @throws ProxyError `BAD_CONFIG` */
export async function doctorLogins(
  args: Args,
  rawArgs: readonly string[],
  config: PenstockConfig,
  log: Logger,
  output: Output,
): Promise<DoctorLogins> {
  const { Login, logIn, loginOptions, loginPlugins, loginSettings, reportLogin } = await import("./login/index.ts");
  const settings = loginSettings(args, rawArgs, log, output);
  const logins = new Map<string, Login>();
  for (const [name, { url, tls }] of Object.entries(config.servers))
    if (url !== undefined) logins.set(name, new Login(new URL(url), loginOptions(settings, new URL(url), tls)));
  const refusals = new Map<string, Refused>();
  return {
    plugins: args.login && loginPlugins(logins, false),
    async look(server, refused) {
      refusals.set(server, refused);
      const login = logins.get(server);
      return login && reportLogin(login, refused);
    },
    async complete(found, again) {
      const login = logins.get(found.server);
      const refused = refusals.get(found.server);
      if (!login) return found;
      if (!refused || !found.login) return (await login.token()) === undefined ? found : { ...found, auth: "login" };
      const outcome = await logIn(login, refused);
      const { login: _, ...rest } = outcome === undefined ? await again() : found;
      const auth = rest.state === "auth-required" ? rest.auth : "login";
      return { ...rest, auth, login: { ...found.login, outcome: outcome ?? "done" } };
    },
  };
}
