import t from "tap";
import { fieldsOf } from "#domain/http/fields.ts";
import { formatOrder, parseOrder } from "./purge-text.ts";
import { PURGE_MARKS_MAX, PurgeMarks, type PurgeOrder, RECENT_PURGES_MAX } from "./purging.ts";

const SITE = "shop";
const freshness = {
  receivedAtMs: 0,
  initialAgeSeconds: 0,
  lifetimeSeconds: 60,
  alwaysValidate: false,
  neverStale: false,
  hasSharedLifetime: false,
  staleWhileRevalidateSeconds: 0,
  staleIfErrorSeconds: 0,
};
const responseOf = (key: string, requestedAtMs: number, tags = "") => {
  return { site: SITE, key, requestedAtMs, freshness, fields: fieldsOf(["cache-tag", tags]) };
};
const pathOrder = (path: string, atMs: number, soft = false): PurgeOrder => {
  return { kind: "purge", spec: { site: SITE, match: { kind: "paths", paths: [path] }, soft, atMs } };
};

t.test("a hard purge outlives a soft one of the same name, and the later time counts", async (t) => {
  const marks = new PurgeMarks();
  marks.add(pathOrder("/x", 10));
  marks.add(pathOrder("/x", 20, true));
  marks.add(pathOrder("/x", 5));
  t.equal(marks.applyTo(responseOf("/x", 9)), undefined);
  t.equal(marks.applyTo(responseOf("/x", 10))?.freshness.alwaysValidate, true);
  const later = responseOf("/x", 20);
  t.equal(marks.applyTo(later), later);
});

t.test("marks go when they are swept, the oldest first, and what they were for is not stored late", async (t) => {
  const marks = new PurgeMarks();
  for (let index = 0; index < RECENT_PURGES_MAX + 10; index += 1) marks.add(pathOrder(`/${index}`, 100 + index));
  marks.swept(5);
  t.equal(marks.applyTo(responseOf("/5", 1)), undefined, "what is not swept is in effect");
  t.ok(marks.applyTo(responseOf("/4", 1)), "what is swept and forgotten was taken out of the tiers");
  t.equal(marks.hasPurged(responseOf("/4", 103)), true, "it may arrive late");
  t.equal(marks.hasPurged(responseOf("/none", 104)), false);
});

t.test("marks are bounded: full when there are too many to look for", async (t) => {
  const marks = new PurgeMarks();
  for (let index = 0; index < PURGE_MARKS_MAX; index += 1) {
    t.equal(marks.isFull, false, `${index}`);
    marks.add(pathOrder(`/${index}`, 1));
  }
  t.equal(marks.isFull, true);
  marks.swept(marks.latest);
  t.equal(marks.isFull, false);
});

t.test("an order is read as it was written, and what is none is none", async (t) => {
  const matches = [
    { kind: "all" as const },
    { kind: "paths" as const, paths: ["/a", "/ä?x=1"] },
    { kind: "tags" as const, tags: ["t"] },
    { kind: "prefix" as const, prefix: "/a/" },
  ];
  const orders: PurgeOrder[] = [
    { kind: "expire", atMs: 5 },
    ...matches.map((match) => ({ kind: "purge" as const, spec: { site: SITE, match, soft: true, atMs: 7 } })),
  ];
  for (const order of orders) t.strictSame(parseOrder(formatOrder(order)), order, formatOrder(order));
  for (const text of [
    "",
    "{}",
    "null",
    '{"kind":"expire"}',
    '{"kind":"purge","spec":{"site":"x","soft":true,"atMs":1}}',
  ])
    t.equal(parseOrder(text), undefined, text);
});
