/** Answers as a server writes them on the wire: every framing of HTTP/1.1, right and wrong. */
import type { Random } from "../core/random.ts";
import type { Ending } from "./server.ts";

/** An answer on the wire, and what a reader of HTTP makes of it. */
export interface WireAnswer {
  wire: Buffer;
  ending: Ending;
  spoilt: boolean;
  /** From here on the bytes leave in one piece: whether more comes with the end of an answer must not depend on luck. */
  together: number;
  /** `false`: not even the head is one. */
  headFits: boolean;
  /** The bytes of the body that arrive: all, or those before the mistake. */
  body: Buffer;
  /**
   * The body comes to its proper end. `undefined`: a reset ends what only the end of the connection can end; libuv tells a reset
   * that comes with the last bytes as a proper end, so both are right.
   */
  whole: boolean | undefined;
  status: number;
  type: string;
  /** In a word, for reports. */
  what: string;
}

export interface Content {
  status: number;
  type: string;
  body: Buffer;
}

/** Larger ones would not come in one read. */
const MOST_WITH_MORE = 8192;
const CLOSE = "connection: close\r\n";

export function wireAnswer(rnd: Random, content: Content): WireAnswer {
  const good: Omit<WireAnswer, "wire"> = {
    ...content,
    ending: "keep",
    spoilt: false,
    together: Number.POSITIVE_INFINITY,
    headFits: true,
    whole: true,
    what: "whole",
  };
  const way = rnd.int(20);
  if (way < 5) return { ...good, ...withLength(rnd, content), what: "length" };
  if (way < 11)
    return {
      ...good,
      wire: head(rnd, content, "transfer-encoding: chunked\r\n", chunked(rnd, content.body)),
      what: "chunked",
    };
  if (way < 13) return { ...good, ...untilClose(rnd, content), what: "close" };
  if (way < 14) return { ...good, ...badHead(rnd, content), headFits: false, whole: false };
  if (way < 15 && content.body.length < MOST_WITH_MORE)
    return { ...good, ...withMore(rnd, content), what: "more than was announced" };
  if (way < 17) return { ...good, ...shortLength(rnd, content), whole: false, what: "less than was announced" };
  if (way < 19) return { ...good, ...cutChunks(rnd, content), whole: false, what: "chunks cut" };
  return { ...good, ...badChunks(rnd, content), whole: false };
}

function head(rnd: Random, { status, type }: Content, framing: string, body: Buffer, version = "1.1"): Buffer {
  let interim = "";
  while (rnd.chance(0.1))
    interim += `HTTP/1.1 ${rnd.pick(["100 Continue", "102 Processing", "103 Early Hints\r\nlink: </a>"])}\r\n\r\n`;
  const lines = [
    `Content-Type:${rnd.pick(["", " ", "\t "])}${type}${rnd.pick(["", " "])}\r\n`,
    framing,
    "x-kept: é\r\n",
  ];
  lines.sort(() => rnd.int(3) - 1);
  return Buffer.concat([
    Buffer.from(`${interim}HTTP/${version} ${status}${rnd.pick([" OK", " ", ""])}\r\n${lines.join("")}\r\n`, "latin1"),
    body,
  ]);
}

function withLength(rnd: Random, content: Content): { wire: Buffer } {
  return { wire: head(rnd, content, `Content-Length: ${content.body.length}\r\n`, content.body) };
}

function untilClose(rnd: Random, content: Content): Pick<WireAnswer, "wire" | "ending" | "whole"> {
  const isReset = rnd.chance(0.2) && content.body.length < MOST_WITH_MORE;
  const wire = head(rnd, content, rnd.pick(["", CLOSE]), content.body, rnd.pick(["1.0", "1.1"]));
  return { wire, ending: isReset ? "rst" : "fin", whole: isReset ? undefined : true };
}

/** Bytes that nobody asked for, in one piece with the end of the answer. */
function withMore(rnd: Random, content: Content): Pick<WireAnswer, "wire" | "spoilt" | "body" | "together"> {
  const poison = Buffer.from(rnd.pick(["x", "\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"]));
  const { body } = content;
  const { wire } = withLength(rnd, content);
  if (rnd.chance(0.5)) return { wire: Buffer.concat([wire, poison]), spoilt: true, body, together: wire.length - 1 };
  const size = rnd.int(body.length + 1);
  const shorter = head(rnd, content, `content-length: ${size}\r\n`, body);
  // At least the last byte of the head belongs to it, where the body is empty.
  return {
    wire: shorter,
    spoilt: size < body.length,
    body: body.subarray(0, size),
    together: shorter.length - body.length + size - 1,
  };
}

function shortLength(rnd: Random, content: Content): Pick<WireAnswer, "wire" | "ending"> {
  return {
    wire: head(rnd, content, `content-length: ${content.body.length + 1 + rnd.int(1000)}\r\n`, content.body),
    ending: rnd.pick(["fin", "rst"]),
  };
}

