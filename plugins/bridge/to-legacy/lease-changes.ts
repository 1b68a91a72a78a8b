/** What one session with a legacy server tells of changes, shared out among the subscriptions of its clients. */
import { type ChangeFilter, UPDATED, isChange, subjectOf } from "../changes.ts";
import { ServerMessage } from "../messages.ts";
import type { ServerLease } from "./lease.ts";

/** One `subscriptions/listen` of a client. */
export interface Subscriber {
  /** What it was promised; nothing yet while its resources are being subscribed to. */
  readonly filter: ChangeFilter;
  /** @param subject of two messages about the same the later one is enough */
  tell(subject: string, text: Buffer): void;
}

/** Over a session a resource is subscribed to once, however many clients want to know. */
interface Resource {
  wanted: number;
  /** The last thing that was said about it, one after the other; whether it is subscribed to then. */
  state: Promise<boolean>;
}

/** Resources that are subscribed to at a time. */
const BATCH = 16;

export class LeaseChanges {
  readonly #lease: ServerLease;
  readonly #onIdle: () => void;
  readonly #endings: readonly (() => void)[];
  readonly #subscribers = new Set<Subscriber>();
  readonly #resources = new Map<string, Resource>();
  /** Which of the server's sessions knows the subscriptions. */
  #upstreamId: string | undefined;
  #recovering: Promise<void> | undefined;
  #idle = false;

  /** @param onIdle told when nobody listens any more, and the server knows */
  constructor(lease: ServerLease, onIdle: () => void) {
    this.#lease = lease;
    this.#onIdle = onIdle;
    this.#upstreamId = lease.upstreamId;
    this.#endings = [
      lease.onNotification((message) => this.#share(message)),
      lease.onGap(() => (this.#recovering ??= this.#recover().finally(() => (this.#recovering = undefined)))),
    ];
  }

  /**
   * A client more.
   *
   * @returns those of its resources that the server lets be subscribed to
   */
  async add(subscriber: Subscriber): Promise<string[]> {
    this.#subscribers.add(subscriber);
    const { uris } = subscriber.filter;
    const taken: string[] = [];
    for (let at = 0; at < uris.length; at += BATCH) {
      const batch = uris.slice(at, at + BATCH);
      const states = await Promise.all(batch.map((uri) => this.#want(uri)));
      taken.push(...batch.filter((_uri, i) => states[i]));
    }
    return taken;
  }

  /** A client less. @param uris what it had asked for @returns when the server knows */
  async remove(subscriber: Subscriber, uris: readonly string[]): Promise<void> {
    this.#subscribers.delete(subscriber);
    await Promise.all(uris.map((uri) => this.#release(uri)));
    if (this.#idle || this.#subscribers.size > 0 || this.#resources.size > 0) return;
    this.#idle = true;
    for (const end of this.#endings) end();
    this.#onIdle();
  }

  #want(uri: string): Promise<boolean> {
    let resource = this.#resources.get(uri);
    if (!resource) this.#resources.set(uri, (resource = { wanted: 0, state: Promise.resolve(false) }));
    if (resource.wanted++ === 0) resource.state = resource.state.then(() => this.#ask("resources/subscribe", uri));
    return resource.state;
  }

  async #release(uri: string): Promise<void> {
    const resource = this.#resources.get(uri)!;
    if (--resource.wanted > 0) return;
    const said = resource.state.then(async (isSubscribed) => {
      if (isSubscribed) await this.#ask("resources/unsubscribe", uri);
      return false;
    });
    resource.state = said;
    await said;
    // Somebody may want it again.
    if (resource.state === said) this.#resources.delete(uri);
  }

  /** @returns whether the server did it */
  async #ask(method: string, uri: string): Promise<boolean> {
    try {
      const { error } = await this.#lease.request(method, { uri });
      return error === undefined;
    } catch (cause) {
      const { log, mount } = this.#lease.sessions;
      log.debug(() => `${mount.server}: ${method} came to nothing: ${String(cause)}`);
      return false;
    }
  }

  #share(message: ServerMessage): void {
    if (!isChange(message)) return;
    const subject = subjectOf(message);
    for (const one of this.#whom(message)) one.tell(subject, message.text);
  }

  #whom({ method, message }: ServerMessage): Subscriber[] {
    const all = [...this.#subscribers];
    if (method !== UPDATED) return all.filter(({ filter }) => filter.hasList(method!));
    const uri = String(message.params?.uri);
    const own = all.filter(({ filter }) => filter.hasUri(uri));
    // The server may write it in another way than its client did.
    return own.length > 0 ? own : all.filter(({ filter }) => filter.uris.length > 0);
  }

  /** Something may have been missed; a new session of the server knows of no subscription. */
  async #recover(): Promise<void> {
    while (this.#upstreamId !== this.#lease.upstreamId) {
      this.#upstreamId = this.#lease.upstreamId;
      for (const [uri, resource] of this.#resources) {
        if (resource.wanted > 0) resource.state = resource.state.then(() => this.#ask("resources/subscribe", uri));
        await resource.state;
      }
    }
    for (const one of this.#subscribers)
      for (const text of one.filter.all()) one.tell(subjectOf(ServerMessage.read(text)!), text);
  }
}
