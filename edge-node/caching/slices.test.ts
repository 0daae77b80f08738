import t from "tap";
import { fieldsOf } from "#domain/http/fields.ts";
import {
  hasSliceValidator,
  isSameRepresentation,
  isSlice,
  parseContentRange,
  rangeFieldOf,
  SLICE_BYTES,
  sliceOf,
} from "./slices.ts";

t.test("what Content-Range says is read, where it says all and can be", async (t) => {
  const parse = (text: string) => parseContentRange(fieldsOf(["content-range", text]));
  t.strictSame(parse("bytes 0-4/10"), { start: 0, last: 4, sizeBytes: 10 });
  for (const text of [
    "",
    "bytes 0-4/*",
    "bytes */10",
    "bytes 5-4/10",
    "bytes 0-10/10",
    "items 0-4/10",
    "bytes 0-4/1e3",
  ])
    t.equal(parse(text), undefined, text);
});

t.test("a part is a slice where it is all of it, up to the end of the representation", async (t) => {
  t.equal(rangeFieldOf(1), `bytes=${SLICE_BYTES}-${2 * SLICE_BYTES - 1}`);
  t.strictSame([sliceOf(0), sliceOf(SLICE_BYTES - 1), sliceOf(SLICE_BYTES)], [0, 0, 1]);
  const last = SLICE_BYTES + 9;
  t.ok(isSlice({ start: 0, last: SLICE_BYTES - 1, sizeBytes: last + 1 }, 0));
  t.ok(isSlice({ start: SLICE_BYTES, last, sizeBytes: last + 1 }, 1));
  t.notOk(isSlice({ start: SLICE_BYTES, last: last - 1, sizeBytes: last + 1 }, 1), "the last byte is missing");
  t.notOk(isSlice({ start: 4, last: 9, sizeBytes: 10 }, 0));
});

t.test("slices are of one representation by a strong validator and the size", async (t) => {
  const fields = (size: number, ...raw: string[]) => fieldsOf(["content-range", `bytes 0-1/${size}`, ...raw]);
  const date = ["last-modified", "Tue, 24 Nov 2026 00:00:00 GMT", "date", "Tue, 24 Nov 2026 00:01:00 GMT"];
  const justNow = ["last-modified", "Tue, 24 Nov 2026 00:00:01 GMT", "date", "Tue, 24 Nov 2026 00:01:00 GMT"];
  t.ok(isSameRepresentation(fields(9, "etag", '"a"'), fields(9, "etag", '"a"', ...date)));
  t.ok(isSameRepresentation(fields(9, ...date), fields(9, ...date)));
  t.notOk(isSameRepresentation(fields(9, "etag", '"a"'), fields(9, "etag", '"b"')));
  t.notOk(isSameRepresentation(fields(9, "etag", '"a"'), fields(8, "etag", '"a"')));
  t.notOk(isSameRepresentation(fields(9, "etag", '"a"', ...date), fields(9, ...date)));
  t.notOk(hasSliceValidator(fields(9, "etag", 'W/"a"')));
  t.notOk(hasSliceValidator(fields(9, ...justNow)), "it may have been modified twice in that second");
  t.notOk(hasSliceValidator(fields(9)));
});
