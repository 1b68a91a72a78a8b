import { expect, test } from "vitest";
import { SILENT } from "../../core/log.ts";
import { StderrLines } from "../../core/upstream/stderr-lines.ts";

function telling(text: string): string | undefined {
  const lines = new StderrLines("one", SILENT);
  const reader = lines.reader(1);
  reader.write(Buffer.from(text));
  reader.end();
  return lines.telling;
}

test("of what a Node program throws, the error; of others the last line", () => {
  const thrown = `node:internal/modules/package_json_reader:256
  throw new ERR_MODULE_NOT_FOUND(packageName, fileURLToPath(base), null);
        ^

Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod'
    at packageResolve (node:internal/modules/esm/resolve:729:9) {
  code: 'ERR_MODULE_NOT_FOUND'
}

Node.js v20.20.2
`;
  expect(telling(thrown)).toBe("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod'");
  expect(telling('Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no token\n')).toBe(
    "ValueError: no token",
  );
  expect(telling("Node.js v20.20.2\n")).toBe("Node.js v20.20.2");
  expect(telling("")).toBeUndefined();
});
