/**
 * Puts adversarial texts to every parser that Penstock has written itself, on the runtime that runs this file, and prints one JSON
 * object: how many pairs were tried, and those that took longer than a moment, with their times in milliseconds of processor time.
 */
import { addressSet } from "../../core/addresses.ts";
import { EventReader } from "../../core/body/event-reader.ts";
import { EventSplitter } from "../../core/body/events.ts";
import { SseFramer } from "../../core/body/framer.ts";
import { findElements, findLargeId, findMembers } from "../../core/body/members.ts";
import { MessageReader } from "../../core/body/reader.ts";
import { scan } from "../../core/body/scan.ts";
import { eventEnd, parseEvent, writeFrame } from "../../core/body/sse.ts";
import { decideEra } from "../../core/era.ts";
import { forwardedOrigin } from "../../core/forwarding.ts";
import { parseRequestHead } from "../../core/front/http1/request-head.ts";
import { isPlainJson } from "../../core/front/media-type.ts";
import { createTargetCheck } from "../../core/front/target.ts";
import { HeaderList, isEventStream } from "../../core/headers.ts";
import { ChunkReader } from "../../core/http1/chunks.ts";
import { parseJsonc } from "../../core/jsonc.ts";
import { checkMirrors, decodeMirror, encodeMirror } from "../../core/mirrors.ts";
import { isLoopbackHost } from "../../core/public-url.ts";
import { createRedactor, isOpaque } from "../../core/redact.ts";
import { forwardedHeaders, responseHeaders } from "../../core/upstream/fields.ts";
import { LineFramer } from "../../core/upstream/line-framer.ts";
import { resolveEndpoint } from "../../core/upstream/sse-endpoint.ts";
import { parseHead } from "../../core/upstream/http1/head.ts";
import { expandVariables } from "../../core/variables.ts";
import { parseChallenges, writeChallenges } from "../../plugins/_challenges.ts";
import { compileHosts, compileOrigins, readHost, readOrigin } from "../../plugins/_hosts.ts";
import { readEvent } from "../../plugins/_session-stream-event.ts";
import { parseEventId } from "../../plugins/_session-stream-id.ts";
import { compilePatterns } from "../../plugins/_patterns.ts";
import { apiKeys } from "../../plugins/api-keys.ts";
import { requestLog } from "../../plugins/request-log.ts";

const SIZE = 100_000;
/** Below this nothing can be amiss: a hundred thousand steps for each of a hundred thousand characters take seconds. */
const MOMENT = 10;
const RUNS = 5;

const trusted = addressSet(["loopback", "10.0.0.0/8", "2001:db8::/32"]);
const redactor = createRedactor();
for (const secret of ["canary-secret", "aaaaaaaa", "token=secret"]) redactor.add(secret);
const target = createTargetCheck();
const rules = { left: new Set(["authorization"]), via: "1.1 penstock-00000000" };
const patterns = compilePatterns(["a*a*a*a*b", "*a*a*", "*,*;*=*x", "delete_*", /^(?:[a-z]+_)?x$/], "tool-filter");
const hosts = compileHosts(["loopback", "*.example.com", "a.example:80", "[2001:db8::7]"], "host-guard");
const origins = compileOrigins(["https://*.example.com", "http://localhost:*"], "host-guard");
const keys = apiKeys({ keys: { anna: "key-of-anna-0123456789" } });
const log = requestLog();
const wanted = { id: true, method: true, params: { requestId: true, _meta: { progressToken: true } } };
const renaming = { ask: () => "x", cancel: () => "x", takeBack: () => "x" };
const names = { notification: true, request: true, response: true };

