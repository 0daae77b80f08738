import fc from "fast-check";
import t from "tap";
import { wholeLines } from "./open-access-log.ts";

t.test("lines are written in pieces that end where a line does, each as large as it may be", async (t) => {
  const line = fc.integer({ min: 0, max: 30 }).map((length) => `${"x".repeat(length)}\n`);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 30 }), fc.integer({ min: 1, max: 40 }), (lines, bytesMax) => {
      const text = lines.join("");
      const pieces = [...wholeLines(Buffer.from(text), bytesMax)].map((piece) => Buffer.from(piece).toString());
      const isGood = (piece: string) =>
        piece.endsWith("\n") && (piece.length <= bytesMax || piece.indexOf("\n") === piece.length - 1);
      t.equal(pieces.join(""), text, "nothing is lost");
      t.ok(pieces.every(isGood), JSON.stringify({ pieces, bytesMax }));
    }),
    { numRuns: 200 },
  );
});
