import { expect, test } from "vitest";
import { searchBytes, searchText } from "../../core/body/search.ts";
import { withSeeds } from "./random.ts";

test("both searches find the same, also across the windows of one of them", () => {
  withSeeds(400, (rnd) => {
    const bytes = Buffer.alloc(rnd.pick([0, 5, 4090, 4096, 4100, 9000]), rnd.pick(["a", "\xff", 'x"']), "latin1");
    const needle = rnd.pick(['"method"', "\n\n", "event"]);
    for (let i = rnd.int(3); i > 0 && bytes.length > 20; i--)
      bytes.write(
        needle,
        Math.min(rnd.pick([0, 4088, 4092, 4095, rnd.int(bytes.length)]), bytes.length - needle.length),
        "latin1",
      );
    const from = rnd.pick([0, 1, 4090, 4096, bytes.length]);
    expect(searchText(bytes, needle, from)).toBe(searchBytes(bytes, needle, from));
  });
});
