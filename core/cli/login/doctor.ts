/** Logins as the doctor sees them: the way to one, and one that is done. */
import type { Probe } from "../../probe.ts";
import type { LoginReport } from "../advice.ts";
import type { Discovery } from "./discovery.ts";
import type { Login } from "./login.ts";
import { type Refusal, readRefusal } from "./refusal.ts";

/** Never rejects. @returns nothing where a login would change nothing */
export async function reportLogin(
  login: Login,
  { status, headers }: NonNullable<Probe["refusal"]>,
): Promise<LoginReport | undefined> {
  const refusal = readRefusal(status, headers);
  return refusal && describe(login, refusal);
}

/** Never rejects. @returns why not */
export async function logIn(
  login: Login,
  { status, headers }: NonNullable<Probe["refusal"]>,
): Promise<string | undefined> {
  const refusal = readRefusal(status, headers);
  if (!refusal) return "a login would change nothing";
  login.begin(refusal);
  await login.running;
  return login.failure?.details.hint;
}

async function describe(login: Login, refusal: Refusal): Promise<LoginReport> {
  try {
    return toReport(await login.look(refusal), refusal);
  } catch (cause) {
    const message = `The discovery was not at its end in time (${cause instanceof Error ? cause.message : String(cause)}).`;
    const advice = "Somewhere on the way a server takes connections and does not answer. See its log.";
    return {
      possible: false,
      steps: [],
      mistakes: [{ code: "unreachable", message, advice, fatal: true }],
      registration: [],
    };
  }
}

function toReport(
  { steps, mistakes, reason, as, isAssumed, resource, scopes }: Discovery,
  refusal: Refusal,
): LoginReport {
  const wanted = refusal.scopes ?? scopes;
  const hasDocuments = as?.client_id_metadata_document_supported === true;
  return {
    possible: as !== undefined && reason === undefined && !isAssumed,
    steps,
    mistakes,
    ...(as && { issuer: as.issuer }),
    ...(resource !== undefined && { resource }),
    ...(wanted && { scopes: wanted }),
    registration: as
      ? [
          ...(as.registration_endpoint === undefined ? [] : (["dynamic"] as const)),
          ...(hasDocuments ? (["document"] as const) : []),
          "beforehand",
        ]
      : [],
  };
}
