import type { Expected } from "./compare.ts";

const AS_JSON =
  "an answer that comes before anything else is JSON, where the server itself opens an event stream for it";

const UNBROKEN =
  "the server closes its stream within the call; the proxy comes back to it, and its client has one stream";

/**
 * What is not the same through the proxy, and why that is right. A row whose difference is gone from all revisions
 * fails the run, until it is removed.
 */
export const EXPECTED: readonly Expected[] = [
  {
    lanes: ["http", "stdio", "sse"],
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
    lanes: ["http"],
    scenario: "server-sse-polling",
    check: "server-sse-priming-event",
    what: "details.eventCount",
    reason: UNBROKEN,
  },
  ...["status", "errorMessage", "details"].map((what): Expected => ({
    lanes: ["http"],
    scenario: "server-sse-polling",
    check: "server-sse-retry-field",
    what,
    reason: `${UNBROKEN}: it is not told when to come back`,
  })),
  {
    lanes: ["http"],
    scenario: "server-sse-polling",
    check: "server-sse-disconnect-resume",
    what: "missing",
    reason: UNBROKEN,
  },
];
