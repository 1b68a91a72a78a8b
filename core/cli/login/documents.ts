/** Documents of a discovery, fetched one at a time, and what is wrong where one is not there. */
import { isRecord } from "../../body/message.ts";
import { isProxyError } from "../../errors.ts";
import { LATEST_LEGACY } from "../../era.ts";
import type { GuardedFetch } from "../../outbound/guarded-fetch.ts";
import type { Json } from "../../types.ts";
import type { Findings, Step } from "./findings.ts";

export class Documents {
  readonly #fetch: GuardedFetch;
  readonly #findings: Findings;
  readonly #signal: AbortSignal;

  constructor(fetch: GuardedFetch, findings: Findings, signal: AbortSignal) {
    this.#fetch = fetch;
    this.#findings = findings;
    this.#signal = signal;
  }

  /**
   * @param wanted something must be there: without, a 404 is as good as a document
   * @returns nothing where it is no JSON object
   */
  async get(what: Step["what"], url: URL, wanted: boolean): Promise<Json | undefined> {
    const findings = this.#findings;
    const headers = { accept: "application/json", "mcp-protocol-version": LATEST_LEGACY };
    let status: number | undefined;
    try {
      const answer = await this.#fetch(url, { headers, signal: this.#signal });
      ({ status } = answer);
      if (status !== 200) {
        await answer.body?.cancel();
        findings.step(what, false, `HTTP ${status}`, { url, status });
        if (status >= 500 || wanted)
          findings.warn(
            status >= 500 ? "server-error" : "no-metadata",
            `${url.origin}${url.pathname} answers with HTTP ${status}.`,
            status >= 500
              ? "A server without this document must say 404: after a 5xx clients guess other places, each of them others."
              : "The challenge names this URL; the document must be there.",
          );
        return undefined;
      }
      const value: unknown = await answer.json();
      if (isRecord(value)) return value;
      findings.step(what, false, "no JSON object", { url, status });
      findings.warn("not-json", `${url.origin}${url.pathname} is no JSON object.`, NOT_JSON);
    } catch (cause) {
      if (this.#signal.aborted) throw this.#signal.reason;
      const why = reasonOf(cause);
      findings.step(what, false, why, { url, status });
      if (/not JSON|SyntaxError/.test(why))
        findings.warn("not-json", `${url.origin}${url.pathname} answers with something that is not JSON.`, NOT_JSON);
      else if (/redirect/.test(why))
        findings.warn(
          "redirects",
          `${url.origin}${url.pathname} redirects: ${why}.`,
          "Serve the document at its own URL: a redirect to a login page, or in a circle, ends every discovery.",
        );
      else if (wanted || !/UNREACHABLE/.test(why))
        findings.warn(
          "unreachable",
          `${url.origin}${url.pathname} cannot be had: ${why}.`,
          `See whether that URL is right and its server runs. A host in a private network must be named: --trust ${url.host}`,
        );
    }
    return undefined;
  }
}

const NOT_JSON =
  "It must be served as application/json, and where there is none the answer must be 404: a page of HTML with status 200 (a single-page app, a login page) hides that.";

/** One sentence, for whoever runs the command: it tells what this machine can reach, which is theirs to know. */
function reasonOf(cause: unknown): string {
  if (isProxyError(cause)) return (cause.details.detail ?? cause.message).replace(/^https?:\/\/\S+: /, "");
  return cause instanceof SyntaxError ? "SyntaxError, so it is not JSON" : "it cannot be read";
}
