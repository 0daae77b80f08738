import t from "tap";
import { parseSourceDocuments } from "./documents.ts";

t.test("what a pointer names has its line, and what has no value that of what is around it", async (t) => {
  const [first, second] = parseSourceDocuments("a: 1\nb:\n  - x\n  - y: 2\n---\nc: 3\n", "f.yaml");
  t.same(first?.value, { a: 1, b: ["x", { y: 2 }] });
  t.equal(first?.lineOf("/b/1/y"), 4);
  t.equal(first?.lineOf("/b/1/z"), 4);
  t.equal(second?.lineOf("/c"), 6);
});

t.test(
  "an alias has the value of its anchor; of one without an anchor the line is told, in any document",
  async (t) => {
    t.same(
      parseSourceDocuments("a: &x 1\nb: *x\n", "f.yaml").map(({ value }) => value),
      [{ a: 1, b: 1 }],
    );
    t.throws(() => parseSourceDocuments("a: &x 1\nb:\n  - *y\n", "f.yaml"), { message: /^f\.yaml:3: .*alias.*: y$/i });
    t.throws(() => parseSourceDocuments("a: &x 1\n---\nb: *x\n", "f.yaml"), { message: /^f\.yaml:3: .*alias.*: x$/i });
  },
);

t.test("aliases of aliases are not expanded without bound", async (t) => {
  const levels = Array.from({ length: 9 }, (_, level) => `a${level + 1}: &a${level + 1} [${`*a${level},`.repeat(9)}]`);
  const text = ["a0: &a0 x", ...levels].join("\n");
  t.throws(() => parseSourceDocuments(text, "f.yaml"), { message: /^f\.yaml: .*alias count/i });
});
