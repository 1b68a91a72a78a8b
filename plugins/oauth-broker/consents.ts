/** Consents that a browser keeps: each for one client with one redirect URI and what it asked for, and for a while. */
import type { RequestHead } from "../../core/index.ts";
import type { Broker } from "./broker.ts";
import { consentsOf, keepConsents } from "./browser.ts";
import type { Asked, Consent } from "./sealed.ts";

/** The newest of one server; together they fit into a cookie (4096 bytes). */
const MAX_KEPT = 6;
const MAX_COOKIE = 3800;

/** @param sealed the browser's cookie */
export function isRemembered(broker: Broker, sealed: string | undefined, browser: string, asked: Asked): boolean {
  return readConsents(broker, sealed, browser).some(
    (consent) =>
      consent.client === asked.client &&
      consent.redirectUri === asked.redirectUri &&
      asked.scopes.every((scope) => consent.scopes.includes(scope)),
  );
}

/** The cookie that remembers one more. @returns nothing where none is to be remembered */
export function remember(broker: Broker, request: RequestHead, browser: string, asked: Asked): string | undefined {
  const { settings, segment, seals } = broker;
  const { consentLifetime } = settings;
  if (consentLifetime === 0) return undefined;
  const { client, redirectUri, scopes } = asked;
  const until = Date.now() + consentLifetime;
  const others = readConsents(broker, consentsOf(request, segment), browser).filter(
    (one) => one.client !== client || one.redirectUri !== redirectUri,
  );
  for (let kept: Consent[] = [{ client, redirectUri, scopes, until }, ...others].slice(0, MAX_KEPT); ; kept.pop()) {
    if (kept.length === 0) return undefined;
    const sealed = seals.seal("consents", kept, until, browser);
    if (sealed.length <= MAX_COOKIE) return keepConsents(request, segment, sealed, consentLifetime);
  }
}

function readConsents({ seals }: Broker, sealed: string | undefined, browser: string): readonly Consent[] {
  const kept = sealed === undefined ? undefined : seals.open("consents", sealed, browser);
  return (kept ?? []).filter(({ until }) => until > Date.now());
}
