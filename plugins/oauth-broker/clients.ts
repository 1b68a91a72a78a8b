/** Clients: listed in the configuration, registered here (their id is all there is of them), or named by the URL of their metadata. */
import type { App, Mount } from "../../core/index.ts";
import { ClientDocuments } from "./client-documents.ts";
import type { Settings } from "./options.ts";
import { isEqual, sha256 } from "./random.ts";

/** How a client authenticates at the token endpoint. */
export const CLIENT_AUTH = ["none", "client_secret_basic", "client_secret_post"] as const;
export type ClientAuthMethod = (typeof CLIENT_AUTH)[number];

/** What a registration says that counts here. */
export interface ClientMetadata {
  name: string | undefined;
  redirectUris: readonly string[];
  auth: ClientAuthMethod;
}

/** One client. */
export interface Client extends ClientMetadata {
  id: string;
  /** Who vouches for it, where its id says so: the host of its metadata. */
  host?: string;
}

/** A browser carries it in an address, with as much again around it. */
const MAX_ID = 4096;

/** The clients of one mount. */
export class Clients {
  readonly #app: App;
  readonly #mount: Mount;
  readonly #settings: Settings;
  readonly #documents: ClientDocuments | undefined;

  constructor(app: App, mount: Mount, settings: Settings) {
    this.#app = app;
    this.#mount = mount;
    this.#settings = settings;
    if (settings.clientMetadataDocuments) this.#documents = new ClientDocuments(settings, app.log);
  }

  /** Listed, or registered here. */
  issued(id: string): boolean {
    return this.#settings.clients.has(id) || this.#registered(id) !== undefined;
  }

  /** Its metadata would be looked at. */
  isDocument(id: string): boolean {
    return this.#documents?.isOne(id) ?? false;
  }

  /** @returns nothing for an id that is not known, has expired, or whose metadata cannot be had */
  async find(id: string): Promise<Client | undefined> {
    const listed = this.#settings.clients.get(id);
    if (listed) {
      const { name, redirectUris, secret } = listed;
      return { id, name: name ?? id, redirectUris, auth: secret === undefined ? "none" : "client_secret_basic" };
    }
    const registered = this.#registered(id);
    return registered ? { id, ...registered } : this.#documents?.find(id);
  }

  /**
   * The same for the token endpoint, which needs no metadata: what a code or token was given for is in it.
   *
   * @returns nothing where the client is not known, or does not prove that it is the one
   */
  async authenticate(id: string, secret: string | undefined, how: ClientAuthMethod): Promise<boolean> {
    const listed = this.#settings.clients.get(id);
    if (listed) return listed.secret === undefined ? secret === undefined : sameText(secret, listed.secret);
    const registered = this.#registered(id);
    if (!registered) return this.isDocument(id) && secret === undefined;
    if (registered.auth === "none") return secret === undefined;
    return registered.auth === how && secret !== undefined && this.#opens("client-secret", secret, id) !== undefined;
  }

  /** @returns its id, and a secret where it authenticates with one; both are all that is kept of it */
  register(metadata: ClientMetadata): { id: string; secret: string | undefined; expiresAt: number } {
    const expiresAt = Date.now() + this.#settings.registrationLifetime;
    const id = this.#app.sealer.seal("oauth-broker.client", JSON.stringify(metadata), this.#binding(""), expiresAt);
    if (metadata.auth === "none") return { id, secret: undefined, expiresAt };
    const secret = this.#app.sealer.seal("oauth-broker.client-secret", "", this.#binding(id), expiresAt);
    return { id, secret, expiresAt };
  }

  #registered(id: string): ClientMetadata | undefined {
    const text = id.length > MAX_ID ? undefined : this.#opens("client", id, "");
    return text === undefined ? undefined : (JSON.parse(text) as ClientMetadata);
  }

  #opens(kind: "client" | "client-secret", token: string, of: string): string | undefined {
    return this.#app.sealer.open(`oauth-broker.${kind}`, token, this.#binding(of));
  }

  #binding(client: string): readonly string[] {
    return [this.#mount.server, client];
  }
}

/** Compared by digest, so that its time tells neither how long the secret is nor how close a guess was. */
async function sameText(given: string | undefined, expected: string): Promise<boolean> {
  return given !== undefined && isEqual(await sha256(given), await sha256(expected));
}
