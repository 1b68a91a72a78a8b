import type { Plugin } from "../core/index.ts";
import { breaker } from "./breaker.ts";
import { bridge } from "./bridge.ts";
import { hostGuard } from "./host-guard.ts";
import { health } from "./health.ts";
import { mounts } from "./mounts.ts";
import { oauthRelay } from "./oauth-relay.ts";
import { oauthRoot } from "./oauth-root.ts";
import { requestLog } from "./request-log.ts";
import { retry } from "./retry.ts";
import { sessions } from "./sessions.ts";
import { sseRelay } from "./sse-relay.ts";
import { timeout } from "./timeout.ts";
import { unsupported } from "./unsupported.ts";

/** The default preset, in order. The CLI uses it where the configuration names no plugins. */
export function standard(): Plugin[] {
  return [
    hostGuard(),
    mounts(),
    oauthRoot(),
    oauthRelay(),
    requestLog(),
    health(),
    unsupported(),
    sseRelay(),
    // Around all that sends a request again: the server's session may be another one by then.
    sessions(),
    // After `sse-relay`: it looks at the bytes of the server before comments of the proxy are among them.
    timeout(),
    // Around the breaker, so that each attempt counts there.
    retry(),
    breaker(),
    // Innermost: to all others the server is of the client's era.
    bridge(),
  ];
}
