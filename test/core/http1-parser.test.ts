import { describe, expect, test } from "vitest";
import { InvalidMessage } from "../../core/http1/fields.ts";
import { ResponseParser } from "../../core/upstream/http1/response-parser.ts";
import { withSeeds } from "./random.ts";

interface Read {
  head?: [status: number, ...headers: string[]];
  body: string;
  /** How it ended; `open` waits for more. */
  end: "open" | "well" | "excess" | "refused" | "cut";
  reusable?: boolean;
}

/** What a parser makes of the pieces of one answer, and of the server's FIN where there is one. */
function read(pieces: readonly Buffer[], { method = "POST", fin = false } = {}): Read {
  const seen: Read = { body: "", end: "open" };
  const parser = new ResponseParser({
    head: (status, headers) => (seen.head = [status, ...headers]),
    data: (bytes) => (seen.body += bytes.toString("latin1")),
    end(excess) {
      seen.end = excess ? "excess" : "well";
      seen.reusable = parser.keepAlive;
    },
  });
  parser.begin(method);
  try {
    for (const piece of pieces) {
      if (seen.end !== "open") seen.end = "excess";
      // The parser may move bytes within a piece.
      else parser.write(Buffer.from(piece));
    }
    if (fin && seen.end === "open" && !parser.finish()) seen.end = "cut";
  } catch (error) {
    if (!(error instanceof InvalidMessage)) throw error;
    seen.end = "refused";
  }
  return seen;
}

const lines = (...all: string[]) => `${all.join("\r\n")}\r\n`;
const OK = "HTTP/1.1 200 OK";
const CHUNKED = "transfer-encoding: chunked";
const chunked = (body: string) => lines(OK, CHUNKED, "") + body;
const of = (end: Read["end"], body = "") => ({ end, body });

type Case = [text: string, expected: Partial<Read>, options?: { method?: string; fin?: boolean }];

const WELL: Record<string, Case> = {
  "a length": [
    lines(OK, "Content-Type: a/b", "Content-Length: 5", "") + "hello",
    { ...of("well", "hello"), reusable: true, head: [200, "content-type", "a/b", "content-length", "5"] },
  ],
  "a length of 0": [lines(OK, "content-length: 0", ""), { ...of("well"), reusable: true }],
  "no reason phrase": ["HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", of("well")],
  "no reason phrase and no space": ["HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", of("well")],
  "blanks around a value": [
    lines(OK, "x: \t a b \t", "content-length:0", ""),
    { ...of("well"), head: [200, "x", "a b", "content-length", "0"] },
  ],
  "an empty value": [lines(OK, "x:", "content-length: 0", ""), { head: [200, "x", "", "content-length", "0"] }],
  "repeated fields stay apart": [
    lines(OK, "a: 1", "A: 2", "content-length: 0", ""),
    { head: [200, "a", "1", "a", "2", "content-length", "0"] },
  ],
  "names of objects' own members": [
    lines(OK, "__proto__: 1", "constructor: 2", "__proto__: 3", "content-length: 0", ""),
    { head: [200, "__proto__", "1", "constructor", "2", "__proto__", "3", "content-length", "0"] },
  ],
  "bytes above 127 in a value": [
    lines(OK, "x: \u00e9", "content-length: 0", ""),
    { head: [200, "x", "\u00e9", "content-length", "0"] },
  ],
  chunks: [chunked("5\r\nhello\r\nA\r\n, world!!!\r\n0\r\n\r\n"), { ...of("well", "hello, world!!!"), reusable: true }],
  "chunks of hexadecimal size in either case": [
    chunked(`1a\r\n${"x".repeat(26)}\r\n1A\r\n${"y".repeat(26)}\r\n00\r\n\r\n`),
    of("well", "x".repeat(26) + "y".repeat(26)),
  ],
  "CRLF and sizes inside chunks": [
    chunked("6\r\n\r\n0\r\n\r\r\n5\r\n5\r\n\r\n\r\n0\r\n\r\n"),
    of("well", "\r\n0\r\n\r5\r\n\r\n"),
  ],
  "chunk extensions": [chunked('3;a=b;c="d e"\r\nabc\r\n0;last\r\n\r\n'), of("well", "abc")],
  "trailers, which are dropped": [chunked("1\r\na\r\n0\r\nx-sum: 1\r\ny: \r\n\r\n"), of("well", "a")],
  "chunked in another case": [lines(OK, "Transfer-Encoding: Chunked", "") + "0\r\n\r\n", of("well")],
  "204 without a body": [lines("HTTP/1.1 204 No Content", ""), { ...of("well"), reusable: true }],
  "304 with the length of what it does not send": [
    lines("HTTP/1.1 304 Not Modified", "content-length: 5", ""),
    of("well"),
  ],
  HEAD: [lines(OK, "content-length: 5", ""), of("well"), { method: "HEAD" }],
  "HEAD of a chunked answer": [lines(OK, CHUNKED, ""), of("well"), { method: "HEAD" }],
  "interim answers": [
    lines("HTTP/1.1 100 Continue", "") +
      lines("HTTP/1.1 103 Early Hints", "link: x", "") +
      lines(OK, "content-length: 2", "") +
      "ok",
    { ...of("well", "ok"), head: [200, "content-length", "2"] },
  ],
  "a body up to the end of the connection": [
    lines(OK, "") + "all of it",
    { ...of("well", "all of it"), reusable: false },
    { fin: true },
  ],
  "the same of HTTP/1.0": [
    lines("HTTP/1.0 200 OK", "") + "all of it",
    { ...of("well", "all of it"), reusable: false },
    { fin: true },
  ],
  "an empty one": [lines(OK, ""), of("well"), { fin: true }],
  "a tunnel": [lines(OK, ""), of("well"), { method: "CONNECT" }],
};

