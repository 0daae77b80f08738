import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { FAILURE_CODES } from "./failure.ts";

t.test("every failure code stands in docs/errors.md with cause and remedy, and no other does", async (t) => {
  const text = readFileSync(join(import.meta.dirname, "../docs/errors.md"), "utf8");
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| (.+) \| (.+) \|$/gm)].map(([, code]) => code);
  t.same(rows, FAILURE_CODES);
});

t.test("the codes are in alphabetical order", async (t) => {
  t.same(FAILURE_CODES, FAILURE_CODES.toSorted());
});
