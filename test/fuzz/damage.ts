/** Requests that are none, or that two readers could read in two ways (RFC 9112 §2.2, §3, §5, §6, §7.1): each must be refused. */
import type { Random } from "../core/random.ts";

/** What the client does behind the bytes. */
export type Leaving = "stay" | "fin" | "rst";

export interface Damaged {
  what: string;
  bytes: Buffer;
  leaving: Leaving;
}

const BODY = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const LENGTH = `content-length: ${BODY.length}\r\n`;
const CHUNKED = "transfer-encoding: chunked\r\n";
const CHUNKS = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;

/** @param good a request that would be accepted @param id of the damaged one, which must never arrive anywhere */
export function damaged(rnd: Random, good: Buffer, id: string): Damaged {
  const field = `x-case: ${id}\r\n`;
  const rest = `content-type: application/json\r\n${field}`;
  const start = "POST /mcp HTTP/1.1\r\nhost: x\r\n";
  const smuggled = `POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\n${rest}${LENGTH}\r\n${BODY}`;
  const whole = `${rest}${LENGTH}\r\n${BODY}`;
  if (rnd.chance(0.4))
    return {
      what: "cut",
      bytes: good.subarray(0, rnd.int(good.length)),
      leaving: rnd.pick(["fin", "rst"]),
    };
  const [what, text] = rnd.pick<[string, string]>([
    ["length beside chunks", `${start}${rest}${LENGTH}${CHUNKED}\r\n${CHUNKS}${smuggled}`],
    ["length 0 beside chunks", `${start}${rest}${CHUNKED}content-length: 0\r\n\r\n${CHUNKS}${smuggled}`],
    ["two lengths", `${start}${rest}content-length: 0\r\n${LENGTH}\r\n${smuggled}`],
    ["lengths in a list", `${start}${rest}content-length: ${BODY.length}, 0\r\n\r\n${BODY}`],
    [
      "a length that is none",
      `${start}${rest}content-length: ${rnd.pick(["+40", "-40", "0x28", "4 0", "40;", "", "9".repeat(30)])}\r\n\r\n${BODY}`,
    ],
    [
      "another coding",
      `${start}${rest}transfer-encoding: ${rnd.pick(["gzip", "identity", "xchunked", "chunked, identity", "gzip, chunked", "chunked, chunked", "chunked;q=1", '"chunked"'])}\r\n\r\n${CHUNKS}`,
    ],
    ["two codings", `${start}${rest}${CHUNKED}${CHUNKED}\r\n${CHUNKS}`],
    ["chunks in HTTP/1.0", `POST /mcp HTTP/1.0\r\nhost: x\r\n${rest}${CHUNKED}\r\n${CHUNKS}`],
    ["blank before the colon", `${start}${rest}transfer-encoding : chunked\r\n\r\n${CHUNKS}${smuggled}`],
    ["a folded line", `${start}x: 1\r\n ${CHUNKED}${whole}`],
    ["a folded first line", `POST /mcp HTTP/1.1\r\n host: x\r\n${whole}`],
    ["no name", `${start}: 1\r\n${whole}`],
    ["no colon", `${start}abc\r\n${whole}`],
    ["LF alone", `${start}x: 1\n${whole}`],
    ["CR within", `${start}x: a\rb\r\n${whole}`],
    ["NUL within", `${start}x: a\0b\r\n${whole}`],
    ["a control character in a name", `${start}x\x01: a\r\n${whole}`],
    ["no host", `POST /mcp HTTP/1.1\r\n${whole}`],
    ["two hosts", `${start}host: y\r\n${whole}`],
    [
      "a host that is none",
      `POST /mcp HTTP/1.1\r\nhost: ${rnd.pick(["a/x?y", "a b", "a#", "a@b", "[::1", "a:b", "a\\b"])}\r\n${whole}`,
    ],
    ["a method that is none", `${rnd.pick(["PO ST", "P\x01ST", "POST\t", ""])} /mcp HTTP/1.1\r\nhost: x\r\n${whole}`],
    [
      "a version that is none",
      `POST /mcp ${rnd.pick(["HTTP/2.0", "HTTP/1.12", "HTTP/9.9", "http/1.1", "HTTPS/1.1", "HTTP/1.", ""])}\r\nhost: x\r\n${whole}`,
    ],
    ["a target with a blank", `POST /mcp x HTTP/1.1\r\nhost: x\r\n${whole}`],
    [
      "no HTTP",
      rnd.pick([
        "\x16\x03\x01\x02\x00\x01\x00",
        "SSH-2.0-x\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      ]),
    ],
    [
      "a chunk size that is none",
      `${start}${rest}${CHUNKED}\r\n${rnd.pick(["0x28", "-1", "g", "", "fffffffffffffffff", " 28", "+28"])}\r\n${BODY}\r\n0\r\n\r\n`,
    ],
    ["a chunk that is longer", `${start}${rest}${CHUNKED}\r\n5\r\n${BODY}\r\n0\r\n\r\n`],
    ["a chunk size with LF alone", `${start}${rest}${CHUNKED}\r\n${BODY.length.toString(16)}\n${BODY}\r\n0\r\n\r\n`],
    [
      "a chunk that ends with LF alone",
      `${start}${rest}${CHUNKED}\r\n${BODY.length.toString(16)}\r\n${BODY}\n0\r\n\r\n`,
    ],
    ["a head without end", `${start}${"x: y\r\n".repeat(10_000)}`],
  ]);
  return { what, bytes: Buffer.from(text, "latin1"), leaving: "stay" };
}
