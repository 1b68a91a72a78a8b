/**
 * Modern clients of a legacy server: towards the hooks around the bridge a server of 2026-07-28, towards the server a client with
 * sessions (MCP 2025-11-25 and before).
 */
import type { Answer, Exchange, Json, Next, UpstreamRequest } from "../../../core/index.ts";
import { ProxyError } from "../../../core/index.ts";
import type { BridgeHost } from "../host.ts";

export class ModernClients {
  readonly #host: BridgeHost;

  constructor(host: BridgeHost) {
    this.#host = host;
  }

  /** @throws ProxyError */
  async forward(_exchange: Exchange, _request: UpstreamRequest, _next: Next): Promise<Answer> {
    throw new ProxyError("INTERNAL", { server: this.#host.mount.server });
  }

  /** Called now and then: ends what is idle or too old. */
  look(): void {}

  report(): Json {
    return {};
  }

  async close(): Promise<void> {}
}
