/** Parameters of requests as OAuth wants them: each once (RFC 6749 §3.1), forms as forms, and answers that nobody keeps. */
import { type Answer, type Json, type RouteRequest, json } from "../../core/index.ts";

/** A request that is answered with an OAuth error (RFC 6749 §5.2). */
export class OAuthError extends Error {
  override readonly name = "OAuthError";
  readonly code: string;
  readonly status: number;
  readonly headers: Record<string, string>;

  /** @param description for the client's developer: visible ASCII, no secret */
  constructor(code: string, description: string, status = 400, headers: Record<string, string> = {}) {
    super(description);
    this.code = code;
    this.status = status;
    this.headers = headers;
  }
}

/** RFC 6749 §5.1; for web pages of any origin, which carry no cookies here. */
const FIELDS = { "access-control-allow-origin": "*", "cache-control": "no-store", pragma: "no-cache" };

/** Parameters by name. A list is what may be repeated: `resource` (RFC 8707 §2). */
export class Params {
  readonly #params: URLSearchParams;

  constructor(params: URLSearchParams) {
    this.#params = params;
  }

  /** @returns nothing where it is not there; an empty one counts as such (RFC 6749 §3.1) */
  get(name: string): string | undefined {
    return this.#params.get(name) || undefined;
  }

  all(name: string): string[] {
    return this.#params.getAll(name);
  }

  /** The first parameter that is there more than once. */
  get repeated(): string | undefined {
    const seen = new Set<string>();
    for (const name of this.#params.keys()) {
      if (seen.has(name) && name !== "resource") return name;
      seen.add(name);
    }
    return undefined;
  }
}

/** @throws OAuthError `invalid_request` */
export async function readForm(request: RouteRequest): Promise<Params> {
  if (!/^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(request.headers.get("content-type") ?? ""))
    throw new OAuthError("invalid_request", "The body must be application/x-www-form-urlencoded.");
  const params = new Params(new URLSearchParams(await request.text()));
  if (params.repeated !== undefined) throw new OAuthError("invalid_request", "A parameter is there more than once.");
  return params;
}

export function answerJson(value: Json, status = 200, headers: Record<string, string> = {}): Answer {
  return json(value, status, { ...FIELDS, ...headers });
}

/** Runs a handler; what it throws as an {@link OAuthError} is its answer. */
export async function answering(run: () => Promise<Answer>): Promise<Answer> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error;
    return answerJson({ error: error.code, error_description: error.message }, error.status, error.headers);
  }
}
