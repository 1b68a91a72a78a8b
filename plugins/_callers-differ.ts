/** Plugins that send each caller's own credential to a server say so: what it shows one caller says nothing of others. */
import { type Mount, type State, defineState } from "../core/index.ts";

/** Of a mount: its server knows its callers one by one, by credentials that this proxy adds. */
export const callersDiffer: State<true> = defineState("credentials.differ");

/** The server is asked with credentials of callers, which they bring or the proxy keeps for them. */
export function areCallersOwn(mount: Mount): boolean {
  return mount.auth === "passthrough" || mount.get(callersDiffer) === true;
}
