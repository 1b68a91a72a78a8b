/** `WWW-Authenticate`, for plugins that read or write it. */
export { type Challenge, type ChallengeParam, parseChallenges, writeChallenges } from "../core/index.ts";
