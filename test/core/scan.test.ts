import { describe, expect, test } from "vitest";
import { kindOf } from "../../core/body/message.ts";
import { MAX_DEPTH, ScanError, scan } from "../../core/body/scan.ts";
import type { Message } from "../../core/types.ts";
import { messageText, mutate, refusedOnPurpose, valueText } from "./json-texts.ts";
import { withSeeds } from "./random.ts";

const scanText = (text: string) => scan(Buffer.from(text));
/** `"accepted"`, or the code of the refusal. */
function verdict(input: string | Uint8Array): string {
  try {
    scan(typeof input === "string" ? Buffer.from(input) : input);
    return "accepted";
  } catch (error) {
    if (error instanceof ScanError) return error.code;
    throw error;
  }
}
const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};
/** The scanner must decide as `JSON.parse` does, but for what it refuses on purpose. */
function compare(text: string): void {
  const found = verdict(text);
  const expected = !isJson(text) ? "refused" : refusedOnPurpose(text) ? "INVALID_REQUEST" : "accepted";
  if (expected === "refused" ? found !== "accepted" : found === expected) return;
  throw new Error(`${found} instead of ${expected}: ${JSON.stringify(text)}`);
}

describe("the scanner agrees with JSON.parse", () => {
  test("about random messages: accepted, with the kind and the id that a parser sees", () => {
    withSeeds(3000, (rnd) => {
      const text = messageText(rnd);
      compare(text);
      if (verdict(text) !== "accepted") return;
      const message = JSON.parse(text) as Message;
      const { kind, idText, method } = scanText(text);
      expect({ kind, method, id: idText && JSON.parse(idText) }, text).toEqual({
        kind: kindOf(message),
        method: message.method,
        id: message.id,
      });
    });
  });

  // A machine with more to do takes its time for so many.
  test("about messages that were damaged", { timeout: 60_000 }, () => {
    withSeeds(20_000, (rnd) => {
      let text = messageText(rnd);
      for (let i = rnd.int(3); i >= 0; i--) text = mutate(rnd, text);
      // A lone surrogate would be written as U+FFFD: then the two would not read the same text.
      compare(Buffer.from(text).toString());
    });
  });

  test("about every value that a member can have", () => {
    withSeeds(3000, (rnd) => {
      const value = valueText(rnd);
      for (const text of [value, mutate(rnd, value)]) compare(`{"jsonrpc":"2.0","method":"m","params":{"v":${text}}}`);
    });
  });

  test("about a message cut off at each of its bytes", () => {
    const text = '{"jsonrpc":"2.0","id":-1.5e+3,"method":"a\\u00e9b","params":[true,false,null,{"k":[]}]}';
    for (let end = 0; end < text.length; end++)
      expect(verdict(text.slice(0, end)), text.slice(0, end)).toBe("PARSE_ERROR");
    expect(verdict(text)).toBe("accepted");
  });
});

