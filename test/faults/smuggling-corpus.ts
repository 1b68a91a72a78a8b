/**
 * Requests that two readers could take for different things (RFC 9112 §3, §5, §6, §7.1), as data: every parser of requests is put to
 * the same list. Text is latin1: one character is one byte.
 */

/** One row. */
export interface Smuggled {
  what: string;
  /** The bytes, up to where the next request on the connection would begin. */
  request: string;
  /**
   * The statuses of a refusal, which ends the connection; or `"same"`: it is an ordinary request and is served; or `"either"`: RFC 9112
   * lets a server do one or the other.
   */
  answer: readonly number[] | "same" | "either";
}

const BODY = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
/** What a misled reader would take for a request of its own. */
const HIDDEN = "GET /mcp HTTP/1.1\r\nhost: localhost\r\nx-smuggled: 1\r\n\r\n";
const TRICKY = `${BODY.slice(0, -1)},"params":{"a":"${HIDDEN.replaceAll("\r\n", "\\r\\n")}"}}\r\n\r\n`;
const LENGTH = `content-length: ${BODY.length}`;
const CHUNKED = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;
const TE = "transfer-encoding: chunked";

/** A POST with these lines instead of its framing. */
const post = (lines: readonly string[], body = BODY, line = "POST /mcp HTTP/1.1", host = "host: localhost") =>
  [line, ...(host ? [host] : []), "content-type: application/json", ...lines, "", body].join("\r\n");
const chunks = (body: string) => post([TE], body);
const field = (text: string) => post([text, LENGTH]);
const line = (text: string) => post([LENGTH], BODY, text);

const BAD = [400] as const;
const CODING = [400, 501] as const;
const VERSION = [505] as const;

