/** JSON with comments, and where it is broken: never what stands there, which may be a secret. */
import { parseJSONC } from "confbox/jsonc";

/** @returns the value, or the place of the first mistake, e.g. `line 3, column 7` */
export function parseJsonc(text: string): { value: unknown } | { broken: string } {
  const errors: { offset: number }[] = [];
  const plain = text.replace(/^\uFEFF/, "");
  const value: unknown = parseJSONC(plain, { errors: errors as never, allowTrailingComma: true });
  if (errors.length === 0) return { value };
  const lines = plain.slice(0, errors[0]!.offset).split("\n");
  return { broken: `line ${lines.length}, column ${lines.at(-1)!.length + 1}` };
}
