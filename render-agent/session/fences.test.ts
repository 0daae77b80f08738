import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { seededRandom } from "#platform/random.ts";
import { testFolder } from "#test/test-folder.ts";
import { openFences } from "./fences.ts";

t.test("fences grow from lease to lease, and incarnations sort by their start", async (t) => {
  const path = join(testFolder(t), "fences");
  const random = seededRandom(1);
  const first = await openFences(path, random);
  const [one, two] = await Promise.all([first.next(), first.next()]);
  t.equal(one.counter, 1);
  t.equal(two.counter, 2);
  const again = await openFences(path, random);
  const three = await again.next();
  t.equal(three.counter, 3);
  t.ok(again.incarnation > first.incarnation, `${again.incarnation} after ${first.incarnation}`);
});

t.test("a file that is damaged begins anew, as another incarnation", async (t) => {
  const path = join(testFolder(t), "fences");
  writeFileSync(path, "nonsense");
  const random = seededRandom(2);
  const first = await openFences(path, random);
  t.equal((await first.next()).counter, 1);
  writeFileSync(path, "");
  t.not((await openFences(path, random)).incarnation, first.incarnation);
});
