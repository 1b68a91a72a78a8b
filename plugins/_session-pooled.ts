/** A session of the proxy's own, for calls of clients that have none. */
import { type ClientInfo, LATEST_LEGACY, type Principal, ProxyError, VERSION } from "../core/index.ts";
import { type Opened, openSession } from "./_session-handshake.ts";
import { Lease } from "./_session-lease.ts";
import type { MountSessions } from "./_session-mount.ts";

/** It declares nothing: whoever calls may be able to do nothing. */
export const OWN_HANDSHAKE = {
  protocolVersion: LATEST_LEGACY,
  capabilities: {},
  clientInfo: { name: "penstock", version: VERSION },
};

export class PooledLease extends Lease {
  readonly id: string;
  client: ClientInfo;

  constructor(sessions: MountSessions, principal: Principal, opened: Opened) {
    super(sessions, principal, opened.id, true);
    this.id = `own-${crypto.randomUUID().slice(0, 8)}`;
    this.client = clientOf(opened.version);
  }

  protected async reopen(): Promise<void> {
    const { mount } = this.sessions;
    const opened = await openSession(this.call, mount, OWN_HANDSHAKE, this.fields);
    if (typeof opened === "number") throw refused(mount.server, opened);
    this.upstreamId = opened.id;
    this.client = clientOf(opened.version);
    if (this.ended) await this.goodbye();
  }
}

/** @param status with which `initialize` was answered */
export function refused(server: string, status: number): ProxyError {
  return new ProxyError("UPSTREAM_INVALID", { server, detail: `initialize was answered with HTTP ${status}` });
}

function clientOf(version: string): ClientInfo {
  return { era: "legacy", version, capabilities: {}, info: OWN_HANDSHAKE.clientInfo };
}
