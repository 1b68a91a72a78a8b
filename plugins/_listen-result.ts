/**
 * The end of a stream of `subscriptions/listen`, as the one who ends it says (MCP 2026-07-28, Subscriptions): the server completes
 * the request before it closes the stream.
 *
 * @param idText of the request, as the client wrote it
 */
export function listenResult(idText: string): string {
  const result = `{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":${idText}}}`;
  return `{"jsonrpc":"2.0","id":${idText},"result":${result}}`;
}