const KEPT: Record<string, Case> = {
  "connection: close": [lines(OK, "Connection: Close", "content-length: 0", ""), { reusable: false }],
  "close among other options": [lines(OK, "connection: x, close", "content-length: 0", ""), { reusable: false }],
  "close in a second field": [
    lines(OK, "connection: x", "connection: close", "content-length: 0", ""),
    { reusable: false },
  ],
  "HTTP/1.0": [lines("HTTP/1.0 200 OK", "content-length: 0", ""), { reusable: false }],
  "HTTP/1.0 with keep-alive": [
    lines("HTTP/1.0 200 OK", "connection: keep-alive", "content-length: 0", ""),
    { reusable: true },
  ],
};

const OPEN: Record<string, Case> = {
  "half a status line": ["HTTP/1.1 20", of("open")],
  "half a head": [lines(OK, "content-le"), of("open")],
  "half a body": [lines(OK, "content-length: 5", "") + "he", of("open", "he")],
  "half a chunk": [chunked("5\r\nhe"), of("open", "he")],
  "no last chunk": [chunked("2\r\nhe\r\n"), of("open", "he")],
  "half the last chunk": [chunked("2\r\nhe\r\n0\r\n"), of("open", "he")],
  "only interim answers": [lines("HTTP/1.1 100 Continue", ""), of("open")],
};

