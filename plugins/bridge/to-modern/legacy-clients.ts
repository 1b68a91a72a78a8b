/**
 * Legacy clients of a modern server: towards the hooks around the bridge a server of Streamable HTTP with sessions (MCP 2025-11-25,
 * Transports), towards the server a client of 2026-07-28.
 */
import type { Answer, Exchange, Json, Next, UpstreamRequest } from "../../../core/index.ts";
import { ProxyError } from "../../../core/index.ts";
import type { BridgeHost } from "../host.ts";

export class LegacyClients {
  readonly #host: BridgeHost;

  constructor(host: BridgeHost) {
    this.#host = host;
  }

  /** @throws ProxyError `SESSION_NOT_FOUND` only where nothing has reached the server */
  async forward(_exchange: Exchange, _request: UpstreamRequest, _next: Next): Promise<Answer> {
    throw new ProxyError("INTERNAL", { server: this.#host.mount.server });
  }

  /** Called now and then: ends what is idle or too old. */
  look(): void {}

  report(): Json {
    return {};
  }

  close(): void {}
}
