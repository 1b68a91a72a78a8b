/** Token endpoints that are older than RFC 6749, or read it loosely, in its words. */
import { type GuardedFetch, isRecord } from "../../core/index.ts";

/**
 * Answers to a `POST` as RFC 6749 §5 has them: JSON in place of a form, an error with an error's status (GitHub says 200), a
 * token with its type.
 */
export function plainAnswers(fetch: GuardedFetch): GuardedFetch {
  return async (url, init) => {
    const answer = await fetch(url, init);
    if (init?.method !== "POST" || answer.status !== 200) return answer;
    const text = await answer.text();
    const isForm = /^application\/x-www-form-urlencoded/i.test(answer.headers.get("content-type") ?? "");
    const body = isForm ? Object.fromEntries(new URLSearchParams(text)) : parsed(text);
    if (!isRecord(body)) return new Response(text, { status: 200, headers: answer.headers });
    const status = typeof body.error === "string" ? 400 : 200;
    if (body.access_token !== undefined) body.token_type ??= "Bearer";
    return Response.json(body, { status });
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