const request = (more: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call"${more}}`;
const nested = (levels: number) => request(`,"params":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}`);

describe("the scanner refuses what two parsers may read as two messages", () => {
  test.each([
    ["a key twice", request(',"id":2')],
    ["a key twice, once with an escape", request(',"\\u0069d":2')],
    ["a key twice, deep inside", request(',"params":{"a":{"b":[{"c":1,"c":2}]}}')],
    [
      "a key twice among many, escaped",
      request(`,"params":{${Array.from({ length: 40 }, (_, i) => `"k${i}":0`).join()},"\\u006b7":1}`),
    ],
    ["a key beyond ASCII twice, once with an escape", request(',"params":{"é":1,"\\u00e9":2}')],
    ["an envelope key in other case", '{"jsonrpc":"2.0","id":1,"Method":"tools/call"}'],
    ["an envelope key in other case beside the right one", request(',"Method":"ping"')],
    ["an envelope key in other case, escaped", request(',"\\u004dethod":"ping"')],
    // Go's encoding/json takes U+017F for s, so `paramſ` is `params` there.
    ["an envelope key with a letter that folds to ASCII", request(',"param\u017F":{"name":"rm"}')],
    ["a params key with a letter that folds to ASCII", request(',"params":{"arguments":{},"argument\u017F":{"a":1}}')],
    ["a params key in two cases", request(',"params":{"name":"ls","NAME":"rm"}')],
    ["a params key in capitals alone", request(',"params":{"NAME":"rm"}')],
    ["a params key in capitals alone, escaped", request(',"params":{"\\u004eame":"rm"}')],
    ["a params key with a letter that folds to ASCII, alone", request(',"params":{"argument\u017F":{"a":1}}')],
    ["a params key in two cases, escaped", request(',"params":{"name":"ls","\\u004eame":"rm"}')],
    ["one level too many", nested(MAX_DEPTH + 1)],
    ["200 000 levels", nested(200_000)],
    ["a batch", `[${request("")}]`],
    ["an empty batch", "[]"],
    ["no jsonrpc", '{"id":1,"method":"ping"}'],
    ["another jsonrpc", '{"jsonrpc":"1.0","id":1,"method":"ping"}'],
    ["jsonrpc as a number", '{"jsonrpc":2.0,"id":1,"method":"ping"}'],
    ["method beside result", request(',"result":{}')],
    ["method beside error", request(',"error":{"code":1,"message":""}')],
    ["result beside error", '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}'],
    ["a request with the id null", '{"jsonrpc":"2.0","id":null,"method":"ping"}'],
    ["an id that is an object", '{"jsonrpc":"2.0","id":{},"method":"ping"}'],
    ["an id that is true", '{"jsonrpc":"2.0","id":true,"method":"ping"}'],
    ["an empty method", '{"jsonrpc":"2.0","id":1,"method":""}'],
    ["a result without an id", '{"jsonrpc":"2.0","result":{}}'],
    ["a text that is no object", '"ping"'],
  ])("%s", (_, text) => expect(verdict(text)).toBe("INVALID_REQUEST"));

  test.each([
    ["a byte order mark", Buffer.from(`\uFEFF${request("")}`)],
    ["UTF-16", Buffer.from(request(""), "utf16le")],
    [
      "a byte that is not UTF-8",
      Buffer.from([...Buffer.from('{"jsonrpc":"2.0","method":"'), 0xff, ...Buffer.from('"}')]),
    ],
    [
      "an overlong quote",
      Buffer.from([...Buffer.from('{"jsonrpc":"2.0","method":"'), 0xc0, 0xa2, ...Buffer.from('"}')]),
    ],
    [
      "a surrogate in UTF-8",
      Buffer.from([...Buffer.from('{"jsonrpc":"2.0","method":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}')]),
    ],
    ["something behind the message", Buffer.from(`${request("")} {}`)],
    ["nothing", Buffer.alloc(0)],
  ])("%s", (_, bytes) => expect(verdict(bytes)).toBe("PARSE_ERROR"));

  test("and nothing more: the deepest nesting, cases below params, names of Object.prototype", () => {
    expect(verdict(nested(MAX_DEPTH))).toBe("accepted");
    // Arguments of a tool are the tool's affair.
    expect(verdict(request(',"params":{"arguments":{"path":1,"Path":2,"NAME":3}}'))).toBe("accepted");
    expect(verdict(request(',"params":{"protocolVersion":1,"Anything":2,"t\\u0061skId":3}'))).toBe("accepted");
    expect(verdict('{"jsonrpc":"2.0","id":1,"result":{"Name":1}}')).toBe("accepted");
    expect(verdict(request(',"__proto__":{"x":1},"constructor":{"prototype":{"x":1}}'))).toBe("accepted");
    expect(({} as { x?: number }).x).toBe(undefined);
  });
});

test.each(["9007199254740993", "-0", "1.5", "1e2", '"a\\"b\\u0041\\\\"', '"9"', '"é"', '""'])(
  "the id %s is kept as it stands",
  (id) => {
    expect(scanText(`{"id" : ${id} ,"jsonrpc":"2.0","method":"ping"}`).idText).toBe(id);
  },
);

describe("the time grows with the length only", () => {
  /** Repeats text up to about a number of bytes. */
  const fill = (bytes: number, unit: (i: number) => string) =>
    Array.from({ length: Math.ceil(bytes / unit(1000).length) }, (_, i) => unit(i)).join("");
  const inParams = (text: string) => request(`,"params":{${text}"z":0}`);
  const shapes: [string, (bytes: number) => string][] = [
    ["distinct keys", (n) => inParams(fill(n, (i) => `"key${i}":0,`))],
    ["distinct escaped keys", (n) => inParams(fill(n, (i) => `"\\u006bey${i}":0,`))],
    [
      "keys of one hash",
      (n) =>
        inParams(fill(n, (i) => `"${i.toString(2).padStart(14, "0").replaceAll("0", "a?").replaceAll("1", "b ")}":0,`)),
    ],
    [
      "objects of a few long escaped keys",
      (n) =>
        inParams(
          `"a":[${fill(n, () => `{${Array.from({ length: 16 }, (_, k) => `"\\u0061${"x".repeat(50)}${k}":0`).join()}},`)}0],`,
        ),
    ],
    ["one string of escapes", (n) => inParams(`"s":"${fill(n, () => "\\u0000")}",`)],
    ["one number", (n) => inParams(`"n":1${fill(n, () => "0")},`)],
    ["one number that goes wrong at its end", (n) => inParams(`"n":1${fill(n, () => "0")}-,`)],
    ["spaces", (n) => inParams(fill(n, () => " "))],
    ["a string that never ends", (n) => `{"a":"${fill(n, () => "x")}`],
    ["deep lists side by side", (n) => inParams(`"l":[${fill(n, () => `${"[".repeat(100)}${"]".repeat(100)},`)}0],`)],
    ["text beyond ASCII", (n) => inParams(`"s":"${fill(n, () => "é")}",`)],
  ];
  const best = (text: string): number => {
    const bytes = Buffer.from(text);
    // The best of some runs, in time of this process: what others do in between is not the scanner's time.
    return Math.min(
      ...Array.from({ length: 7 }, () => {
        const from = process.cpuUsage();
        verdict(bytes);
        return process.cpuUsage(from).user / 1000;
      }),
    );
  };
  test.each(shapes)("%s", (_, make) => {
    const once = best(make(100_000));
    const fourfold = best(make(400_000));
    expect(once).toBeLessThan(50);
    // A quadratic scanner needs sixteen times as long, and seconds for so many keys; twice the linear time is left to caches
    // and memory. Below some tens of milliseconds compiler and collector are louder than the scanner.
    expect(fourfold).toBeLessThan(Math.max(9 * once, 40));
  });
});