/** [what, request, answer] in groups. */
const rows: [string, string, Smuggled["answer"]][] = [
  // Two lengths, or a length that is none (RFC 9112 §6.1–6.3).
  ["content-length and transfer-encoding", post([LENGTH, TE], CHUNKED), BAD],
  ["transfer-encoding and content-length", post([TE, "content-length: 4"], CHUNKED + HIDDEN), BAD],
  ["content-length 0 beside transfer-encoding", post(["content-length: 0", TE], CHUNKED + HIDDEN), BAD],
  ["two content-lengths", post([LENGTH, "content-length: 0"], BODY), BAD],
  ["two content-lengths, the larger one last", post(["content-length: 0", LENGTH]), BAD],
  ["two equal content-lengths", post([LENGTH, LENGTH]), BAD],
  ["a list in content-length", post([`${LENGTH}, ${BODY.length}`]), BAD],
  ["a sign in content-length", post([`content-length: +${BODY.length}`]), BAD],
  ["a negative content-length", post(["content-length: -1"]), BAD],
  ["hexadecimal content-length", post([`content-length: 0x${BODY.length.toString(16)}`]), BAD],
  ["a blank within content-length", post(["content-length: 4 0"]), BAD],
  ["a fraction in content-length", post([`${LENGTH}.0`]), BAD],
  ["an empty content-length", post(["content-length:"]), BAD],
  ["a content-length beyond 2^64", post(["content-length: 18446744073709551656"]), [400, 413]],
  // Codings (RFC 9112 §6.1, §7).
  ["transfer-encoding: gzip, chunked", post(["transfer-encoding: gzip, chunked"], CHUNKED), CODING],
  ["transfer-encoding: chunked, gzip", post(["transfer-encoding: chunked, gzip"], CHUNKED), CODING],
  ["transfer-encoding: chunked, chunked", post(["transfer-encoding: chunked, chunked"], CHUNKED), CODING],
  ["transfer-encoding: chunked, identity", post(["transfer-encoding: chunked, identity"], CHUNKED), CODING],
  ["transfer-encoding: identity", post(["transfer-encoding: identity", LENGTH]), CODING],
  ["transfer-encoding: xchunked", post(["transfer-encoding: xchunked"], CHUNKED), CODING],
  ["transfer-encoding: chunked;a=b", post(["transfer-encoding: chunked;a=b"], CHUNKED), CODING],
  ["transfer-encoding with a comma behind it", post(["transfer-encoding: chunked,"], CHUNKED), CODING],
  ["transfer-encoding in quotes", post(['transfer-encoding: "chunked"'], CHUNKED), CODING],
  ["transfer-encoding behind a vertical tab", post(["transfer-encoding: \x0Bchunked"], CHUNKED), CODING],
  ["an empty transfer-encoding", post(["transfer-encoding:", LENGTH]), CODING],
  ["transfer-encoding twice", post([TE, TE], CHUNKED), CODING],
  ["transfer-encoding twice, one unknown", post([TE, "transfer-encoding: x"], CHUNKED), CODING],
  ["transfer-encoding in capitals", post(["Transfer-Encoding: CHUNKED"], CHUNKED), "either"],
  ["HTTP/1.0 with chunks", post([TE], CHUNKED, "POST /mcp HTTP/1.0"), BAD],
  // Names, values and line ends (RFC 9112 §5, §2.2; RFC 9110 §5.5).
  ["a space before the colon", post([`content-length : ${BODY.length}`]), BAD],
  ["a tab before the colon", post(["transfer-encoding\t: chunked"], CHUNKED), BAD],
  ["a folded line", field("x-a: 1\r\n b"), BAD],
  ["a folded transfer-encoding", post(["transfer-encoding:\r\n chunked"], CHUNKED), BAD],
  ["a blank line that is folded", field("x-a: 1\r\n "), BAD],
  ["a first line that begins with a blank", `POST /mcp HTTP/1.1\r\n host: localhost\r\n${LENGTH}\r\n\r\n${BODY}`, BAD],
  ["a bare CR in a value", field(`x-a: 1\rx-b: 2`), BAD],
  ["a bare CR before a length", post([`x-a: 1\r${LENGTH}`], ""), BAD],
  ["a bare CR at the end of a value", field("x-a: 1\r"), BAD],
  ["a bare LF in the head", field("x-a: 1\nx-b: 2"), BAD],
  ["bare LF line ends", field("x-a: 1").replaceAll("\r\n", "\n"), BAD],
  ["a bare LF behind the request line", line("POST /mcp HTTP/1.1").replace("\r\n", "\n"), BAD],
  ["a bare LF at the end of the head", post([LENGTH]).replace("\r\n\r\n", "\r\n\n"), BAD],
  ["NUL in a value", field("x-a: 1\0"), BAD],
  ["NUL in a name", field("x\0a: 1"), BAD],
  ["a control character in a value", field("x-a: \x01"), BAD],
  ["DEL in a value", field("x-a: \x7F"), BAD],
  ["a line without a colon", field("x-a"), BAD],
  ["a name of no characters", field(": 1"), BAD],
  ["a name with parentheses", field("x(a): 1"), BAD],
  ["a name beyond ASCII", field("x-\xE9: 1"), BAD],
  // The request line (RFC 9112 §3).
  ["two spaces in the request line", line("POST  /mcp HTTP/1.1"), BAD],
  ["a tab in the request line", line("POST\t/mcp\tHTTP/1.1"), BAD],
  ["a space in the target", line("POST /mcp /x HTTP/1.1"), BAD],
  ["a space behind the version", line("POST /mcp HTTP/1.1 "), BAD],
  ["a space before the method", line(" POST /mcp HTTP/1.1"), BAD],
  ["a method that is no token", line("PO(ST /mcp HTTP/1.1"), BAD],
  ["NUL in the target", line("POST /m\0cp HTTP/1.1"), BAD],
  ["no version", line("POST /mcp"), BAD],
  ["a version in lower case", line("POST /mcp http/1.1"), BAD],
  ["a version with a sign", line("POST /mcp HTTP/+1.1"), BAD],
  ["HTTP/1.2", line("POST /mcp HTTP/1.2"), VERSION],
  ["HTTP/2.0", line("POST /mcp HTTP/2.0"), VERSION],
  ["HTTP/0.9", line("POST /mcp HTTP/0.9"), VERSION],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 505]],
  ["an empty line before the request", `\r\n${post([LENGTH])}`, "either"],
  // Where it goes (RFC 9112 §3.2).
  ["no host", post([LENGTH], BODY, undefined, ""), BAD],
  ["two hosts", field("host: other"), BAD],
  ["two equal hosts", field("host: localhost"), BAD],
  ["an empty host", post([LENGTH], BODY, undefined, "host:"), BAD],
  ["a path in the host", post([LENGTH], BODY, undefined, "host: a/x?y"), BAD],
  ["a list of hosts", post([LENGTH], BODY, undefined, "host: localhost, other"), BAD],
  ["an absolute target of another authority", line("POST http://other/mcp HTTP/1.1"), BAD],
  ["an absolute target of the same authority", line("POST http://localhost/mcp HTTP/1.1"), "same"],
  // Chunks (RFC 9112 §7.1).
  ["a chunk size with a prefix", chunks(`0x${CHUNKED}`), BAD],
  ["a chunk size with a sign", chunks(`+${CHUNKED}`), BAD],
  ["a negative chunk size", chunks(`-1\r\n${BODY}\r\n0\r\n\r\n`), BAD],
  ["a blank before a chunk size", chunks(` ${CHUNKED}`), BAD],
  ["a chunk size that is no number", chunks(`zz\r\n${BODY}\r\n0\r\n\r\n`), BAD],
  ["no chunk size", chunks(`\r\n${BODY}\r\n0\r\n\r\n`), BAD],
  ["a chunk size beyond 2^64", chunks(`1000000000000000${CHUNKED}`), [400, 413]],
  ["a chunk size behind a bare LF", chunks(CHUNKED.replace("\r\n", "\n")), BAD],
  ["a chunk size behind a bare CR", chunks(CHUNKED.replace("\r\n", "\r")), BAD],
  ["a chunk that is longer than its size", chunks(CHUNKED.replace(`${BODY}\r\n`, `${BODY}XX\r\n`)), BAD],
  ["a chunk that ends with a bare LF", chunks(CHUNKED.replace(`${BODY}\r\n`, `${BODY}\n`)), BAD],
  ["an extension with a bare LF", chunks(CHUNKED.replace("\r\n", ";a\nb\r\n")), BAD],
  ["an extension with NUL", chunks(CHUNKED.replace("\r\n", ";a=\0\r\n")), BAD],
  ["an extension without an end", chunks(CHUNKED.replace("\r\n", `;${"a".repeat(70_000)}\r\n`)), [400, 413]],
  ["many chunks with extensions", chunks(`${`1;${"a".repeat(100)}\r\n \r\n`.repeat(5000)}${CHUNKED}`), "either"],
  ["an extension", chunks(CHUNKED.replace("\r\n", ";a=b\r\n")), "either"],
  ["a chunk size with zeros before it", chunks(`000${CHUNKED}`), "either"],
  ["a trailer with a length", chunks(CHUNKED.replace(/\r\n$/, `content-length: ${HIDDEN.length}\r\n\r\n`)), "either"],
  ["a trailer with a bare LF", chunks(CHUNKED.replace(/\r\n$/, "x-a: 1\nx-b: 2\r\n\r\n")), BAD],
  ["a trailer that is folded", chunks(CHUNKED.replace(/\r\n$/, "x-a: 1\r\n b\r\n\r\n")), BAD],
  ["a trailer without an end", chunks(CHUNKED.replace(/\r\n$/, `x-a: ${"a".repeat(70_000)}\r\n\r\n`)), [400, 413, 431]],
  // Sizes: head 16 KiB, target 8 KiB.
  ["a field of 17 KB", field(`x-a: ${"a".repeat(17 * 1024)}`), [431]],
  ["a field of 70 KB", field(`x-a: ${"a".repeat(70 * 1024)}`), [431]],
  ["a target of 9 KB", line(`POST /mcp?${"a".repeat(9 * 1024)} HTTP/1.1`), [414]],
  ["a target of 70 KB", line(`POST /mcp?${"a".repeat(70 * 1024)} HTTP/1.1`), [414, 431]],
  // What looks odd and is not.
  ["an ordinary length", post([LENGTH]), "same"],
  ["white space around a length", post([`content-length: \t ${BODY.length} \t`]), "same"],
  ["ordinary chunks", chunks(CHUNKED), "same"],
  ["a chunk size in capitals", chunks(`2A\r\n${BODY}  \r\n0\r\n\r\n`), "same"],
  ["HTTP/1.0 with a length, kept alive", post(["connection: keep-alive", LENGTH], BODY, "POST /mcp HTTP/1.0"), "same"],
  ["characters beyond ASCII in a value", field("x-a: \xE9"), "same"],
  ["a body with what looks like a request", post([`content-length: ${TRICKY.length}`], TRICKY), "same"],
  ["a demand for another protocol", field("connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk"), "same"],
];

export const SMUGGLED: readonly Smuggled[] = rows.map(([what, request, answer]) => ({ what, request, answer }));
