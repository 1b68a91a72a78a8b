import type { Expected } from "./compare.ts";

/**
 * What is not the same through the proxy, and why that is right. A row whose difference is gone from all revisions
 * fails the run, until it is removed.
 */
export const EXPECTED: readonly Expected[] = [
  {
    upstreams: ["http", "stdio", "sse"],
    scenario: "dns-rebinding-protection",
    check: "localhost-host-rebinding-rejected",
    what: "details.body",
    reason: "a foreign Host is refused by the proxy, in its own words, and never reaches the server",
  },
];
