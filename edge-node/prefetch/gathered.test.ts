import fc from "fast-check";
import t from "tap";
import { GATHERED_BYTES, gathered } from "./gathered.ts";

async function* piecesOf(sizes: readonly number[], error?: Error): AsyncGenerator<Uint8Array> {
  for (const [index, size] of sizes.entries()) yield Buffer.alloc(size, index);
  if (error !== undefined) throw error;
}

async function collect(bytes: AsyncIterable<Uint8Array>, into: Uint8Array[]): Promise<void> {
  for await (const piece of bytes) into.push(piece);
}

t.test("all bytes come in their order, in pieces that but the last are of the size at least", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 2 * GATHERED_BYTES }), { maxLength: 12 }), async (sizes) => {
      const got: Uint8Array[] = [];
      await collect(gathered(piecesOf(sizes)), got);
      const whole: Uint8Array[] = [];
      await collect(piecesOf(sizes), whole);
      t.ok(Buffer.concat(got).equals(Buffer.concat(whole)), `${sizes}`);
      t.ok(
        got.slice(0, -1).every(({ byteLength }) => byteLength >= GATHERED_BYTES),
        `${sizes}`,
      );
    }),
    { numRuns: 30 },
  );
});

t.test("what came before a failure is given, then the failure", async (t) => {
  const got: Uint8Array[] = [];
  await t.rejects(collect(gathered(piecesOf([10, 20], new Error("broke off"))), got), { message: "broke off" });
  t.same(
    got.map(({ byteLength }) => byteLength),
    [30],
  );
});
