/** What a modern server tells of changes, for one legacy session: on the event stream that its GET opens. */
import { type Answer, type Exchange, type UpstreamRequest, empty } from "../../../core/index.ts";
import type { LegacySession } from "./legacy-session.ts";

export class Listening {
  readonly session: LegacySession;

  constructor(session: LegacySession) {
    this.session = session;
  }

  /** Something is listened to: the session is in use. */
  get active(): boolean {
    return false;
  }

  /** The client opens its event stream. @throws ProxyError */
  async get(_exchange: Exchange, _request: UpstreamRequest): Promise<Answer> {
    return empty(405, { allow: "POST, DELETE" });
  }

  /** `resources/subscribe`. */
  subscribe(_uri: string): void {}

  unsubscribe(_uri: string): void {}

  /** The session is over. */
  end(): void {}
}
