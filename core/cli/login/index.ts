/** Logins, for the commands that do them; loaded by these alone, because nobody else needs oauth4webapi. */
export { logIn, reportLogin } from "./doctor.ts";
export { Login } from "./login.ts";
export { loginOptions, loginSettings } from "./options.ts";
export { loginPlugins } from "./plugins.ts";
