import { test } from "vitest";
import { framing, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { silence } from "../_harness/silence.ts";

const use = testScope();
/** Longer than the five minutes after which HTTP clients and servers of runtimes give up by default. */
const SILENCE_MS = 330_000;

test(
  "ST-05 streams that are silent for 330 s stay open, get their comments, and deliver what comes then",
  { timeout: SILENCE_MS + 30_000 },
  async () => {
    await silence(use, SILENCE_MS, {}, [
      ["the bare core", [], 0],
      ["a hook that reads", [framing()], 0],
      // A comment every 15 s, and one may just not be due at the end.
      ["standard()", [standard()], 20],
    ]);
  },
);
