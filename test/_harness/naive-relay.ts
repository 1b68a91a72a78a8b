import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type Closeable, closeable, listen, stop } from "./loopback.ts";

/** A running naive relay. */
export interface NaiveRelay extends Closeable {
  readonly port: number;
  /** Its origin, without a trailing slash. */
  readonly url: string;
}

/**
 * A relay as people write one by hand, with the two mistakes the founding tests are about: it reads the whole answer before it
 * sends any of it, and it takes the first route that fits, in the order they were registered. A founding test must fail here.
 */
export async function startNaiveRelay(routes: [prefix: string, upstreamUrl: string][]): Promise<NaiveRelay> {
  const closing = new AbortController();

  async function relay(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = request.url ?? "/";
    const route = routes.find(([prefix]) => target.startsWith(prefix));
    if (!route) {
      response.writeHead(404).end();
      return;
    }
    const [prefix, upstreamUrl] = route;
    const rest = target.slice(prefix.length).replace(/^\//, "");
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers)) {
      if (!/^(host|connection|content-length|transfer-encoding|expect)$/.test(name)) headers.set(name, String(value));
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const answer = await fetch(rest ? `${upstreamUrl.replace(/\/$/, "")}/${rest}` : upstreamUrl, {
      method: request.method ?? "GET",
      headers,
      signal: closing.signal,
      ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
    });
    const body = await answer.text();
    response.statusCode = answer.status;
    for (const [name, value] of answer.headers) {
      if (!/^(connection|content-length|content-encoding|transfer-encoding|keep-alive)$/.test(name))
        response.setHeader(name, value);
    }
    response.end(body);
  }

  const server = createServer((request, response) => {
    relay(request, response).catch(() => {
      if (!response.headersSent) response.writeHead(502);
      response.end();
    });
  });
  const port = await listen(server);
  return closeable({
    port,
    url: `http://127.0.0.1:${port}`,
    async close() {
      closing.abort();
      await stop(server);
    },
  });
}