/** Everything that reads a text of somebody else. What it makes of it does not matter here, only when. */
const PARSERS = {
  "WWW-Authenticate": (text) => writeChallenges(parseChallenges(text) ?? []),
  Forwarded: (text) => forwardedOrigin(new HeaderList(["forwarded", text]), "127.0.0.1", trusted),
  "X-Forwarded-*": (text) =>
    forwardedOrigin(
      new HeaderList([
        "x-forwarded-for",
        text,
        "x-forwarded-host",
        text,
        "x-forwarded-proto",
        text,
        "x-forwarded-port",
        text,
      ]),
      "127.0.0.1",
      trusted,
    ),
  addresses: (text) => [trusted(text), addressSet([text])],
  Host: (text) => [readHost(text), isLoopbackHost(text), target({ fields: ["host", text], target: "/mcp" })],
  "hosts that are allowed": (text) => [
    hosts({ name: text, port: undefined }),
    attempt(() => compileHosts([text], "x")),
  ],
  Origin: (text) => [
    readOrigin(text),
    attempt(() => compileOrigins([text], "x")),
    origins({ scheme: "https", name: text }),
  ],
  "request target": (text) =>
    ["", "/", "/?", "http://localhost/"].map((start) =>
      target({ fields: ["host", "localhost"], target: start + text }),
    ),
  "request head": (text) =>
    ["", "GET ", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\na:", "GET / HTTP/1.1\r\nconnection:"].map((start) =>
      attempt(() => parseRequestHead(`${start}${text}\r\n`)),
    ),
  "response head": (text) =>
    [
      "",
      "HTTP/1.1 200 ",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 200 OK\r\nconnection:",
      "HTTP/1.1 200 OK\r\nkeep-alive:",
    ].map((start) => attempt(() => parseHead(`${start}${text}\r\n`))),
  chunks: (text) =>
    ["", "5", "5;", "1\r\na\r\n", "0\r\n"].map((start) => {
      const reader = new ChunkReader();
      reader.begin();
      attempt(() => reader.read(Buffer.from(start + text, "latin1"), 0, () => true));
    }),
  "Content-Type": (text) => [
    isPlainJson(["content-type", text]),
    isPlainJson(["content-type", `application/json;${text}`]),
    isEventStream(new HeaderList(["content-type", `text/event-stream${text}`])),
  ],
  Connection: (text) => {
    const fields = ["connection", text, ...Array.from({ length: 200 }, (_, i) => [`x-${i}`, "1"]).flat()];
    forwardedHeaders(fields, rules);
    responseHeaders(fields, rules.via);
  },
  Via: (text) => forwardedHeaders(["via", text, "Via", text], rules),
  "many fields": (text) => {
    const fields = text.match(/.{1,20}/gs).flatMap((one) => ["x-a", one]);
    forwardedHeaders(fields, rules).get("x-a");
  },
  "Authorization and keys": (text) =>
    ["authorization", "x-api-key"].map((name) =>
      keys.authenticate({ headers: new HeaderList([name, name === "authorization" ? `Bearer ${text}` : text]) }),
    ),
  "Mcp-* mirrors": (text) => [
    decodeMirror(text),
    decodeMirror(`=?base64?${text}?=`),
    encodeMirror(text),
    attempt(() => checkMirrors(["mcp-name", ` ${text} x`], { jsonrpc: "2.0", id: 1, method: "tools/call" }, "legacy")),
  ],
  "MCP-Protocol-Version": (text) =>
    decideEra("POST", new HeaderList(["mcp-protocol-version", text, "mcp-method", text]), {
      jsonrpc: "2.0",
      id: 1,
      method: text,
    }),
  "posted JSON": (text) =>
    ["", '{"jsonrpc":"2.0","id":1,"method":"a","params":', '{"a":"', "[", '{"id":'].map((start) =>
      attempt(() => scan(Buffer.from(start + text))),
    ),
  "event stream": (text) => {
    const bytes = Buffer.from(text);
    for (let end = 0; end !== -1;) end = eventEnd(bytes, end);
    parseEvent(text, true);
    writeFrame({ comment: text, id: text, event: text });
  },
  "event stream, framed": (text) => {
    for (const piece of [text.length, 1000]) {
      const framer = new SseFramer(new MessageReader(names, () => undefined), 16 * 1024 * 1024);
      attempt(() => {
        for (let at = 0; at < text.length; at += piece) framer.write(Buffer.from(text.slice(at, at + piece)), () => {});
        framer.end(() => {});
      });
    }
  },
  "event stream, read": (text) => {
    const reader = new EventReader(16 * 1024 * 1024, () => {});
    for (let at = 0; at < text.length; at += 1000) attempt(() => reader.write(Buffer.from(text.slice(at, at + 1000))));
  },
  "event stream, cut": (text) => {
    const splitter = new EventSplitter(16 * 1024 * 1024);
    for (let at = 0; at < text.length; at += 1000)
      attempt(() => splitter.write(Buffer.from(text.slice(at, at + 1000)), (event) => readEvent(event, renaming)));
  },
  "an event": (text) => attempt(() => readEvent(Buffer.from(`${text}\n\n`), renaming)),
  "event ids": (text) => [parseEventId(text), parseEventId(`g-${text}`)],
  "endpoint of HTTP+SSE": (text) => attempt(() => resolveEndpoint("one", text, new URL("http://127.0.0.1/sse"))),
  "output of a process": (text) => {
    for (const piece of [text.length, 1000]) {
      const framer = new LineFramer(16 * 1024 * 1024, () => {});
      for (let at = 0; at < text.length; at += piece) framer.write(Buffer.from(text.slice(at, at + piece)));
      framer.end();
    }
  },
  "messages of a pipe": (text) =>
    ["", '{"id":', '{"jsonrpc":"2.0","method":"a","params":{"_meta":', '{"a":"', "["].map((start) => {
      const bytes = Buffer.from(start + text);
      for (const find of [findLargeId, findElements, (all) => findMembers(all, wanted)]) attempt(() => find(bytes));
    }),
  "JSON answer": (text) => attempt(() => new MessageReader(names, () => undefined).read(text)),
  "names of tools": (text) => patterns(text),
  "secrets in a line": (text) => [redactor.text(text), redactor.text(text, 2048), isOpaque(text)],
  "a secret": (text) => createRedactor().add(text, "cookie"),
  "line of a request": (text) =>
    log.done(
      {
        log: { info: (line) => line(), warn: (line) => line() },
        mount: { server: "one" },
        principal: { id: text },
        request: { method: "POST" },
        message: { method: text, params: { uri: text } },
      },
      { end: "complete", status: 200, bytesUp: 0, bytesDown: 0, ms: 1 },
    ),
  "configuration: variables": (text) => expandVariables(text, "servers.one.url", [], { lenient: true }),
  "configuration: JSON": (text) => attempt(() => parseJsonc(text)),
};

