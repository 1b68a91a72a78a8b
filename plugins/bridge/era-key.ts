/** For whom it is known which eras a server speaks. */
import { type Awaitable, type Mount, type Principal, digest } from "../../core/index.ts";
import { callersDiffer } from "../_callers-differ.ts";

/**
 * Where the server knows its callers, it may show each of them something else. What they bring is not kept.
 *
 * @param headers of the request
 * @returns empty where it is the same for all
 */
export function eraKey(mount: Mount, { id }: Principal, headers: Headers): Awaitable<string> {
  if (mount.get(callersDiffer)) return id;
  const authorization = mount.auth === "passthrough" ? headers.get("authorization") : null;
  return authorization === null ? "" : digest(authorization);
}
