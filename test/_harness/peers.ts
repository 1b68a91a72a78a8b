/**
 * Scripted raw TCP peers: a client in front of the proxy and an upstream behind it that put exact bytes on the wire. Framing
 * mistakes, resets and half-closed connections are invisible to `fetch`, so they are tested with these.
 */
export { type Gate, gate } from "./peers/gate.ts";
export {
  findHttpResponse,
  type ParsedRequest,
  type ParsedResponse,
  parseHttpRequest,
  parseHttpResponse,
  type ResponseContext,
} from "./peers/http.ts";
export { type Ending, type Peer, PeerGoneError } from "./peers/peer.ts";
export { type RawClient, rawClient } from "./peers/client.ts";
export {
  type RawConnection,
  type RawServer,
  type RawServerOptions,
  rawServer,
  type Script,
  type Step,
} from "./peers/server.ts";
export { within } from "./wait.ts";
