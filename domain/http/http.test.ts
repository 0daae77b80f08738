import fc from "fast-check";
import t from "tap";
import { DELTA_SECONDS_MAX, deltaSeconds, parseCacheControl } from "./cache-control.ts";
import { formatHttpDate, parseHttpDate } from "./date.ts";
import { ifNoneMatchNames, isEntityTag, matchesStrongly, matchesWeakly } from "./entity-tag.ts";
import { endToEndFields, fieldsOf, fieldValue, listMembers } from "./fields.ts";
import { parseRange, RANGES_MAX, resolveRange, resolveRanges } from "./range.ts";

const NOW = Date.UTC(2026, 10, 24);

t.test("all three date formats of RFC 9110 are read, and the one of today is written back", async (t) => {
  const nov1994 = Date.UTC(1994, 10, 6, 8, 49, 37);
  for (const text of ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]) {
    t.equal(parseHttpDate(text, NOW), nov1994, text);
  }
  t.equal(parseHttpDate("Sunday, 06-Nov-60 08:49:37 GMT", NOW), Date.UTC(2060, 10, 6, 8, 49, 37));
  for (const text of [
    "",
    "0",
    "-1",
    "Sun, 31 Feb 2020 00:00:00 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:49:37 PST",
    "1994-11-06",
  ]) {
    t.equal(parseHttpDate(text, NOW), undefined, text);
  }
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e9 }), (s) => parseHttpDate(formatHttpDate(s * 1000), NOW) === s * 1000),
  );
});

t.test("directives are read whatever their case, spaces and quotes; the first of a kind counts", async (t) => {
  const directives = parseCacheControl('Max-Age=60, no-cache="set-cookie, x", private ,max-age=5, s-maxage="7",');
  t.equal(deltaSeconds(directives, "max-age"), 60);
  t.equal(deltaSeconds(directives, "s-maxage"), 7);
  t.equal(directives.get("no-cache"), "set-cookie, x");
  t.ok(directives.has("private"));
  t.equal(deltaSeconds(directives, "absent"), undefined);
  t.equal(deltaSeconds(parseCacheControl("max-age=99999999999999"), "max-age"), DELTA_SECONDS_MAX);
  for (const bad of ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=a"]) {
    t.equal(deltaSeconds(parseCacheControl(bad), "max-age"), "invalid", bad);
  }
});

t.test("any text parses into directives and list members without throwing", async (t) => {
  fc.assert(fc.property(fc.string(), (text) => parseCacheControl(text).size >= 0 && listMembers(text).length >= 0));
  t.pass("every generated case held");
});

t.test("entity tags compare weakly for caches and strongly for ranges", async (t) => {
  t.ok(isEntityTag('W/"a"') && isEntityTag('""') && !isEntityTag("a") && !isEntityTag('"a'));
  t.ok(matchesWeakly('W/"a"', '"a"') && !matchesStrongly('W/"a"', 'W/"a"') && matchesStrongly('"a"', '"a"'));
  t.ok(ifNoneMatchNames('"x", W/"a"', '"a"') && ifNoneMatchNames("*", undefined));
  t.notOk(ifNoneMatchNames('"x"', '"a"') || ifNoneMatchNames('"a"', undefined) || ifNoneMatchNames("a", "a"));
});

t.test("ranges resolve within the representation, or are not satisfiable, or are ignored", async (t) => {
  const part = (start: number, end: number) => ({ kind: "part" as const, range: { start, end } });
  t.strictSame(resolveRange("bytes=0-4", 10), part(0, 4));
  t.strictSame(resolveRange("bytes=5-", 10), part(5, 9));
  t.strictSame(resolveRange("bytes=-3", 10), part(7, 9));
  t.strictSame(resolveRange("bytes=-99", 10), part(0, 9));
  t.strictSame(resolveRange("bytes=0-99999999999999999999", 10), part(0, 9));
  for (const text of ["bytes=10-", "bytes=-0"]) t.strictSame(resolveRange(text, 10), { kind: "unsatisfiable" }, text);
  for (const text of [undefined, "", "bytes=-", "bytes=4-2", "items=0-1", "bytes=0-1,3-4", "bytes=a-b"]) {
    t.strictSame(resolveRange(text, 10), { kind: "whole" }, String(text));
  }
  fc.assert(
    fc.property(fc.nat(100), fc.nat(100), fc.integer({ min: 1, max: 100 }), (a, b, size) => {
      const decision = resolveRange(`bytes=${a}-${b}`, size);
      return (
        decision.kind !== "part" ||
        (decision.range.start === a && decision.range.end < size && decision.range.start <= decision.range.end)
      );
    }),
  );
});

t.test("several ranges come in the order of their bytes, joined where they touch, and not too many", async (t) => {
  const parts = (...ranges: [number, number][]) => ({
    kind: "parts" as const,
    ranges: ranges.map(([start, end]) => ({ start, end })),
  });
  t.strictSame(resolveRanges("bytes=0-1, 5-6", 10), parts([0, 1], [5, 6]));
  t.strictSame(resolveRanges("bytes=-2,0-1", 10), parts([0, 1], [8, 9]));
  t.strictSame(resolveRanges("bytes=0-4,2-6,7-8", 10), { kind: "part", range: { start: 0, end: 8 } });
  t.strictSame(resolveRanges("bytes=0-1,20-30", 10), { kind: "part", range: { start: 0, end: 1 } });
  t.strictSame(resolveRanges("bytes=10-,20-", 10), { kind: "unsatisfiable" });
  t.strictSame(resolveRanges("bytes=0-1,x", 10), { kind: "whole" });
  const many = (count: number) => `bytes=${Array.from({ length: count }, (_, index) => `${index * 2}-${index * 2}`)}`;
  t.equal(resolveRanges(many(RANGES_MAX), 100).kind, "parts");
  t.equal(resolveRanges(many(RANGES_MAX + 1), 100).kind, "whole");
  t.strictSame(parseRange("bytes=5-"), { first: 5, last: undefined });
  t.equal(parseRange("bytes=5-,7-"), undefined);
});

t.test("fields of one connection are not passed on, those that Connection names included", async (t) => {
  const fields = fieldsOf([
    "Connection",
    "close, X-Hop",
    "x-hop",
    "1",
    "Via",
    "a",
    "via",
    "b",
    "Transfer-Encoding",
    "chunked",
  ]);
  t.strictSame([...endToEndFields(fields).keys()], ["via"]);
  t.equal(fieldValue(fields, "via"), "a, b");
});
