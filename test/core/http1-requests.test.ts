import { describe, expect, test } from "vitest";
import { ProxyError } from "../../core/errors.ts";
import { HeadReader } from "../../core/front/http1/request-head.ts";
import { withSeeds } from "./random.ts";

const HOST = "Host: localhost";
const lines = (...all: string[]) => `${all.join("\r\n")}\r\n\r\n`;

/** What a reader makes of the pieces of one head: its parts, the code of its refusal, or `undefined` while it waits. */
function read(pieces: readonly Buffer[]) {
  const reader = new HeadReader();
  try {
    for (const piece of pieces) {
      const found = reader.read(Buffer.from(piece));
      if (!found) continue;
      const { method, target, fields, length, isModern, keepAlive } = found.head;
      return { method, target, fields, length, isModern, keepAlive, rest: found.bytes.toString("latin1", found.end) };
    }
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    return error.code;
  }
  return undefined;
}
const whole = (text: string) => read([Buffer.from(text, "latin1")]);
const one = (text: string) => read([...Buffer.from(text, "latin1")].map((byte) => Buffer.from([byte])));

describe("a head", () => {
  test.each<[string, string, object]>([
    [
      "of a GET",
      lines("GET /a?b HTTP/1.1", HOST),
      { method: "GET", target: "/a?b", length: 0, isModern: true, keepAlive: true },
    ],
    [
      "names in lower case, blanks trimmed, repeated fields apart",
      lines("GET / HTTP/1.1", "X-A: \t 1 \t", "x-a:2"),
      { fields: ["x-a", "1", "x-a", "2"] },
    ],
    ["a length", lines("POST / HTTP/1.1", "Content-Length: 5"), { length: 5 }],
    ["chunks", lines("POST / HTTP/1.1", "Transfer-Encoding: Chunked"), { length: -1 }],
    ["the last request", lines("GET / HTTP/1.1", "Connection: x, Close"), { keepAlive: false }],
    ["HTTP/1.0", lines("GET / HTTP/1.0"), { isModern: false, keepAlive: false }],
    ["HTTP/1.0 that goes on", lines("GET / HTTP/1.0", "connection: Keep-Alive"), { isModern: false, keepAlive: true }],
    ["one empty line before it", `\r\n${lines("GET / HTTP/1.1", HOST)}`, { method: "GET" }],
    ["bytes behind it", `${lines("GET / HTTP/1.1", HOST)}rest`, { rest: "rest" }],
    ["a name of Object.prototype", lines("GET / HTTP/1.1", "__proto__: x"), { fields: ["__proto__", "x"] }],
  ])("%s", (_, text, expected) => {
    expect(whole(text)).toMatchObject(expected);
    if (!("rest" in expected)) expect(one(text)).toEqual(whole(text));
  });

  test.each<[string, string, string]>([
    ["nothing", "\r\n\r\n", "INVALID_HTTP"],
    ["another protocol", "\x16\x03\x01\x02", "INVALID_HTTP"],
    ["HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP_VERSION"],
    ["HTTP/0.9", "GET /\r\n", "INVALID_HTTP"],
    ["HTTP/1.2", lines("GET / HTTP/1.2", HOST), "HTTP_VERSION"],
    ["two blanks in the request line", lines("GET  / HTTP/1.1", HOST), "INVALID_HTTP"],
    ["no target", lines("GET HTTP/1.1", HOST), "INVALID_HTTP"],
    ["a blank behind the version", lines("GET / HTTP/1.1 ", HOST), "INVALID_HTTP"],
    ["a tab in the request line", lines("GET\t/ HTTP/1.1", HOST), "INVALID_HTTP"],
    ["a line end without CR", `GET / HTTP/1.1\n${HOST}\n\n`, "INVALID_HTTP"],
    ["one field's line end without CR", `GET / HTTP/1.1\r\n${HOST}\na: b\r\n\r\n`, "INVALID_HTTP"],
    ["a CR alone", lines("GET / HTTP/1.1", "a: b\rc: d"), "INVALID_HTTP"],
    ["NUL", lines("GET / HTTP/1.1", "a: b\0"), "INVALID_HTTP"],
    ["a folded line", lines("GET / HTTP/1.1", "a: b", " c"), "INVALID_HTTP"],
    ["a blank before the colon", lines("GET / HTTP/1.1", "content-length : 1"), "INVALID_HTTP"],
    ["a nameless field", lines("GET / HTTP/1.1", ": b"), "INVALID_HTTP"],
    ["a line without a colon", lines("GET / HTTP/1.1", "abc"), "INVALID_HTTP"],
    ["two lengths", lines("POST / HTTP/1.1", "content-length: 1", "content-length: 2"), "INVALID_HTTP"],
    ["two equal lengths", lines("POST / HTTP/1.1", "content-length: 1", "content-length: 1"), "INVALID_HTTP"],
    ["a list of lengths", lines("POST / HTTP/1.1", "content-length: 1, 1"), "INVALID_HTTP"],
    ["a length with a sign", lines("POST / HTTP/1.1", "content-length: +1"), "INVALID_HTTP"],
    ["no length", lines("POST / HTTP/1.1", "content-length:"), "INVALID_HTTP"],
    [
      "a length and chunks",
      lines("POST / HTTP/1.1", "content-length: 1", "transfer-encoding: chunked"),
      "INVALID_HTTP",
    ],
    ["two codings", lines("POST / HTTP/1.1", "transfer-encoding: gzip, chunked"), "INVALID_HTTP"],
    [
      "chunks twice",
      lines("POST / HTTP/1.1", "transfer-encoding: chunked", "transfer-encoding: chunked"),
      "INVALID_HTTP",
    ],
    ["a coding nobody knows", lines("POST / HTTP/1.1", "transfer-encoding: xchunked"), "INVALID_HTTP"],
    ["chunks in HTTP/1.0", lines("POST / HTTP/1.0", "transfer-encoding: chunked"), "INVALID_HTTP"],
    ["a long target", lines(`GET /${"a".repeat(8192)} HTTP/1.1`, HOST), "TARGET_TOO_LONG"],
    ["a target without end", `GET /${"a".repeat(70_000)}`, "TARGET_TOO_LONG"],
    ["a long field", lines("GET / HTTP/1.1", `a: ${"b".repeat(17_000)}`), "HEAD_TOO_LARGE"],
    ["201 fields", lines("GET / HTTP/1.1", ...Array.from({ length: 201 }, (_, i) => `a${i}: b`)), "HEAD_TOO_LARGE"],
  ])("is refused for %s", (_, text, code) => {
    expect(whole(text)).toBe(code);
    expect(one(text)).toBe(code);
  });

  test("is the same however it arrives", () => {
    withSeeds(300, (rnd) => {
      const text = lines(
        `${rnd.pick(["GET", "POST"])} /${"x".repeat(rnd.int(40))} HTTP/1.${rnd.pick(["1", "1", "1", "0", "3"])}`,
        ...Array.from({ length: rnd.int(5) }, () =>
          rnd.pick([
            HOST,
            "a: b",
            "content-length: 3",
            "transfer-encoding: chunked",
            " folded",
            "a:\tb",
            "bad",
            "a: \x01",
          ]),
        ),
      );
      const bytes = Buffer.from(text, "latin1");
      const pieces: Buffer[] = [];
      for (let at = 0; at < bytes.length;) {
        const size = 1 + rnd.int(rnd.chance(0.5) ? 3 : 60);
        pieces.push(bytes.subarray(at, at + size));
        at += size;
      }
      const [split, together] = [read(pieces), whole(text)];
      // Only which of two mistakes is found first may depend on the pieces.
      if (typeof together === "string") expect(["INVALID_HTTP", "HTTP_VERSION"]).toContain(split);
      else expect({ ...(split as object), rest: "" }).toEqual({ ...together, rest: "" });
    });
  });

  test("that is not there yet is waited for", () => {
    for (const text of [
      "",
      "G",
      "GET",
      "GET /",
      "GET / HTTP/1.",
      "GET / HTTP/1.1\r\n",
      "GET / HTTP/1.1\r\nhost",
      "\r",
      "\r\nGET /",
    ])
      expect(whole(text)).toBeUndefined();
  });
});
