import { appendFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import t, { type Test } from "tap";
import { testFolder } from "#test/test-folder.ts";
import { ArrivingBlob } from "./arriving-blob.ts";

async function arrivingIn(t: Test, sizeBytes: number) {
  const folder = testFolder(t);
  const [part, whole] = [join(folder, "blob.part"), join(folder, "blob")];
  await writeFile(part, "");
  return { part, whole, arriving: new ArrivingBlob({ sizeBytes, part, whole }) };
}

const textOf = ({ value }: IteratorResult<Uint8Array, unknown>) =>
  value instanceof Uint8Array ? Buffer.from(value).toString() : "nothing";

t.test("who reads along has each byte as it comes, and the last one when the whole has verified", async (t) => {
  const { part, whole, arriving } = await arrivingIn(t, 6);
  const bytes = arriving.read(1, 5);
  const first = bytes.next();
  await appendFile(part, "abc");
  arriving.advance(3);
  t.equal(textOf(await first), "bc");
  await appendFile(part, "def");
  arriving.advance(6);
  t.equal(textOf(await bytes.next()), "de");
  t.equal(arriving.readable, 5);
  await rename(part, whole);
  arriving.finish();
  t.equal((await buffer(bytes)).toString(), "f");
  t.equal((await buffer(arriving.read(0, 5))).toString(), "abcdef", "where it is now");
});

t.test(
  "bytes of one attempt are never followed by those of another, and who waits hears that it was given up",
  async (t) => {
    const { part, arriving } = await arrivingIn(t, 6);
    await appendFile(part, "abc");
    arriving.advance(3);
    const bytes = arriving.read(0, 5);
    t.equal(textOf(await bytes.next()), "abc");
    const { attempt } = arriving;
    const next = bytes.next();
    arriving.restart();
    t.not(arriving.attempt, attempt);
    arriving.advance(6);
    await t.rejects(next, { code: "unavailable" });
    const late = arriving.reaches(5);
    arriving.giveUp();
    t.equal(await late, false);
  },
);
