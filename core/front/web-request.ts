/** A request as other programs' servers hand it in: an h3, Hono or fetch-handler app that has a Penstock mounted. */
import type { Deadlines } from "../deadlines.ts";
import type { PublicOrigin } from "../public-url.ts";
import { Inbound } from "./inbound.ts";
import { readWebBody } from "./read-body.ts";

/** What srvx, and so h3, adds to a `Request`. */
interface HostRequest extends Request {
  ip?: string;
  runtime?: { node?: { req: { url?: string; rawHeaders: string[] } } };
}

/** A client may pause this long within its body, in milliseconds. */
const BODY_GAP = 30_000;

export class WebRequest extends Inbound {
  readonly #request: HostRequest;
  readonly #deadlines: Deadlines;
  readonly fields: readonly string[];

  constructor(request: Request, deadlines: Deadlines, origin: PublicOrigin) {
    super(origin);
    this.#request = request;
    this.#deadlines = deadlines;
    this.fields = fieldsOf(request);
  }

  get method(): string {
    return this.#request.method;
  }
  get ip(): string {
    return this.#request.ip ?? "";
  }
  /** Some hosts let the Host field decide the path: where the request line is known, it counts. */
  protected get line(): string {
    const line = this.#request.runtime?.node?.req.url;
    if (line !== undefined || !URL.canParse(this.#request.url)) return line ?? "";
    const { pathname, search } = new URL(this.#request.url);
    return pathname + search;
  }
  protected get absoluteUrl(): string {
    return this.#request.url;
  }

  read(limit: number): Promise<Uint8Array> {
    return readWebBody(this.#request, limit, BODY_GAP, this.#deadlines);
  }
}

/** Node keeps repeated fields apart, a `Headers` object does not. A `Request` that a program made itself has no Host. */
function fieldsOf(request: HostRequest): readonly string[] {
  const raw = request.runtime?.node?.req.rawHeaders;
  if (raw) return raw.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
  const fields = [...request.headers].flat();
  if (!request.headers.has("host")) fields.push("host", new URL(request.url).host);
  return fields;
}