/** Repeated up to a size; each is what some parser has to go on about. */
const UNITS = [
  ...'a ,;=:"\\/.*-%@[({\t\n\0é'.split(""),
  ...'\r\n,, ;= a=a a=a, a="\\ \\\\ Bearer  token= ?key= http://a: =?base64? ${ %2e ../ /* ** 1. :: xn-- a- data: data:\n :\n\n \n\n\r {" [{ \\u0061 "a":1, 1E+ for=" timeout= chunked, x-a:1\r\n "id"'
    .split(" ")
    .filter(Boolean),
];
/** Shapes that a repeated unit does not make. */
const shapes = (size) => [
  ["a quote that does not end", `Bearer a="${"b".repeat(size)}`],
  ["blanks amid a value", `a${" ".repeat(size)}b`],
  ["blanks before a comma", `a${" ".repeat(size)},b`],
  ["one long name", `${"a".repeat(size)}=1`],
  ["distinct names", Array.from({ length: size / 8 }, (_, i) => `n${String(i).padStart(6, "0")}`).join()],
  ["distinct parameters", `Bearer ${Array.from({ length: size / 10 }, (_, i) => `n${i}=${i}`).join()}`],
  ["distinct keys", `{${Array.from({ length: size / 10 }, (_, i) => `"k${i}":0`).join()}}`],
  ["deep lists", "[".repeat(size / 2) + "]".repeat(size / 2)],
  ["an event of many lines", `${"data: a\n".repeat(size / 8)}\n`],
  ["a pattern that nearly fits", `${"a".repeat(size)}c`],
];

function attempt(run) {
  try {
    return run();
  } catch {
    return undefined;
  }
}

/** The best of some runs, in time of this process: what others do in between is not the parser's time. */
function best(parse, text, runs = RUNS) {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    const from = process.cpuUsage();
    parse(text);
    least = Math.min(least, process.cpuUsage(from).user / 1000);
  }
  return least;
}

const inputs = (size) => [
  ...UNITS.map((unit) => [JSON.stringify(unit), unit.repeat(Math.ceil(size / unit.length))]),
  ...shapes(size),
];
const small = inputs(SIZE);
const large = new Map(inputs(4 * SIZE));
const slow = [];
let tried = 0;
for (const [parser, parse] of Object.entries(PARSERS)) {
  // Once, so that its compilation is not measured.
  parse("a=b, c");
  for (const [input, text] of small) {
    tried++;
    if (best(parse, text, 1) < MOMENT) continue;
    const once = best(parse, text);
    if (once >= MOMENT) slow.push({ parser, input, once, fourfold: best(parse, large.get(input), 3) });
  }
}
console.log(JSON.stringify({ parsers: Object.keys(PARSERS).length, tried, slow }));
