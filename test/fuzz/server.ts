/** The server behind the proxies: answers each request with the bytes that its case has for it, and notes all that is not as it must be. */
import { type Server, createServer } from "node:net";
import { type Closeable, closeable, listen } from "../_harness/loopback.ts";
import { type HttpMessage, field, readRequest } from "./http-reader.ts";
import { Peer, show } from "./socket.ts";

/** What becomes of the connection after an answer. `hold`: nothing more comes, and nothing ends. */
export type Ending = "keep" | "fin" | "rst" | "hold";

/** An answer as bytes. */
export interface Script {
  pieces: readonly Buffer[];
  ending: Ending;
  /** More than the answer was sent, or less: no other request may come on this connection. */
  spoilt: boolean;
}

/** A request that is expected, by its field `x-case`. */
export interface Awaited {
  script: Script;
  /** What came, in order. */
  requests: HttpMessage[];
  /** The connection that it came on, once there is one. */
  peer?: Peer;
  /** Called when it has come. */
  arrived?(): void;
}

export interface FuzzServer extends Closeable {
  readonly url: string;
  readonly cases: Map<string, Awaited>;
  /** Connections that are open. */
  readonly open: ReadonlySet<Peer>;
  /** What should not have come, since the last time it was asked for. */
  accidents(): string[];
}

export async function startServer(): Promise<FuzzServer> {
  const cases = new Map<string, Awaited>();
  const open = new Set<Peer>();
  let accidents: string[] = [];
  const server: Server = createServer((socket) => {
    const peer = new Peer(socket);
    open.add(peer);
    socket.on("close", () => open.delete(peer));
    serve(peer, cases).catch((error: Error) => {
      accidents.push(error.message);
      socket.destroy();
    });
  });
  const port = await listen(server);
  return closeable({
    url: `http://127.0.0.1:${port}/mcp`,
    cases,
    open,
    accidents() {
      const found = accidents;
      accidents = [];
      return found;
    },
    async close() {
      for (const { socket } of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

/** What the plugin `sessions` asks by itself, to find out whether a server keeps sessions: this one does not. */
const HANDSHAKE = /"id":"penstock-(?:initialize|ping)"/;
const REFUSED =
  '{"jsonrpc":"2.0","id":"penstock-initialize","error":{"code":-32601,"message":"There are no sessions."}}';
/** What the plugin `bridge` asks before the first modern request: this server is of every era. */
const PROBE = /"id":"penstock-probe","method":"(server\/discover|initialize)"/;
const INITIALIZED =
  '{"jsonrpc":"2.0","id":"penstock-probe","result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"raw","version":"1"}}}';
const DISCOVERED =
  '{"jsonrpc":"2.0","id":"penstock-probe","result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":0,"cacheScope":"private"}}';

/** The answer to a question that no case asks; `undefined` for all others. */
function ownAnswer(body: string): Buffer | undefined {
  const [status, text] = HANDSHAKE.test(body)
    ? ["400 Bad Request", REFUSED]
    : PROBE.test(body)
      ? ["200 OK", PROBE.exec(body)![1] === "initialize" ? INITIALIZED : DISCOVERED]
      : [];
  if (text === undefined) return undefined;
  return Buffer.from(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
  );
}

async function serve(peer: Peer, cases: ReadonlyMap<string, Awaited>): Promise<void> {
  const { socket } = peer;
  for (let spoilt = false; ;) {
    await peer.more();
    if (peer.input.length === 0) return;
    const request = await peer.until(
      () => readRequest(peer.input),
      () => "the rest of a request at the server",
    );
    // A request that never became whole was let go by the proxy: it wrote none that was not.
    if (!request) return;
    const own = ownAnswer(request.body.toString("latin1"));
    if (own) {
      peer.take(request.length);
      await peer.write([own]);
      continue;
    }
    const id = field(request, "x-case");
    const awaited = id === undefined ? undefined : cases.get(id);
    if (!awaited) throw new Error(`the server was asked what nobody sent: ${show(peer.input)}`);
    if (spoilt) throw new Error(`case ${id} came on a connection that must not be used again`);
    peer.take(request.length);
    awaited.requests.push(request);
    awaited.peer = peer;
    awaited.arrived?.();
    const { pieces, ending } = awaited.script;
    ({ spoilt } = awaited.script);
    await peer.write(pieces);
    if (peer.input.length > 0 && ending !== "keep")
      throw new Error(`bytes behind the request of case ${id}: ${show(peer.input)}`);
    if (ending === "fin") return void socket.end();
    if (ending === "rst") return void peer.reset();
    if (ending === "hold") return;
  }
}
