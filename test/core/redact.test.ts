import { describe, expect, test } from "vitest";
import { createRedactor, isOpaque } from "../../core/redact.ts";

const GONE = "[redacted]";

describe("a value that was seen is taken out wherever it stands", () => {
  test.each<[string, string, string, string]>([
    ["as it is", "can/ary+1", "x can/ary+1 y", `x ${GONE} y`],
    ["encoded for a URL", "can/ary 1", "?q=can%2Fary%201&r=can%2Fary+1", `?q=${GONE}&r=${GONE}`],
    ["within JSON", 'can"ary', '{"q":"can\\"ary"}', `{"q":"${GONE}"}`],
    ["after its scheme", "Bearer canary1", "sent canary1", `sent ${GONE}`],
    ["the password within Basic", `Basic ${btoa("user:canary1")}`, "login with canary1", `login with ${GONE}`],
    ["with characters of a pattern", "c.n(a)r$y", "c.n(a)r$y cXn(a)r$y", `${GONE} cXn(a)r$y`],
  ])("%s", (_, value, text, wanted) => {
    const redactor = createRedactor();
    redactor.add(value);
    expect(redactor.text(text)).toBe(wanted);
  });

  test("the longest first, so that none of a longer secret is left", () => {
    const redactor = createRedactor();
    for (const value of ["canary", "canary-and-more"]) redactor.add(value);
    expect(redactor.text("canary-and-more canary")).toBe(`${GONE} ${GONE}`);
  });

  test("each cookie by itself too", () => {
    const redactor = createRedactor();
    redactor.add("sid=canary-1; theme=canary-2", "Cookie");
    expect(redactor.text("canary-1 canary-2")).toBe(`${GONE} ${GONE}`);
  });

  test("unless it is so short that it would take ordinary words out", () => {
    const redactor = createRedactor();
    redactor.add("abc");
    redactor.add("en-US", "accept-language");
    redactor.add("en-GB-oed", "accept-language");
    redactor.add("abcd", "x-api-key");
    expect(redactor.text("abc en-US en-GB-oed abcd")).toBe(`abc en-US ${GONE} ${GONE}`);
  });

  test("however many there are, and however long: no runtime has a limit for them", () => {
    const redactor = createRedactor();
    const secrets = Array.from({ length: 500 }, (_, i) => `canary-${i}-${"x".repeat(200)}`);
    for (const secret of [...secrets, "y".repeat(200_000)]) redactor.add(secret);
    expect(redactor.text(`${secrets[7]} ${secrets[499]} ${"y".repeat(200_000)}`)).toBe(`${GONE} ${GONE} ${GONE}`);
  });

  test("by one redactor and no other", () => {
    createRedactor().add("canary");
    expect(createRedactor().text("canary")).toBe("canary");
  });
});

describe("what a name announces is taken out", () => {
  const redactor = createRedactor();
  test.each([
    ["https://h/x?token=c4nary&page=2", `https://h/x?token=${GONE}&page=2`],
    [
      "https://h/cb?code=c4nary&state=c4nary#access_token=c4nary",
      `https://h/cb?code=${GONE}&state=${GONE}#access_token=${GONE}`,
    ],
    ["https://h/x?X-Amz-Signature=c4nary", `https://h/x?X-Amz-Signature=${GONE}`],
    ["https://user:c4n@ry@h/x", `https://${GONE}@h/x`],
    ["redis://:c4nary@h", `redis://${GONE}@h`],
    ["Authorization: Bearer c4nary", `Authorization: Bearer ${GONE}`],
    ["basic dXNlcjpjNG5hcnk= was sent", `basic ${GONE} was sent`],
    ['{"client_secret":"c4\\"nary","a":1}', `{"client_secret":"${GONE}","a":1}`],
    ['{"body":"{\\"access_token\\":\\"c4nary\\"}"}', `{"body":"{\\"access_token\\":\\"${GONE}\\"}"}`],
    ["{ apiKey: 'c4nary' }", "{ apiKey: 'c4nary' }"],
    ["password=c4nary", `password=${GONE}`],
    ["x-api-key: c4nary-long", `x-api-key: ${GONE}`],
    ["cookie=c4nary; b=2", `cookie=${GONE}; b=2`],
  ])("%s", (text, wanted) => expect(redactor.text(text)).toBe(wanted));

  test.each([
    "servers.docs.headers.authorization: the environment variable DOCS_TOKEN is not set.",
    "servers.docs.headers.x-api-key: found a number; allowed is a string.",
    'WWW-Authenticate: Bearer realm="x", scope="y"',
    "Bearer authentication is needed",
    "code: BAD_CONFIG, state=open",
    "POST docs tools/call forecast anonymous 200 12ms 90B up 1200B down id=0803b37e-1",
    "http://127.0.0.1:3333/docs/mcp → https://docs.example.com/mcp",
  ])("and this is left: %s", (text) => expect(redactor.text(text)).toBe(text));
});

test("a megabyte of anything takes no longer than a blink: no pattern backtracks", () => {
  const redactor = createRedactor();
  redactor.add("canary");
  const before = performance.now();
  for (const piece of ["?key", "key=", "a-", "http://a:", "Bearer ", '"a', '"token":"\\', "&a.b[c]", '\\"', " "])
    redactor.text(piece.repeat(1_000_000 / piece.length));
  expect(performance.now() - before).toBeLessThan(3000);
});

test("an opaque part of a path is a long mixture, and no word", () => {
  expect(["c4f1e2d3a4b5c6d7e8f9a0b1", "5f0c2b9e-7c1d-4a55-9a52-0f5d3c2b1a00"].map(isOpaque)).toEqual([true, true]);
  expect(["mcp", "streamable-http-endpoint-of-docs", "2025", "v1"].map(isOpaque)).toEqual([false, false, false, false]);
});
