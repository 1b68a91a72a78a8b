import { type ClientRequest, type IncomingMessage, type ServerResponse, createServer, request } from "node:http";
import { type Closeable, closeable, listen, stop } from "./loopback.ts";

/** A load balancer that gives each request to the next backend in turn. */
export interface Balancer extends Closeable {
  readonly url: string;
  /** Ports of the backends; they may change at any time. */
  readonly backends: number[];
  /** Bodies of the requests, by JSON-RPC method. */
  readonly methods: Readonly<Record<string, number>>;
}

/**
 * Starts one. A backend that refuses the connection is passed over, as every balancer does: nothing of the request has left.
 * Once it has, nothing is tried again: the client gets 502, or its answer is cut.
 */
export async function startBalancer(backends: number[]): Promise<Balancer> {
  const methods: Record<string, number> = {};
  let turn = 0;

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (body.length > 0) {
      const { method = "response" } = JSON.parse(body.toString()) as { method?: string };
      methods[method] = (methods[method] ?? 0) + 1;
    }
    for (let tries = backends.length; tries > 0; tries--) {
      const call = connected(incoming, backends[turn++ % backends.length]!);
      const outgoing = await call.catch(() => undefined);
      if (outgoing) return relay(outgoing, body, response);
    }
    response.writeHead(503).end();
  }

  const server = createServer((incoming, response) => void answer(incoming, response).catch(() => response.destroy()));
  const port = await listen(server);
  return closeable({ url: `http://127.0.0.1:${port}`, backends, methods, close: () => stop(server) });
}

/** A request whose connection is there. A connection for each, so that it is known what has left. */
function connected({ method, url, headers }: IncomingMessage, port: number): Promise<ClientRequest> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, method, path: url, headers, agent: false });
    outgoing.once("error", reject);
    outgoing.once("socket", (socket) => socket.once("connect", () => resolve(outgoing)));
  });
}

function relay(outgoing: ClientRequest, body: Buffer, response: ServerResponse): void {
  outgoing.on("error", () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
  outgoing.once("response", (answer) => {
    response.writeHead(answer.statusCode!, answer.headers);
    response.flushHeaders();
    // A backend that dies within its answer cuts it for the client too.
    answer.once("close", () => answer.complete || response.destroy());
    answer.pipe(response);
  });
  response.once("close", () => outgoing.destroy());
  outgoing.end(body);
}
