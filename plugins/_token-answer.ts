/** What a token endpoint says (RFC 6749 §5), and what is told about it: never what it was asked with. */
import { type ErrorCode, type Json, ProxyError, isProxyError, isRecord } from "../core/index.ts";
import { isToken } from "./_oauth-client-options.ts";

/** A token as it was issued. */
export interface Issued {
  token: string;
  /** In milliseconds; `undefined` where the provider does not tell. May be 0 or less. */
  lifetime: number | undefined;
}

/** Error codes of RFC 6749 §5.2 and its extensions. Others could be anything, also what was sent. */
const ERROR_CODE = /^[a-z][a-z_]{1,60}$/;
/** Of a description that the log shows. */
const MAX_DESCRIPTION = 300;
const FORM = /^application\/x-www-form-urlencoded\b/i;
/** RFC 8693 §2.2.1: of a token that is for another authorization server, and no credential by itself. */
const NOT_APPLICABLE = "n_a";

/** Says for which server there is no token, and why. */
export class TokenFailure {
  readonly #server: string;

  constructor(server: string) {
    this.#server = server;
  }

  /** The provider, or what it said, is at fault: it will say so again. @param detail for the log */
  refused(hint: string, detail?: string): ProxyError {
    return this.#error("UPSTREAM_TOKEN_REFUSED", hint, detail);
  }

  /** It may go better later. @param seconds to wait, where the provider said so */
  unavailable(hint: string | undefined, detail?: string, seconds?: number): ProxyError {
    return this.#error("UPSTREAM_TOKEN_UNAVAILABLE", hint, detail, seconds);
  }

  /** The same again, for another caller. */
  again(error: ProxyError, seconds: number): ProxyError {
    const { hint, detail } = error.details;
    return this.#error(error.code, hint, detail, seconds);
  }

  /** From a fetch that found nothing. */
  outbound(cause: unknown, timeout: number, isLate: boolean): ProxyError {
    if (isLate) return this.unavailable(undefined, `not at its end after ${timeout} ms`);
    return this.unavailable(undefined, isProxyError(cause) ? (cause.details.detail ?? cause.code) : String(cause));
  }

  #error(code: ErrorCode, hint?: string, detail?: string, seconds?: number): ProxyError {
    const headers = seconds === undefined ? undefined : { "retry-after": String(Math.max(1, Math.ceil(seconds))) };
    return new ProxyError(code, { server: this.#server, hint, detail, ...(headers && { headers }) });
  }
}

/**
 * @param secrets that were sent: a description that repeats one is not shown
 * @throws ProxyError `UPSTREAM_TOKEN_REFUSED`, or `UPSTREAM_TOKEN_UNAVAILABLE` for 429 and 5xx
 */
export async function readToken(
  response: Response,
  failure: TokenFailure,
  secrets: readonly string[],
  expectedType?: string,
): Promise<Issued> {
  const { status, ok, headers } = response;
  const body = await readObject(response);
  if (!ok) throw refusal(status, headers, body, failure, secrets);
  if (!body) throw failure.refused(`What it said (HTTP ${status}) is no JSON object.`);
  // GitHub and others tell errors with 200.
  if (body.access_token === undefined && typeof body.error === "string")
    throw refusal(status, headers, body, failure, secrets);
  const { access_token: token, token_type: type = "bearer", issued_token_type: issuedType } = body;
  if (!isToken(token)) throw failure.refused(`What it said (HTTP ${status}) has no \`access_token\` that can be used.`);
  if (expectedType !== undefined && issuedType !== expectedType)
    throw failure.refused(`What it said (HTTP ${status}) is no ${expectedType}: see \`issued_token_type\`.`);
  const kind = String(type).toLowerCase();
  if (kind !== "bearer" && !(expectedType !== undefined && kind === NOT_APPLICABLE))
    throw failure.refused(`Its token (HTTP ${status}) is not of type Bearer: nothing else can be sent.`);
  return { token, lifetime: lifetimeOf(body.expires_in) };
}

function refusal(
  status: number,
  headers: Headers,
  body: Json | undefined,
  failure: TokenFailure,
  secrets: readonly string[],
): ProxyError {
  const named = typeof body?.error === "string" && ERROR_CODE.test(body.error) ? body.error : undefined;
  const code = named !== undefined && secrets.includes(named) ? undefined : named;
  const said = typeof body?.error_description === "string" ? body.error_description : "";
  const isSafe = !secrets.some((secret) => said.includes(secret));
  const detail = isSafe && said !== "" ? `it said: ${said.slice(0, MAX_DESCRIPTION)}` : undefined;
  const what = code === undefined ? `HTTP ${status}` : `HTTP ${status}, ${code}`;
  if (status === 429 || status >= 500) return failure.unavailable(`It said ${what}.`, detail, secondsOf(headers));
  return failure.refused(`It said ${what}.${code === undefined ? "" : (ADVICE[code] ?? "")}`, detail);
}

const ADVICE: Readonly<Record<string, string>> = {
  invalid_client: " Check clientId, the secret or key, and authMethod of the plugin oauth-client.",
  unauthorized_client: " The provider does not allow this client this grant.",
  unsupported_grant_type: " The provider does not know this grant.",
  invalid_scope: " Check scopes of the plugin oauth-client.",
  invalid_target: " Check resource and audience of the plugin oauth-client; `resource: false` leaves it out.",
};

async function readObject(response: Response): Promise<Json | undefined> {
  const text = await response.text();
  if (FORM.test(response.headers.get("content-type") ?? "")) return Object.fromEntries(new URLSearchParams(text));
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Some providers write the number as a text. */
function lifetimeOf(seconds: unknown): number | undefined {
  const number = typeof seconds === "string" && seconds.trim() !== "" ? Number(seconds) : seconds;
  return typeof number === "number" && Number.isFinite(number) ? number * 1000 : undefined;
}

/** Dates are not read: a minute too many keeps nobody waiting. */
function secondsOf(headers: Headers): number | undefined {
  const text = headers.get("retry-after") ?? "";
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
