/** Copies of pictures that overtake one another: what is shown is not written again while it is. */
import t from "tap";
import { type CopiedFrame, createPixelCopies } from "./pixel-copies.ts";

/** Each fills its buffer with its own number, half of it at once and the rest when it is told to. */
function pictures() {
  const finishing = new Map<number, () => void>();
  const closed: number[] = [];
  const shown: { readonly number: number; readonly pixels: Uint8Array | undefined }[] = [];
  const numbers = new Map<CopiedFrame, number>();
  const copies = createPixelCopies<CopiedFrame>(
    (frame, pixels) => void shown.push({ number: numbers.get(frame) ?? 0, pixels }),
  );
  const copy = (number: number): void => {
    const picture = {
      ...{ displayWidth: 4, displayHeight: 2, close: () => void closed.push(number) },
      async copyTo(target: Uint8Array): Promise<void> {
        target.fill(number, 0, 16);
        await new Promise<void>((resolve) => finishing.set(number, resolve));
        target.fill(number);
      },
    };
    const frame = { picture };
    numbers.set(frame, number);
    copies.copy(frame);
  };
  const finish = async (number: number): Promise<void> => {
    finishing.get(number)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { copy, finish, shown, closed };
}

t.test("a picture that waits to be uploaded stays as it is, however many copies are begun and overtaken", async (t) => {
  const { copy, finish, shown, closed } = pictures();
  copy(1);
  await finish(1);
  for (const number of [2, 3, 4]) copy(number);
  t.same(shown.at(-1)?.pixels, new Uint8Array(32).fill(1));
  t.same(closed, [2, 3]);
  await finish(4);
  for (const number of [2, 3]) await finish(number);
  t.same(shown.at(-1), { number: 4, pixels: new Uint8Array(32).fill(4) });
  copy(5);
  copy(6);
  t.same(shown.at(-1)?.pixels, new Uint8Array(32).fill(4), "nor is one written by the copies before it");
  await finish(6);
  t.same(
    shown.map(({ number }) => number),
    [1, 4, 6],
  );
});