const REFUSED: Record<string, Case> = {
  "another protocol": ["SSH-2.0-OpenSSH_9.9\r\n", of("refused")],
  "another protocol without a line end": ["220 smtp.test", of("refused")],
  "an empty line first": [`\r\n${lines(OK, "content-length: 0", "")}`, of("refused")],
  "HTTP/2.0": ["HTTP/2.0 200 OK\r\n\r\n", of("refused")],
  "HTTP/1.2": ["HTTP/1.2 200 OK\r\n\r\n", of("refused")],
  "HTTP/1.10": ["HTTP/1.10 200 OK\r\n\r\n", of("refused")],
  "lower case": ["http/1.1 200 OK\r\n\r\n", of("refused")],
  "two spaces": ["HTTP/1.1  200 OK\r\n\r\n", of("refused")],
  "a status of two digits": ["HTTP/1.1 20 OK\r\n\r\n", of("refused")],
  "a status of four digits": ["HTTP/1.1 2000 OK\r\n\r\n", of("refused")],
  "status 099": ["HTTP/1.1 099 No\r\n\r\n", of("refused")],
  "status 600": ["HTTP/1.1 600 No\r\n\r\n", of("refused")],
  "an upgrade": [lines("HTTP/1.1 101 Switching Protocols", "upgrade: x", ""), of("refused")],
  "NUL in the reason": ["HTTP/1.1 200 O\0K\r\n\r\n", of("refused")],
  "a bare CR in the reason": ["HTTP/1.1 200 O\rK\r\n\r\n", of("refused")],
  "line ends without CR": ["HTTP/1.1 200 OK\ncontent-length: 0\n\n", of("refused")],
  "one line end without CR": ["HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n", of("refused")],
  "a folded line": [lines(OK, "a: b", " c", "content-length: 0", ""), of("refused")],
  "a blank before the first field": [lines(OK, " a: b", "content-length: 0", ""), of("refused")],
  "a space before the colon": [lines(OK, "content-length : 0", ""), of("refused")],
  "no colon": [lines(OK, "content-length", ""), of("refused")],
  "no name": [lines(OK, ": 0", ""), of("refused")],
  "NUL in a value": [lines(OK, "a: b\0c", ""), of("refused")],
  "a bare CR in a value": [lines(OK, "a: b\rc: d", ""), of("refused")],
  "DEL in a value": [lines(OK, "a: \x7f", ""), of("refused")],
  "a name beyond ASCII": [lines(OK, "\u00e9: 1", ""), of("refused")],
  "length and chunks": [lines(OK, "content-length: 5", CHUNKED, "") + "0\r\n\r\n", of("refused")],
  "chunks and length": [lines(OK, CHUNKED, "content-length: 5", "") + "0\r\n\r\n", of("refused")],
  "two lengths": [lines(OK, "content-length: 1", "content-length: 2", "") + "ab", of("refused")],
  "one length twice": [lines(OK, "content-length: 1", "content-length: 1", "") + "a", of("refused")],
  "a list of lengths": [lines(OK, "content-length: 1, 1", "") + "a", of("refused")],
  "a signed length": [lines(OK, "content-length: +1", "") + "a", of("refused")],
  "a negative length": [lines(OK, "content-length: -1", "") + "a", of("refused")],
  "a hexadecimal length": [lines(OK, "content-length: 0x1", "") + "a", of("refused")],
  "an empty length": [lines(OK, "content-length:", ""), of("refused")],
  "a length beyond 2^53": [lines(OK, "content-length: 9007199254740993", ""), of("refused")],
  "a coding before chunked": [lines(OK, "transfer-encoding: gzip, chunked", "") + "0\r\n\r\n", of("refused")],
  "a coding after chunked": [lines(OK, "transfer-encoding: chunked, identity", "") + "0\r\n\r\n", of("refused")],
  "chunked twice": [lines(OK, CHUNKED, CHUNKED, "") + "0\r\n\r\n", of("refused")],
  "something like chunked": [lines(OK, "transfer-encoding: xchunked", "") + "0\r\n\r\n", of("refused")],
  "another coding": [lines(OK, "transfer-encoding: identity", ""), of("refused")],
  "chunks of HTTP/1.0": [lines("HTTP/1.0 200 OK", CHUNKED, "") + "0\r\n\r\n", of("refused")],
  "a chunk without a size": [chunked("\r\nabc"), of("refused")],
  "a size that is no number": [chunked("zz\r\n"), of("refused")],
  "a size with a sign": [chunked("+1\r\na\r\n"), of("refused")],
  "a size with 0x": [chunked("0x1\r\na\r\n"), of("refused")],
  "a blank before a size": [chunked(" 1\r\na\r\n"), of("refused")],
  "a blank behind a size": [chunked("1 \r\na\r\n"), of("refused")],
  "a size beyond 2^53": [chunked("20000000000001\r\n"), of("refused")],
  "a size with a bare LF": [chunked("1\na\r\n"), of("refused")],
  "a size with a bare CR": [chunked("1\ra\r\n"), of("refused")],
  "a chunk that is longer than its size": [chunked("2\r\nabc\r\n0\r\n\r\n"), of("refused", "ab")],
  "a chunk that ends with a bare LF": [chunked("2\r\nab\n0\r\n\r\n"), of("refused", "ab")],
  "a bare LF in an extension": [chunked("2;a\nab\r\n"), of("refused")],
  "a long extension": [chunked(`2;${"a".repeat(2000)}\r\nab\r\n`), of("refused")],
  "a bare LF in a trailer": [chunked("0\r\na: b\n\r\n"), of("refused")],
  "a folded trailer": [chunked("0\r\na: b\r\n c\r\n\r\n"), of("refused")],
  "a mistake behind good chunks": [chunked("2\r\nab\r\n1\r\nc\r\nzz\r\n"), of("refused", "abc")],
};

const OTHER: Record<string, Case> = {
  "bytes behind a length": [`${lines(OK, "content-length: 2", "")}okHTTP/1.1 200 OK`, of("excess", "ok")],
  "bytes behind the last chunk": [chunked("2\r\nok\r\n0\r\n\r\nx"), of("excess", "ok")],
  "a body behind 204": [`${lines("HTTP/1.1 204 No Content", "")}x`, of("excess")],
  "a body of HEAD": [`${lines(OK, "content-length: 2", "")}ok`, of("excess"), { method: "HEAD" }],
  "FIN before the head": ["", of("cut"), { fin: true }],
  "FIN in the head": [lines(OK, "a: b"), of("cut"), { fin: true }],
  "FIN before the length is full": [`${lines(OK, "content-length: 5", "")}he`, of("cut", "he"), { fin: true }],
  "FIN before the last chunk": [chunked("2\r\nhe\r\n"), of("cut", "he"), { fin: true }],
};

