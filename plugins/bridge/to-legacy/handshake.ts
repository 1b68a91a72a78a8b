/** How a session with a legacy server begins, and what its clients are told where the server refuses. */
import {
  type Answer,
  type Call,
  type CallReply,
  type Json,
  LATEST_LEGACY,
  ProxyError,
  VERSION,
} from "../../../core/index.ts";
import { type Opened, openSession } from "../../_session-handshake.ts";
import { eraKey } from "../era-key.ts";
import type { Caller } from "./caller.ts";
import { errorAnswer } from "./errors.ts";
import type { Leases } from "./leases.ts";

/** Refusals that say something to the client: log in, or come back later. */
const FOR_THE_CLIENT: ReadonlySet<number> = new Set([401, 403, 429, 503]);
/** Of such a refusal (RFC 9110 §10.2.3, §11.6.1). */
const FIELDS = ["www-authenticate", "retry-after"];

/** The server refused to begin a session, in words that are the client's to read. */
export class HandshakeRefused extends Error {
  readonly #status: number;
  readonly #fields: Record<string, string>;

  constructor({ status, headers }: Pick<CallReply, "status" | "headers">) {
    super(`HTTP ${status}`);
    this.#status = status;
    this.#fields = Object.fromEntries(
      FIELDS.flatMap((name) => (headers.has(name) ? [[name, headers.get(name)!]] : [])),
    );
  }

  /** @param idText of the request that cannot be served */
  answer(idText: string): Answer {
    const message = `The server answered with HTTP ${this.#status}.`;
    return errorAnswer(idText, this.#status, { code: -32603, message }, this.#fields);
  }
}

/** @throws ProxyError, or HandshakeRefused */
export async function handshake(
  { mount, eras }: Leases,
  { principal, credential, capabilities, info }: Caller,
  call: Call,
  fields: Headers | undefined,
): Promise<[Opened, Json]> {
  const clientInfo = info ?? { name: "penstock", version: VERSION };
  let reply: CallReply | undefined;
  const params = { protocolVersion: LATEST_LEGACY, capabilities, clientInfo };
  const opened = await openSession(call, mount, params, fields, (given) => (reply = given));
  if (typeof opened === "object") return [opened, reply!.response!.result!];
  // MCP 2026-07-28, Versioning: it has learned a new revision, and forgotten the old ones.
  if (reply!.response?.error?.code === -32022) {
    const headers = new Headers(credential === "" ? {} : { authorization: credential });
    eras.learn("modern", true, await eraKey(mount, principal, headers));
  }
  if (FOR_THE_CLIENT.has(opened)) throw new HandshakeRefused(reply!);
  const detail = `initialize was answered with HTTP ${opened}${reply!.response?.error ? " and an error" : ""}`;
  throw new ProxyError("UPSTREAM_INVALID", { server: mount.server, detail });
}
