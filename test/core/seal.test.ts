import { createCipheriv, hkdfSync } from "node:crypto";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createSealer } from "mcp-penstock";
import { contracts } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { front } from "../_harness/wire.ts";

const use = testScope();
const OLD = "an-old-secret-of-more-than-32-characters";
const NEW = "the-new-secret-of-more-than-32-characters";
const sealer = createSealer([NEW]);
const token = sealer.seal("session", "text", "anna");

afterEach(() => void vi.useRealTimers());

describe("a token", () => {
  test.each(["", "text", "åß😀\u0000", "x".repeat(6000)])("gives back its text: %.10s", (text) => {
    const sealed = sealer.seal("session", text, "anna");
    expect(sealed).toMatch(/^[\w-]+$/);
    expect(sealed.length).toBeLessThanOrEqual(Math.ceil((Buffer.byteLength(text) * 4) / 3) + 46);
    expect(sealer.open("session", sealed, "anna")).toBe(text);
  });

  test("is another one each time, and tells nothing of its text", () => {
    const tokens = Array.from({ length: 1000 }, () => sealer.seal("session", "the same text", "anna"));
    expect(new Set(tokens).size).toBe(1000);
    expect(new Set(tokens.map((text) => text.slice(0, 16))).size).toBe(1000);
    for (const text of tokens) expect(Buffer.from(text, "base64url").toString("latin1")).not.toContain("same");
  });

  test("opens for its purpose and its binding only", () => {
    expect(sealer.open("session", token, "anna")).toBe("text");
    for (const [purpose, binding] of [
      ["event", "anna"],
      ["", "anna"],
      ["session", "bert"],
      ["session", ""],
      ["session", ["anna"]],
    ] as const)
      expect(sealer.open(purpose, token, binding)).toBeUndefined();
  });

  test("bindings that look alike are different ones", () => {
    const bindings = [
      ["a", "b"],
      ["a,b"],
      ["ab"],
      ["a", "b", ""],
      "a,b",
      '["a","b"]',
      ["a", ["b"]] as never,
      "\uD800",
      "\uD801",
      "\uFFFD",
    ];
    const tokens = bindings.map((binding) => sealer.seal("session", "text", binding));
    bindings.forEach((binding, i) =>
      tokens.forEach((sealed, j) => expect(sealer.open("session", sealed, binding)).toBe(i === j ? "text" : undefined)),
    );
  });

  test("is over at its time, and never without one", () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const now = Date.now();
    const opens = (expiresAt?: number) =>
      sealer.open("session", sealer.seal("session", "text", "anna", expiresAt), "anna");
    expect(opens(now + 1)).toBe("text");
    for (const over of [now, now - 1, 0, -1, Number.NaN]) expect(opens(over)).toBeUndefined();
    const sealed = [1000.9, Number.POSITIVE_INFINITY].map((ms) => sealer.seal("session", "text", "anna", now + ms));
    vi.setSystemTime(now + 999);
    expect(sealed.map((one) => sealer.open("session", one, "anna"))).toEqual(["text", "text"]);
    vi.setSystemTime(now + 1001);
    expect(sealed.map((one) => sealer.open("session", one, "anna"))).toEqual([undefined, "text"]);
    vi.setSystemTime(now + 1e14);
    expect([sealed[1]!, token].map((one) => sealer.open("session", one, "anna"))).toEqual(["text", "text"]);
  });
});

describe("secrets", () => {
  test("the first one seals, all open", () => {
    const [before, during, after] = [[OLD], [NEW, OLD], [NEW]].map(createSealer) as [
      typeof sealer,
      typeof sealer,
      typeof sealer,
    ];
    const old = before.seal("session", "text", "anna");
    expect([during, after].map((one) => one.open("session", old, "anna"))).toEqual(["text", undefined]);
    const fresh = during.seal("session", "text", "anna");
    expect([before, after].map((one) => one.open("session", fresh, "anna"))).toEqual([undefined, "text"]);
  });

  test.each([[[]], [["short"]], [[NEW, "x".repeat(31)]], [["changeme".repeat(5)]]])(
    "%j stops the start, unquoted",
    (secrets) => {
      expect(() => createSealer(secrets)).toThrow(expect.objectContaining({ code: "BAD_CONFIG" }) as Error);
      for (const secret of secrets)
        expect(() => createSealer(secrets)).not.toThrow(
          expect.objectContaining({ message: expect.stringContaining(secret) as string }) as Error,
        );
    },
  );
});

describe("what nobody sealed opens nothing, and throws nothing", () => {
  test("each change of one character, and each beginning", () => {
    for (let i = 0; i < token.length; i++) {
      expect(sealer.open("session", token.slice(0, i), "anna")).toBeUndefined();
      for (const other of ["A", "B", "_", "-", "=", " ", "\u0000", "å"]) {
        const changed = token.slice(0, i) + other + token.slice(i + 1);
        if (changed !== token) expect(sealer.open("session", changed, "anna")).toBeUndefined();
      }
    }
  });

  test.each([
    "",
    "=",
    `${token}=`,
    `${token}\n`,
    ` ${token}`,
    `${token}AAAA`,
    token + token,
    Buffer.from(token, "base64url").toString("base64"),
    "A".repeat(45),
    "A".repeat(46),
    "x".repeat(8192),
    "\u0000".repeat(8192),
    "😀".repeat(4096),
    "../../etc/passwd",
  ])("%.20s", (text) => expect(sealer.open("session", text, "anna")).toBeUndefined());

  test("a token whose tag is short", () => {
    const key = Buffer.from(hkdfSync("sha256", NEW, "penstock", "session", 32));
    const nonce = Buffer.alloc(12);
    const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: 4 });
    cipher.setAAD(Buffer.from('"anna"'));
    const sealed = Buffer.concat([nonce, cipher.update(Buffer.alloc(60, 255)), cipher.final(), cipher.getAuthTag()]);
    expect(sealer.open("session", sealed.toString("base64url"), "anna")).toBeUndefined();
  });
});

test("a token of one runtime opens on another", async () => {
  const { url } = await use(front("http://127.0.0.1:9", [contracts(NEW)]));
  const sealed = sealer.seal("session", "åß😀", ["anna", "docs"]);
  const answer = await fetch(`${url}/contracts/open`, { method: "POST", body: sealed });
  const { opened, foreign, damaged, again } = (await answer.json()) as Record<string, string>;
  expect({ opened, foreign, damaged }).toEqual({ opened: "åß😀" });
  expect(sealer.open("session", again!, ["anna", "docs"])).toBe("åß😀");
});
