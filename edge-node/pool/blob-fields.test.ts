import fc from "fast-check";
import t from "tap";
import { BLOB_MODES, formatBlobFields, formatBlobPath, PART_BYTES, parseBlobPart } from "./blob-fields.ts";

const digest = "a".repeat(64);

t.test("what is asked for comes back as it was, and whatever else arrives asks for nothing", async (t) => {
  const start = fc.nat({ max: 1e9 });
  fc.assert(
    fc.property(fc.constantFrom(...BLOB_MODES), start, fc.nat({ max: PART_BYTES - 1 }), (mode, from, more) => {
      const part = { digest, mode, start: from, end: from + more };
      t.same(parseBlobPart(formatBlobPath(digest), formatBlobFields(part)), part);
    }),
    { numRuns: 50 },
  );
  const asked = (target: string, mode: string, range: string) =>
    parseBlobPart(
      target,
      new Map([
        ["perigee-blob", [mode]],
        ["range", [range]],
      ]),
    );
  const path = formatBlobPath(digest);
  t.ok(asked(path, "held", "bytes=0-0"));
  for (const [target, mode, range] of [
    [path, "held", "bytes=5-4"],
    [path, "held", `bytes=0-${PART_BYTES}`],
    [path, "held", "bytes=0-"],
    [path, "held", "bytes=0-1,3-4"],
    [path, "some", "bytes=0-0"],
    [`${path}?a`, "held", "bytes=0-0"],
    ["/v1/blobs/../x", "held", "bytes=0-0"],
    [path.toUpperCase(), "held", "bytes=0-0"],
  ] as const) {
    t.equal(asked(target, mode, range), undefined, `${target} ${mode} ${range}`);
  }
  fc.assert(fc.property(fc.string(), fc.string(), (target, range) => void asked(target, "fetch", range)));
});
