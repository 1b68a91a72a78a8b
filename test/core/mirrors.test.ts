import { expect, test } from "vitest";
import { decodeMirror, encodeMirror } from "../../core/mirrors.ts";

test("what is encoded is decoded again", () => {
  for (const text of ["echo", "", " ", "é", "a\nb", "=?base64?x?=", "\uFEFFx", "🙂".repeat(1000), "a b"])
    expect(decodeMirror(encodeMirror(text))).toBe(text);
  expect(encodeMirror("a b")).toBe("a b");
});
