/** Where the browser comes back to: a port of this machine that is open while a login is under way (RFC 8252 §7.3). */
import { timingSafeEqual } from "node:crypto";
import { type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** An open port. */
export interface Callback {
  readonly redirectUri: string;
  /** The answer to the one authorization request that is under way. Others, and what is not for it, are turned away. */
  readonly answered: Promise<CallbackAnswer>;
  close(): void;
}

export interface CallbackAnswer {
  readonly params: URLSearchParams;
  /** What the user reads. */
  show(ok: boolean, text: string): void;
}

const PATH = "/callback";
/** The code stands in the address: it goes to nobody, and the page holds nothing that runs. */
const FIELDS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  connection: "close",
};

/**
 * @param state of the authorization request
 * @param port @default a free one
 */
export async function openCallback(state: string, port = 0): Promise<Callback> {
  let answer!: (found: CallbackAnswer) => void;
  const answered = new Promise<CallbackAnswer>((resolve) => (answer = resolve));
  let isTaken = false;
  const server = createServer({ headersTimeout: 5000, requestTimeout: 5000 }, (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://127.0.0.1");
    if (request.method !== "GET" || pathname !== PATH) return page(response, 404, "Nothing is here.");
    if (isTaken || !isSame(searchParams.get("state") ?? "", state))
      return page(response, 400, "This is not the answer to a login that is under way. Nothing was done.");
    isTaken = true;
    answer({ params: searchParams, show: (ok, text) => page(response, ok ? 200 : 400, text) });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    redirectUri: `http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`,
    answered,
    close() {
      server.close();
      server.closeIdleConnections();
    },
  };
}

function page(response: ServerResponse, status: number, text: string): void {
  const body = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>Penstock</title></head><body><main><h1>Penstock</h1><p>${escapeHtml(text)}</p></main></body></html>\n`;
  response.writeHead(status, FIELDS).end(body);
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
