/** The session id that a client holds: all that is needed to go on with its session, here or on another replica. */
import {
  type Exchange,
  type Json,
  type Mount,
  type Principal,
  type Sealer,
  type Store,
  isRecord,
} from "../core/index.ts";

/** What a session id carries. */
export interface SessionContent {
  /** Names the session in stores. 128 bits that nobody can guess. */
  key: string;
  /** The session that the server opened. */
  upstreamId: string;
  /** What the client began with (`params` of its `initialize`); `undefined` where that is not known any more. */
  handshake: Json | undefined;
  /** Milliseconds since the epoch. */
  expiresAt: number;
}

/** Longest text that is sealed, in bytes: the token stays below 2 KB. */
const MAX_SEALED = 1400;
/** Longest handshake that is remembered, as JSON text. */
const MAX_HANDSHAKE = 16_384;
/** What does not fit into a token is kept this long, in milliseconds. */
const KEPT_MS = 86_400_000;
const KEPT = "session-kept";
/** MCP 2025-11-25, Transports, Session Management: visible ASCII. */
const SYNTAX = /^[\x21-\x7e]{1,8192}$/;

const encoder = new TextEncoder();

export function isSessionId(text: string): boolean {
  return SYNTAX.test(text);
}

export function createKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whose session: with another caller or server its id opens nothing. */
export function bindingOf(principal: Principal, mount: Mount): readonly string[] {
  return [principal.id, mount.server, mount.upstream];
}

export async function sealContent(
  { sealer, store }: { sealer: Sealer; store: Store },
  { key, upstreamId, handshake, expiresAt }: SessionContent,
  binding: readonly string[],
): Promise<string> {
  const whole = [key, expiresAt, upstreamId, handshake ?? null];
  const forms = [whole, whole.slice(0, 3), whole.slice(0, 2)].map((form) => JSON.stringify(form));
  const fits = forms.findIndex((text) => encoder.encode(text).length <= MAX_SEALED);
  if (fits > 0) {
    // Sealed, as whoever reads the store could use the session.
    const kept = sealer.seal(KEPT, forms[0]!, key);
    await store.set(keptUnder(key), kept, KEPT_MS);
  }
  return sealer.seal("session", forms[fits]!, binding, expiresAt);
}

/** @returns nothing for what is no session id of this caller with this server, or is none any more */
export async function openContent(
  { sealer, store }: { sealer: Sealer; store: Store },
  token: string,
  binding: readonly string[],
): Promise<SessionContent | undefined> {
  const text = sealer.open("session", token, binding);
  if (text === undefined) return undefined;
  const form = JSON.parse(text) as Form;
  if (form.length === 4) return contentOf(form);
  const sealed = await store.get(keptUnder(form[0]));
  const kept = sealed === undefined ? undefined : sealer.open(KEPT, sealed, form[0]);
  return contentOf(kept === undefined ? form : (JSON.parse(kept) as Form));
}

type Form = [key: string, expiresAt: number, upstreamId?: string, handshake?: Json | null];

function contentOf([key, expiresAt, upstreamId, handshake]: Form): SessionContent | undefined {
  return upstreamId === undefined ? undefined : { key, expiresAt, upstreamId, handshake: handshake ?? undefined };
}

/** Where that stands which does not fit into a token. */
function keptUnder(key: string): string {
  return `sessions:kept:${key}`;
}

/** What an `initialize` says, where it is not too long to be remembered. */
export function handshakeOf(exchange: Exchange): Json | undefined {
  const params = exchange.message?.params;
  return isRecord(params) && JSON.stringify(params).length <= MAX_HANDSHAKE ? params : undefined;
}
