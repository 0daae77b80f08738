/** Frames in fragments: what parity there is repairs as many losses, whichever; hostile fragments are refused by name. */
import fc from "fast-check";
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import { BLOCK_FRAGMENTS_MAX } from "./erasure-code.ts";
import {
  ASSEMBLIES_MAX,
  countDataFragments,
  cutFragments,
  FRAGMENT_BYTES_MAX,
  FRAGMENT_HEADER_BYTES,
  FrameAssembler,
} from "./fragments.ts";
import { inverse, multiply } from "./gf256.ts";

const bytesOf = (length: number, start: number) => Uint8Array.from({ length }, (_, at) => (at * 31 + start) & 255);

/** In an order of its own for each seed. */
function shuffled<T>(items: readonly T[], keys: Iterator<number>): T[] {
  return items
    .map((item) => ({ item, key: keys.next().value ?? 0 }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

t.test("multiplying is that of a field", async (t) => {
  const byte = fc.nat({ max: 255 });
  fc.assert(
    fc.property(byte, byte, byte, (a, b, c) => {
      t.equal(multiply(a, b), multiply(b, a), `${a} ${b}`);
      t.equal(multiply(a, multiply(b, c)), multiply(multiply(a, b), c), `${a} ${b} ${c}`);
      t.equal(multiply(a, b ^ c), multiply(a, b) ^ multiply(a, c), `${a} ${b} ${c}`);
      t.equal(multiply(a, inverse(a)), a === 0 ? 0 : 1, `1 / ${a}`);
    }),
  );
});

t.test("any losses up to the parity are repaired, in any order, each fragment as often as it comes", async (t) => {
  const lengths = fc.integer({ min: 1, max: 40_000 });
  const shares = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(lengths, fc.nat(), shares, fc.infiniteStream(fc.nat()), (length, start, share, keys) => {
      const bytes = bytesOf(length, start);
      const fragments = cutFragments(7, bytes, share);
      const dataCount = countDataFragments(length);
      const kept = shuffled(fragments, keys).slice(0, dataCount);
      const lost = fragments.slice(0, dataCount).filter((fragment) => !kept.includes(fragment)).length;
      const assembler = new FrameAssembler();
      const repeated = shuffled([...kept, ...kept.slice(1)], keys);
      const whole = repeated.flatMap((fragment) => assembler.add(fragment) ?? []);
      t.equal(whole.length, 1, `length ${length}, share ${share}`);
      t.equal(whole[0]?.repaired, lost, `length ${length}, share ${share}`);
      t.ok(Buffer.from(whole[0]?.bytes ?? []).equals(bytes), `length ${length}, share ${share}`);
      t.ok(fragments.every((fragment) => fragment.byteLength <= FRAGMENT_BYTES_MAX));
      t.equal(fragments.length - dataCount, Math.min(dataCount, Math.max(1, Math.ceil(dataCount * share))));
    }),
    { numRuns: 60 },
  );
});

t.test("one loss more than the parity is not repaired", async (t) => {
  const fragments = cutFragments(1, bytesOf(12_000, 3), 0.25);
  const assembler = new FrameAssembler();
  for (const fragment of fragments.slice(4)) t.equal(assembler.add(fragment), undefined);
  t.ok(assembler.add(fragments[0] ?? new Uint8Array()));
});

t.test(
  "a frame beyond a block's fragments is several blocks, interleaved: a run of losses is shared out",
  async (t) => {
    for (const length of [BLOCK_FRAGMENTS_MAX * 1_084, 262 * 1_084, 900_000]) {
      const bytes = bytesOf(length, length);
      const fragments = cutFragments(1, bytes, 0.1);
      const dataCount = countDataFragments(length);
      const run = fragments.length - dataCount - 8;
      for (const from of [0, 100, dataCount - run, dataCount - 10]) {
        const assembler = new FrameAssembler();
        const kept = fragments.filter((_, index) => index < from || index >= from + run);
        const [whole] = kept.flatMap((fragment) => assembler.add(fragment) ?? []);
        t.ok(Buffer.from(whole?.bytes ?? []).equals(bytes), `${length} bytes without ${run} from ${from}`);
      }
    }
  },
);

t.test("a frame that is given up gives way to the next, and what comes of it then changes nothing", async (t) => {
  const assembler = new FrameAssembler();
  const first = cutFragments(1, new Uint8Array(9000));
  for (const fragment of first.slice(0, 1)) t.equal(assembler.add(fragment), undefined);
  const frames = cutFragments(2, new Uint8Array(3000).fill(9)).map((fragment) => assembler.add(fragment));
  t.equal(frames.filter((frame) => frame !== undefined).length, 1);
  for (const fragment of first) t.equal(assembler.add(fragment), undefined);
});

t.test("what was lost is counted before it is repaired, once nothing of the frame can come in time", async (t) => {
  const assembler = new FrameAssembler();
  const frame = (number: number) => cutFragments(number, bytesOf(12_000, number), 0.25);
  for (const fragment of frame(1).slice(2)) assembler.add(fragment);
  for (const fragment of frame(2).slice(0, 3)) assembler.add(fragment);
  t.same(assembler.takeLoss(), { received: 0, lost: 0 });
  assembler.add(frame(1)[0] ?? new Uint8Array());
  assembler.add(frame(1)[0] ?? new Uint8Array());
  for (let number = 3; number < 3 + ASSEMBLIES_MAX; number += 1)
    for (const fragment of frame(number)) assembler.add(fragment);
  t.same(assembler.takeLoss(), { received: 14 + 3, lost: 1 + 12 });
  t.same(assembler.takeLoss(), { received: 0, lost: 0 });
});

t.test("what comes of a frame that was pushed out unfinished is ignored, and counted once", async (t) => {
  const assembler = new FrameAssembler();
  const frame = (number: number) => cutFragments(number, bytesOf(12_000, number), 0.25);
  const numbers = Array.from({ length: ASSEMBLIES_MAX + 1 }, (_, index) => index + 1);
  for (const number of numbers) assembler.add(frame(number)[0] ?? new Uint8Array());
  for (const fragment of frame(1)) t.equal(assembler.add(fragment), undefined);
  t.same(assembler.takeLoss(), { received: 1, lost: 14 });
});

t.test("fragments of the first version, whose parity is an XOR of every so many, are read", async (t) => {
  const bytes = bytesOf(9_000, 5);
  const data = cutFragments(4, bytes, 0).slice(0, 9);
  const parity = [0, 1].map((group) => {
    const sum = new Uint8Array(FRAGMENT_BYTES_MAX);
    sum.set(data[0] ?? []);
    sum.fill(0, FRAGMENT_HEADER_BYTES);
    for (let index = group; index < 9; index += 2) {
      for (const [at, byte] of (data[index] ?? new Uint8Array()).entries()) {
        if (at >= FRAGMENT_HEADER_BYTES) sum[at] = (sum[at] ?? 0) ^ byte;
      }
    }
    new DataView(sum.buffer).setUint16(2, 9 + group, true);
    return sum;
  });
  const old = [...data, ...parity];
  for (const fragment of old) new DataView(fragment.buffer).setUint8(1, 1);
  for (const fragment of old) new DataView(fragment.buffer).setUint16(6, 2, true);
  const assembler = new FrameAssembler();
  const [whole] = old.filter((_, index) => index !== 3 && index !== 6).flatMap((part) => assembler.add(part) ?? []);
  t.equal(whole?.repaired, 2);
  t.ok(Buffer.from(whole?.bytes ?? []).equals(bytes));
});

t.test("a fragment of the first version whose groups are larger than a block can be is refused", async (t) => {
  const forged = (dataCount: number, parityCount: number) => {
    const bytes = new Uint8Array(FRAGMENT_BYTES_MAX);
    const view = new DataView(bytes.buffer);
    bytes.set([3, 1]);
    view.setUint16(4, dataCount, true);
    view.setUint16(6, parityCount, true);
    view.setUint32(12, dataCount * (FRAGMENT_BYTES_MAX - FRAGMENT_HEADER_BYTES), true);
    return bytes;
  };
  const most = BLOCK_FRAGMENTS_MAX - 1;
  t.equal(new FrameAssembler().add(forged(most, 1)), undefined);
  t.equal(new FrameAssembler().add(forged(3 * most, 3)), undefined);
  for (const [data, parity] of [
    [most + 1, 1],
    [3 * most + 1, 3],
    [3_000, 2],
  ] as const)
    t.throws(() => new FrameAssembler().add(forged(data, parity)), { code: "media-invalid" }, `${data} and ${parity}`);
});

t.test("a fragment with any field changed is refused by name, or is one of another frame", async (t) => {
  const good = cutFragments(9, bytesOf(5_000, 1), 0.3);
  const field = fc.constantFrom({ at: 2, bytes: 2 }, { at: 4, bytes: 2 }, { at: 6, bytes: 2 }, { at: 12, bytes: 4 });
  let refused = 0;
  fc.assert(
    fc.property(field, fc.nat({ max: 0xffff_ffff }), fc.nat({ max: 5 }), (changed, value, which) => {
      const assembler = new FrameAssembler();
      assembler.add(good[0] ?? new Uint8Array());
      const fragment = (good[which] ?? new Uint8Array()).slice();
      const view = new DataView(fragment.buffer);
      if (changed.bytes === 2) view.setUint16(changed.at, value & 0xffff, true);
      else view.setUint32(changed.at, value, true);
      try {
        assembler.add(fragment);
      } catch (error) {
        if (!isFailure(error, "media-invalid")) throw error;
        refused += 1;
      }
    }),
    { numRuns: 500 },
  );
  t.ok(refused > 400, `${refused} of 500 refused`);
  const without = (good[0] ?? new Uint8Array()).slice();
  new DataView(without.buffer).setUint16(6, 0, true);
  t.throws(() => new FrameAssembler().add(without), { code: "media-invalid" }, "no parity is none of ours");
});

t.test(
  "the first version with more data to a parity than the code has elements is refused, whatever is lost",
  async (t) => {
    const fragments = cutFragments(4, bytesOf(300 * (FRAGMENT_BYTES_MAX - FRAGMENT_HEADER_BYTES), 5), 0);
    const refused = fragments.filter((fragment) => {
      new DataView(fragment.buffer).setUint8(1, 1);
      try {
        return new FrameAssembler().add(fragment) !== undefined;
      } catch (error) {
        return isFailure(error, "media-invalid");
      }
    });
    t.equal(refused.length, 301);
  },
);
