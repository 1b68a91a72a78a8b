/** Requests as a client writes them on the wire, in every way that RFC 9112 allows. */
import type { Random } from "../core/random.ts";

export interface WireRequest {
  method: string;
  target: string;
  /** Its number at the server. */
  id: string;
  type: string;
  body: Buffer | undefined;
  /** Fields in addition. */
  fields?: string[];
}

export function wireRequest(rnd: Random, { method, target, id, type, body, fields = [] }: WireRequest): Buffer {
  const lines = [
    ...fields,
    `host:${gap(rnd)}127.0.0.1${gap(rnd)}`,
    `x-case:${gap(rnd)}${id}${gap(rnd)}`,
    `accept: application/json, text/event-stream`,
    ...(rnd.chance(0.3) ? ["x-filler: é", "X-FILLER: \t", "x-empty:"] : []),
  ];
  let content = body ?? Buffer.alloc(0);
  if (body) {
    lines.push(`content-type:${gap(rnd)}${type}${gap(rnd)}`);
    if (rnd.chance(0.5)) lines.push(`content-length:${gap(rnd)}${rnd.pick(["", "", "000"])}${body.length}${gap(rnd)}`);
    else {
      lines.push(`transfer-encoding:${gap(rnd)}${rnd.pick(["chunked", "chunked", "CHUNKED"])}`);
      content = chunks(rnd, body);
    }
  }
  for (let i = lines.length - 1; i > 0; i--) {
    const j = rnd.int(i + 1);
    [lines[i], lines[j]] = [lines[j]!, lines[i]!];
  }
  const text = lines.map((line) => anyCase(rnd, line)).join("\r\n");
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${text}\r\n\r\n`, "latin1"), content]);
}

function gap(rnd: Random): string {
  return rnd.pick(["", " ", " ", "\t", "  "]);
}

/** Names are the same in every case (RFC 9110 §5.1); values are not. */
function anyCase(rnd: Random, line: string): string {
  const colon = line.indexOf(":");
  const name = line.slice(0, colon);
  return (
    rnd.pick([name, name.toUpperCase(), name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase())]) + line.slice(colon)
  );
}

function chunks(rnd: Random, body: Buffer): Buffer {
  const most = rnd.pick([1, 10, 1000, 100_000]);
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const piece = body.subarray(at, at + 1 + rnd.int(most));
    parts.push(
      Buffer.from(`${piece.length.toString(16)}${rnd.pick(["", "", "", ";a", ';a="b"'])}\r\n`),
      piece,
      Buffer.from("\r\n"),
    );
    at += piece.length;
  }
  parts.push(Buffer.from(rnd.pick(["0\r\n\r\n", "0\r\n\r\n", "00\r\nx-trailer: 1\r\n\r\n"])));
  return Buffer.concat(parts);
}
