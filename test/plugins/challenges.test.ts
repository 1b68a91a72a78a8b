/** The reader of `WWW-Authenticate`: what RFC 9110 §11.6.1 allows, what it does not, and how long the worst takes. */
import { describe, expect, test } from "vitest";
import { parseChallenges, writeChallenges } from "../../plugins/_challenges.ts";

/** Scheme, then token68 or name and value of each parameter. */
const read = (field: string) =>
  parseChallenges(field)?.map(({ scheme, token68, params }) => [
    scheme,
    ...(token68 === undefined ? [] : [token68]),
    ...params.map(({ name, value }) => `${name}=${value}`),
  ]);

test.each<[string, string[][]]>([
  ["Bearer", [["Bearer"]]],
  ["", []],
  [" , ,", []],
  ['Bearer realm="a, b", scope="x y"', [["Bearer", "realm=a, b", "scope=x y"]]],
  ['Bearer realm="say \\"hi\\", Basic realm=\\"no\\""', [["Bearer", 'realm=say "hi", Basic realm="no"']]],
  ["Bearer REALM=tok, Error=invalid_token", [["Bearer", "realm=tok", "error=invalid_token"]]],
  [
    'Basic realm="a", Bearer scope="b"',
    [
      ["Basic", "realm=a"],
      ["Bearer", "scope=b"],
    ],
  ],
  ['Negotiate, Basic realm="a"', [["Negotiate"], ["Basic", "realm=a"]]],
  [
    'Negotiate YWJj==, Bearer x="1"',
    [
      ["Negotiate", "YWJj=="],
      ["Bearer", "x=1"],
    ],
  ],
  ["NTLM abc", [["NTLM", "abc"]]],
  ['Bearer a = "1" ,, b\t=\t2,', [["Bearer", "a=1", "b=2"]]],
  ['DPoP algs="ES256 PS256", Bearer, Basic realm=""', [["DPoP", "algs=ES256 PS256"], ["Bearer"], ["Basic", "realm="]]],
  ['Bearer a="\u00fc"', [["Bearer", "a=\u00fc"]]],
  ["Bearer a==", [["Bearer", "a=="]]],
])("%j is read as %j", (field, expected) => {
  expect(read(field)).toEqual(expected);
  expect(read(writeChallenges(parseChallenges(field)!))).toEqual(expected);
});

test.each([
  'Bearer realm="open',
  'Bearer realm="a" scope="b"',
  'Bearer realm="a"x',
  'Bearer realm="a\\',
  'Bearer realm="a\r\nset-cookie: x"',
  'Bearer realm="a\0"',
  'Bearer ="a"',
  'realm="a"',
  "Bearer a=b=c=d, e",
  'Bearer x="1", "y"',
  "(Bearer)",
  "B,".repeat(1001),
  `B ${"a=b,".repeat(1000)}`,
])("%.60j is refused as a whole", (field) => expect(parseChallenges(field)).toBeUndefined());

test("what was not changed is written as it came; what was, is quoted and holds no line break", () => {
  const [first] = parseChallenges('bearer Realm = "a\\,b" , x=1')!;
  expect(writeChallenges([first!])).toBe('bearer Realm = "a\\,b", x=1');
  const evil = 'a"\\\r\nset-cookie: b\u2028';
  const text = writeChallenges([{ scheme: "Bearer", params: [{ name: "realm", value: evil }] }]);
  expect(text).toBe('Bearer realm="a\\"\\\\set-cookie: b"');
  expect(read(text)).toEqual([["Bearer", 'realm=a"\\set-cookie: b']]);
});

describe("100 KB are read within 50 ms, and the time grows as the length does", () => {
  test.each<[string, (n: number) => string]>([
    ["one token", (n) => "a".repeat(n)],
    ["a token68 that is none", (n) => `B ${"a".repeat(n / 2)}${"=".repeat(n / 2)}(`],
    ["commas", (n) => ",".repeat(n)],
    ["blanks and commas", (n) => " ,".repeat(n / 2)],
    ["blanks before a mistake", (n) => `B a${" ".repeat(n)}(`],
    ["blanks around =", (n) => `B a${" ".repeat(n / 2)}=${" ".repeat(n / 2)}(`],
    ["an open quote", (n) => `B a="${"x".repeat(n)}`],
    ["an open quote full of escapes", (n) => `B a="${"\\\\".repeat(n / 2)}`],
    ["many parameters", (n) => `B ${"a=b,".repeat(n / 4)}`],
    ["many schemes", (n) => "B,".repeat(n / 2)],
    ["schemes that look like parameters", (n) => "B x=1,".repeat(n / 6)],
    ["parameters with open ends", (n) => `B ${'a="b",'.repeat(n / 6)}c="`],
  ])("%s", (_name, make) => {
    const time = (n: number) => {
      const text = make(n);
      // The best of several: other processes share the machine.
      return Math.min(
        ...Array.from({ length: 5 }, () => {
          const start = performance.now();
          parseChallenges(text);
          return performance.now() - start;
        }),
      );
    };
    time(20_000);
    expect(time(100_000)).toBeLessThan(50);
    // A quadratic reader takes 16 times as long for four times as much; below 10 ms other processes decide.
    expect(time(400_000)).toBeLessThan(Math.max(10, 10 * time(100_000)));
  });
});
