/** Under which names a server knows what a client calls otherwise: for plugins that call it on a client's behalf. */
import { type State, defineState } from "../core/index.ts";

/** Of a session: the server's own id; `undefined` where the server gave none. */
export const upstreamSession: State<string | undefined> = defineState("sessions.upstream");
/** Of an exchange: the id of its request, where that is not the client's. */
export const upstreamRequest: State<string> = defineState("sessions.request");
/** Of a mount: session ids of its clients are this proxy's own. */
export const ownSessionIds: State<true> = defineState("sessions.own");
