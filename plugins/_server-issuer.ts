/** Which authorization server a server names as its own (MCP 2025-11-25, Authorization, "Authorization Server Location"). */
import { type App, type Mount, discard } from "../core/index.ts";
import { parseChallenges } from "./_challenges.ts";
import { rememberHint, upstreamMetadata } from "./_upstream-metadata.ts";

/** For how long metadata count, in milliseconds. */
const MAX_AGE = 60_000;

/** @returns the first of those that its protected-resource metadata name; never rejects */
export async function serverIssuer(app: App, mount: Mount): Promise<string | undefined> {
  let found = await upstreamMetadata(app, mount, MAX_AGE);
  if (!found) {
    await learnHint(app, mount);
    found = await upstreamMetadata(app, mount, MAX_AGE);
  }
  const [issuer] = (found?.authorization_servers ?? []) as readonly string[];
  return issuer;
}

/** Without a credential, and by GET: whatever comes back, nothing was done. */
async function learnHint(app: App, mount: Mount): Promise<void> {
  const { pathname } = new URL(mount.upstream);
  const request = { method: "GET", path: pathname, timeouts: { headers: 5000 } } as const;
  const answer = await app.call(mount, request, { reason: "its challenge" }).catch(() => undefined);
  if (!answer) return;
  discard(answer);
  const challenges = parseChallenges(answer.headers.get("www-authenticate") ?? "") ?? [];
  const hint = challenges.flatMap(({ params }) => params).find(({ name }) => name === "resource_metadata");
  if (hint) rememberHint(mount, hint.value);
}
