/** The answer to a `server/discover` that somebody else asked, read as a probe reads it, and fit to be sent on. */
import {
  type Answer,
  type Mount,
  type Probe,
  MODERN,
  ProxyError,
  eraOf,
  fromResponse,
  mediaType,
  outageOf,
  versionsIn,
} from "../../core/index.ts";
import { MessageReader, type ServerMessage } from "./messages.ts";

/** Largest description that is read, in bytes. */
const LIMIT = 1024 * 1024;

/** What was found, and the answer for whoever asked. */
export interface Discovery {
  readonly probe: Probe;
  readonly answer: Answer;
}

/** @throws ProxyError */
export async function readDiscovery(answer: Answer, transport: Mount["transport"]): Promise<Discovery> {
  const { status, headers } = answer;
  const outage = outageOf({ status, headers, response: undefined, type: mediaType(headers) });
  const found = (verdict: Probe["verdict"], more: Partial<Probe> = {}): Probe => ({
    verdict,
    transport,
    latencyMs: 0,
    ...more,
  });
  if (outage) return { answer, probe: found(outage[0], { ...outage[1], refusal: { status, headers } }) };
  const response = await responseIn(answer);
  const versions = versionsIn(response?.message);
  const modern = versions?.filter((one) => eraOf(one) === "modern") ?? [];
  const verdict = modern.includes(MODERN) ? "modern" : modern.length > 0 ? "unsupported" : "legacy";
  // Nothing else was said, so the response alone is the answer.
  headers.delete("content-length");
  if (response) headers.set("content-type", "application/json");
  const { body } = fromResponse(new Response((response?.text ?? "") as BodyInit));
  return { answer: { status, headers, body }, probe: found(verdict, { versions }) };
}

function responseIn(answer: Answer): Promise<ServerMessage | undefined> {
  return new Promise((resolve, reject) => {
    const reader = new MessageReader(answer, LIMIT, {
      message(message) {
        if (message.kind !== "response") return;
        resolve(message);
        reader.abort();
      },
      end: (cancelled) => (cancelled ? reject(new ProxyError("CLIENT_GONE")) : resolve(undefined)),
      fail: reject,
    });
    reader.start();
  });
}