/** @returns the chunks, and where in them each byte of the body stands */
function chunked(rnd: Random, body: Buffer, places: number[] = []): Buffer {
  const most = rnd.pick([1, 3, 40, 1000, 100_000]);
  const extended = rnd.chance(0.2);
  const parts: Buffer[] = [];
  let length = 0;
  const add = (part: Buffer) => {
    parts.push(part);
    length += part.length;
  };
  for (let at = 0; at < body.length;) {
    // A large body in chunks of one byte would only take long.
    const piece = body.subarray(at, at + 1 + rnd.int(Math.max(most, body.length >> 8)));
    const hex = rnd.pick([
      piece.length.toString(16),
      piece.length.toString(16).toUpperCase(),
      `00${piece.length.toString(16)}`,
    ]);
    add(Buffer.from(`${hex}${extended ? rnd.pick([";a=b", ';q="x;y"', ""]) : ""}\r\n`));
    for (let i = 0; i < piece.length; i++) places.push(length + i);
    add(piece);
    add(Buffer.from("\r\n"));
    at += piece.length;
  }
  add(Buffer.from(rnd.pick(["0\r\n\r\n", "0\r\n\r\n", "000;x\r\n\r\n", "0\r\nx-trailer: 1\r\n\r\n"])));
  return Buffer.concat(parts);
}

function cutChunks(rnd: Random, content: Content): Pick<WireAnswer, "wire" | "ending" | "body"> {
  const places: number[] = [];
  const chunks = chunked(rnd, content.body, places);
  const cut = rnd.int(chunks.length);
  const kept = places.filter((place) => place < cut).length;
  const wire = head(rnd, content, "transfer-encoding: chunked\r\n", chunks.subarray(0, cut));
  return { wire, ending: rnd.pick(["fin", "fin", "rst"]), body: content.body.subarray(0, kept) };
}

const NO_CHUNKS = [
  "xyz\r\n",
  "-1\r\na",
  "0x5\r\nabcde\r\n",
  "5 \r\nabcde\r\n",
  "\r\n",
  "5\nabcde\r\n",
  "fffffffffffffffff\r\na",
  "5\r\nabcdefg",
  "5\r\nabcde\n",
  ";a\r\n",
  "0\r\nx\0y: 1\r\n\r\n",
  "0\r\n\n",
];
/** Those of them that hold bytes before the mistake. */
const HELD: Record<string, string> = { "5\r\nabcdefg": "abcde", "5\r\nabcde\n": "abcde" };

function badChunks(rnd: Random, content: Content): Pick<WireAnswer, "wire" | "ending" | "body" | "what" | "spoilt"> {
  const bad = rnd.pick(NO_CHUNKS);
  const before = content.body.subarray(0, rnd.int(content.body.length + 1));
  const chunks =
    before.length === 0 ? [] : [Buffer.from(`${before.length.toString(16)}\r\n`), before, Buffer.from("\r\n")];
  const wire = head(
    rnd,
    content,
    "transfer-encoding: chunked\r\n",
    Buffer.concat([...chunks, Buffer.from(bad, "latin1")]),
  );
  const body = Buffer.concat([before, Buffer.from(HELD[bad] ?? "")]);
  return { wire, ending: rnd.pick(["fin", "hold"]), body, spoilt: true, what: `bad chunk ${JSON.stringify(bad)}` };
}

function badHead(rnd: Random, { type, body }: Content): Pick<WireAnswer, "wire" | "ending" | "what" | "spoilt"> {
  const lines = `content-type: ${type}\r\ncontent-length: ${body.length}\r\n`;
  const [what, text, ending = "hold"] = rnd.pick<[string, string, Ending?]>([
    ["no HTTP", "SSH-2.0-x\r\n\r\n"],
    ["HTTP/2.0", `HTTP/2.0 200 OK\r\n${lines}\r\n`],
    ["LF alone", `HTTP/1.1 200 OK\n${lines}\r\n`],
    ["two lengths", `HTTP/1.1 200 OK\r\n${lines}content-length: ${body.length + 1}\r\n\r\n`],
    ["length beside chunks", `HTTP/1.1 200 OK\r\n${lines}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ["chunked twice", `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
    ["another coding", `HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n`],
    ["chunks in HTTP/1.0", `HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ["blank before the colon", `HTTP/1.1 200 OK\r\nx : 1\r\n${lines}\r\n`],
    ["a folded line", `HTTP/1.1 200 OK\r\nx: 1\r\n 2\r\n${lines}\r\n`],
    ["NUL", `HTTP/1.1 200 OK\r\nx: a\0b\r\n${lines}\r\n`],
    ["CR within", `HTTP/1.1 200 OK\r\nx: a\rb\r\n${lines}\r\n`],
    [
      "a length that is none",
      `HTTP/1.1 200 OK\r\ncontent-length: ${rnd.pick(["-1", "+5", "5,5", "0x5", "", "5 5"])}\r\n\r\n`,
    ],
    ["an upgrade", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"],
    ["endless 1xx", "HTTP/1.1 100 Continue\r\n\r\n".repeat(120)],
    ["a status that is none", `HTTP/1.1 ${rnd.pick(["99", "600", "2000", "20x", "000"])} OK\r\n${lines}\r\n`],
    ["nothing", "", rnd.pick(["fin", "rst"])],
    ["half a head", `HTTP/1.1 200 OK\r\n${lines}`, rnd.pick(["fin", "rst"])],
  ]);
  return { wire: Buffer.from(text, "latin1"), ending, spoilt: true, what };
}
