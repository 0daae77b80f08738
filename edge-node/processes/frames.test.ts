import fc from "fast-check";
import t from "tap";
import { type Frame, FrameReader, frameHead, type Mark, markFrame } from "./frames.ts";
import { formatOpening, parseOpening } from "./opening.ts";

const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((array) => Buffer.from(array));
const mark = fc.constantFrom<Mark>("end", "answered", "reset");
const frame: fc.Arbitrary<Frame> = fc.oneof(
  bytes.map((content) => ({ kind: "bytes" as const, bytes: content })),
  mark.map((kind) => ({ kind })),
);

function encoded(frames: readonly Frame[]): Buffer {
  return Buffer.concat(
    frames.flatMap((one) =>
      "bytes" in one ? [frameHead(one.kind, one.bytes.byteLength), one.bytes] : [markFrame(one.kind)],
    ),
  );
}

/** Neighbouring pieces of bytes as one. */
function joined(frames: readonly Frame[]): readonly string[] {
  const all: string[] = [];
  for (const one of frames) {
    const last = all.at(-1);
    if (!("bytes" in one)) all.push(one.kind);
    else if (last?.startsWith("0x")) all[all.length - 1] = last + one.bytes.toString("hex");
    else all.push(`0x${one.bytes.toString("hex")}`);
  }
  return all;
}

t.test("frames come out as they went in, however they are cut on the way", async (t) => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 50 })), (frames, cuts) => {
      const text = encoded(frames);
      for (const by of ["frames", "pieces"] as const) {
        const read: Frame[] = [];
        const reader = new FrameReader(by, (one) => void read.push(one));
        let at = 0;
        for (const cut of [...cuts, text.byteLength]) {
          reader.take(text.subarray(at, at + cut));
          at = Math.min(text.byteLength, at + cut);
        }
        if (by === "pieces") t.same(joined(read), joined(frames), by);
        else t.same(read, frames, by);
      }
    }),
    { numRuns: 50 },
  );
});

t.test("what a front process says of a connection is what the main one hears", async (t) => {
  const addresses = { remoteAddress: "::1", remoteFamily: "IPv6", localAddress: "::1" };
  const known = { scheme: "https", protocol: "h2", remotePort: 1, localPort: 2, ...addresses } as const;
  t.same(parseOpening(formatOpening(known)), known);
  const gone = { remoteAddress: undefined, remotePort: undefined, remoteFamily: undefined };
  const unknown = { ...known, ...gone, localAddress: undefined, localPort: undefined };
  t.same(parseOpening(formatOpening(unknown)), unknown);
});
