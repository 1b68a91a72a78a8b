/** Client ID Metadata Documents: a client's id is the URL of what it says about itself (draft-ietf-oauth-client-id-metadata-document). */
import {
  type GuardedFetch,
  type Json,
  type Logger,
  createGuardedFetch,
  isProxyError,
  isRecord,
} from "../../core/index.ts";
import type { Client } from "./clients.ts";
import type { Settings } from "./options.ts";
import { OAuthError } from "./params.ts";
import { readMetadata } from "./registration.ts";

/** A document is some lines. */
const MAX_BYTES = 16 * 1024;
const MAX_URL = 512;
const MAX_KEPT = 200;
/** Fetches at a time: strangers choose what is fetched. */
const MAX_FETCHES = 8;
/** In milliseconds: where the document's host does not say how long it is good (RFC 9111 §4.2.2), at most, and for failures. */
const FRESH = 5 * 60_000;
const MAX_FRESH = 24 * 60 * 60_000;
const FAILED = 10_000;

interface Kept {
  client: Promise<Client | undefined>;
  until: number;
}

/** The documents that one mount has seen. */
export class ClientDocuments {
  readonly #fetch: GuardedFetch;
  readonly #schemes: readonly string[];
  /** Hosts that the operator named: these may be on this machine, and there only, without TLS. */
  readonly #own: ReadonlySet<string>;
  readonly #log: Logger;
  readonly #kept = new Map<string, Kept>();
  #fetching = 0;

  constructor({ clientMetadataHosts, redirectSchemes, fetch }: Settings, log: Logger) {
    this.#fetch = fetch ?? createGuardedFetch({ trusted: clientMetadataHosts, maxBytes: MAX_BYTES });
    this.#schemes = redirectSchemes;
    this.#own = new Set(clientMetadataHosts);
    this.#log = log;
  }

  /** An https: URL with a path, written in its one normal form. */
  isOne(id: string): boolean {
    if (id.length > MAX_URL || !/^https?:\/\//.test(id) || !URL.canParse(id)) return false;
    const { href, protocol, origin, pathname, username, password } = new URL(id);
    if (href !== id || username || password || id.includes("#") || pathname === "/") return false;
    return protocol === "https:" || this.#own.has(origin);
  }

  /** One fetch serves all who ask meanwhile. Never rejects. */
  async find(id: string): Promise<Client | undefined> {
    if (!this.isOne(id)) return undefined;
    const known = this.#kept.get(id);
    if (known && performance.now() < known.until) return known.client;
    if (this.#fetching >= MAX_FETCHES) return undefined;
    const kept: Kept = { client: this.#read(id, (ms) => (kept.until = performance.now() + ms)), until: Infinity };
    this.#kept.delete(id);
    this.#kept.set(id, kept);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_KEPT) break;
      this.#kept.delete(oldest);
    }
    return kept.client;
  }

  /** @param keep is told for how long what was found is good, in milliseconds */
  async #read(id: string, keep: (ms: number) => void): Promise<Client | undefined> {
    this.#fetching++;
    try {
      const answer = await this.#fetch(id, { headers: { accept: "application/json" } });
      if (answer.status !== 200) throw new Error(`HTTP ${answer.status}`);
      const document: unknown = await answer.json();
      if (!isRecord(document)) throw new Error("it is no JSON object");
      const client = readDocument(id, document, this.#schemes);
      keep(freshness(answer.headers.get("cache-control")));
      return client;
    } catch (cause) {
      keep(FAILED);
      this.#log.info(() => `the metadata of client ${JSON.stringify(id)} was refused: ${describe(cause)}`);
      return undefined;
    } finally {
      this.#fetching--;
    }
  }
}

/** @throws OAuthError or Error with what is wrong */
function readDocument(id: string, document: Json, schemes: readonly string[]): Client {
  // Else one host could speak for the client of another.
  if (document.client_id !== id) throw new Error("its client_id is not its URL");
  if (document.client_secret !== undefined) throw new Error("it has a client_secret, which everybody can read");
  const metadata = readMetadata(document, schemes);
  if (metadata.auth !== "none") throw new Error("token_endpoint_auth_method must be none");
  return { ...metadata, id, host: new URL(id).host };
}

/** RFC 9111 §5.2.2, in milliseconds. */
function freshness(field: string | null): number {
  if (field === null) return FRESH;
  if (/\bno-(?:store|cache)\b/i.test(field)) return 0;
  const [, seconds] = /\bmax-age="?(\d{1,10})/i.exec(field) ?? [];
  return seconds === undefined ? FRESH : Math.min(Number(seconds) * 1000, MAX_FRESH);
}

function describe(cause: unknown): string {
  if (isProxyError(cause)) return cause.toLog();
  return cause instanceof OAuthError || cause instanceof Error ? cause.message.slice(0, 200) : "unknown";
}
