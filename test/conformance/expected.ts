import type { Expected } from "./compare.ts";

const AS_JSON =
  'an answer that comes before anything else is JSON, where the server itself opens an event stream for it (Streamable HTTP: the server must return "either" of the two, and "the client MUST support both")';

const UNBROKEN =
  "the server closes its stream within the call; the proxy comes back to it, and its client has one stream";

const OWN_KEYS =
  "the keys are the bridge's own (Multi Round-Trip Requests: \"inputRequests keys are server assigned identifiers\"): a legacy server's request has an id only, which is another one in each call";

const ASKED_AGAIN =
  'the scenario answers under a key of its own (Multi Round-Trip Requests, Error Handling: the server "SHOULD ignore any information it does not recognize or need", and respond with "a new InputRequiredResult requesting the missing information again")';

const NO_STREAM =
  'a stream that the server closes and goes on with (2026-07-28, Streamable HTTP: "Resumable SSE streams via Last-Event-ID are not supported")';

const FIRST_ONLY =
  "the SDK's server over stdio compares the revision of the first request of its process, and serves every later one, whatever it names: the refusal is the server's, and it does not come";

/**
 * What is not the same through the proxy, and why that is right. A row whose difference is gone from all revisions
 * fails the run, until it is removed.
 */
export const EXPECTED: readonly Expected[] = [
  {
    lanes: ["http", "stdio", "sse", "dual", "modern"],
    scenario: "dns-rebinding-protection",
    check: "localhost-host-rebinding-rejected",
    what: "details.body",
    reason: "a foreign Host is refused by the proxy, in its own words, and never reaches the server",
  },
  {
    lanes: ["stdio", "sse"],
    scenario: "dns-rebinding-protection",
    check: "localhost-host-valid-accepted",
    what: "details.body",
    reason: AS_JSON,
  },
  {
    lanes: ["stdio", "sse"],
    scenario: "server-sse-multiple-streams",
    check: "server-accepts-multiple-post-streams",
    what: "details",
    reason: AS_JSON,
  },
  {
    lanes: ["stdio", "sse"],
    scenario: "server-sse-multiple-streams",
    check: "server-sse-streams-functional",
    what: "missing",
    reason: AS_JSON,
  },
  ...["server-sse-priming-event", "server-sse-retry-field", "server-sse-disconnect-resume"].map((check): Expected => ({
    lanes: ["stdio", "sse"],
    scenario: "server-sse-polling",
    check,
    what: "missing",
    reason: `${AS_JSON}; there is no stream that it could close and go on with`,
  })),
  {
    lanes: ["http", "dual"],
    scenario: "server-sse-polling",
    check: "server-sse-priming-event",
    what: "details.eventCount",
    reason: UNBROKEN,
  },
  ...["status", "errorMessage", "details"].map((what): Expected => ({
    lanes: ["http", "dual"],
    scenario: "server-sse-polling",
    check: "server-sse-retry-field",
    what,
    reason: `${UNBROKEN}: it is not told when to come back`,
  })),
  {
    lanes: ["http", "dual"],
    scenario: "server-sse-polling",
    check: "server-sse-disconnect-resume",
    what: "missing",
    reason: UNBROKEN,
  },
  {
    lanes: ["http", "stdio", "sse"],
    scenario: "input-required-result-basic-elicitation",
    check: "sep-2322-elicitation-incomplete",
    what: "status",
    reason: OWN_KEYS,
  },
  {
    lanes: ["http", "stdio", "sse"],
    scenario: "input-required-result-basic-elicitation",
    check: "sep-2322-elicitation-complete",
    what: "missing",
    reason: `${OWN_KEYS}: the scenario ends there`,
  },
  {
    lanes: ["http", "stdio", "sse"],
    scenario: "input-required-result-ignore-extra-params",
    check: "sep-2322-ignore-unexpected-params",
    what: "status",
    reason: `${OWN_KEYS}; ${ASKED_AGAIN}`,
  },
  {
    lanes: ["modern", "modern-stdio"],
    scenario: "server-sse-multiple-streams",
    check: "server-sse-streams-functional",
    what: "missing",
    reason: AS_JSON,
  },
  ...["server-sse-priming-event", "server-sse-retry-field", "server-sse-disconnect-resume"].map((check): Expected => ({
    lanes: ["modern", "modern-stdio"],
    scenario: "server-sse-polling",
    check,
    what: "missing",
    reason: NO_STREAM,
  })),
  ...["sep-2575-server-unsupported-version-error", "sep-2575-http-server-unsupported-version-400"].map(
    (check): Expected => ({
      lanes: ["modern-stdio"],
      scenario: "server-stateless",
      check,
      what: "status",
      reason: FIRST_ONLY,
    }),
  ),
];