describe.each(Object.entries({ WELL, KEPT, OPEN, REFUSED, OTHER }))("%s", (_group, cases) => {
  test.each(Object.entries(cases))("%s: the same at every split", (_name, [text, expected, options]) => {
    const bytes = Buffer.from(text, "latin1");
    const whole = read([bytes], options);
    expect(whole).toMatchObject(expected);
    const single = Array.from(bytes, (byte) => Buffer.of(byte));
    expect(read(single, options)).toEqual(whole);
    for (let at = 1; at < bytes.length; at++)
      expect(read([bytes.subarray(0, at), bytes.subarray(at)], options), `split at ${at}`).toEqual(whole);
  });
});

describe("limits", () => {
  const field = (size: number) => `x: ${"a".repeat(size)}`;
  test("a head of 60 KB is read, one of 100 KB is not, and neither is one without an end", () => {
    const head = (size: number) => Buffer.from(lines(OK, field(size), "content-length: 0", ""));
    expect(read([head(60_000)])).toMatchObject(of("well"));
    expect(read([head(100_000)])).toMatchObject(of("refused"));
    const endless = Array.from({ length: 100 }, () => Buffer.from(`${field(1000)}\r\n`));
    expect(read([Buffer.from(`${OK}\r\n`), ...endless])).toMatchObject(of("refused"));
  });

  test("a hundred interim answers are passed over, not more", () => {
    const interim = lines("HTTP/1.1 102 Processing", "");
    const flood = (count: number) => Buffer.from(interim.repeat(count) + lines(OK, "content-length: 0", ""));
    expect(read([flood(100)])).toMatchObject(of("well"));
    expect(read([flood(101)])).toMatchObject(of("refused"));
    expect(read(Array.from({ length: 101 }, () => Buffer.from(interim)))).toMatchObject(of("refused"));
  });

  test("trailers of 8 KB are passed over, not of 20 KB", () => {
    const trailers = (count: number) => Buffer.from(chunked(`0\r\n${`${field(1000)}\r\n`.repeat(count)}\r\n`));
    expect(read([trailers(8)])).toMatchObject(of("well"));
    expect(read([trailers(20)])).toMatchObject(of("refused"));
  });
});

test("chunks of any size, cut anywhere: every byte, in order", () => {
  withSeeds(300, (rnd) => {
    let body = "";
    let wire = "";
    for (let i = rnd.int(60); i > 0; i--) {
      const size = 1 + rnd.int(rnd.chance(0.2) ? 12_000 : 200);
      const piece = String.fromCharCode(97 + rnd.int(26)).repeat(size - 1) + String.fromCharCode(rnd.int(256));
      body += piece;
      wire += `${size.toString(16)}\r\n${piece}\r\n`;
    }
    const bytes = Buffer.from(chunked(`${wire}0\r\n\r\n`), "latin1");
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + rnd.int(rnd.chance(0.3) ? 5 : 20_000);
      pieces.push(bytes.subarray(at, end));
      at = end;
    }
    const seen = read(pieces);
    if (seen.end !== "well" || seen.body !== body)
      throw new Error(`${seen.end}, ${seen.body.length} of ${body.length}`);
  });
});

test("small chunks of one read go on as one piece, a small answer with a length as it stands", () => {
  const pieces: Buffer[] = [];
  const parser = new ResponseParser({ head() {}, data: (bytes) => pieces.push(bytes), end() {} });
  parser.begin("GET");
  parser.write(Buffer.from(chunked("3\r\nabc\r\n".repeat(100))));
  expect(pieces.map(String)).toEqual(["abc".repeat(100)]);
  parser.begin("GET");
  const answer = Buffer.from(`${lines(OK, "content-length: 2", "")}{}`);
  parser.write(answer);
  expect(pieces[1]).toHaveLength(2);
  expect(pieces[1]!.buffer).toBe(answer.buffer);
});

test("a handler that stops the parser hears nothing more", () => {
  for (const body of ["content-length: 4\r\n\r\nabcd", `${CHUNKED}\r\n\r\n${"2\r\nab\r\n".repeat(9)}0\r\n\r\n`]) {
    const heard: string[] = [];
    const parser = new ResponseParser({
      head: () => heard.push("head"),
      data: () => (heard.push("data"), parser.stop()),
      end: () => heard.push("end"),
    });
    parser.begin("GET");
    parser.write(Buffer.from(`${OK}\r\n${body}`));
    parser.write(Buffer.from("zz"));
    expect(heard).toEqual(["head", "data"]);
  }
});
