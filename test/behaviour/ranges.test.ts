import t from "tap";
import { rangesOf, say } from "./upstream.ts";
import { isHit, startWorld } from "./world.ts";

const SLICE_BYTES = 256 * 1024;
const OBJECT = pattern(1_000_000, 7);
const OTHER = pattern(1_000_000, 11);
const STORED = { "cache-control": "max-age=3600", etag: '"a"', "last-modified": "Tue, 01 Sep 2026 00:00:00 GMT" };

/** No two slices of it are alike. */
function pattern(bytes: number, step: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, index) => (index * step + (index >> 10)) & 0xff));
}

const world = await startWorld(t);
const { upstream } = world;
const range = (value: string) => ({ headers: { range: `bytes=${value}` } });

t.test(
  "a range of 100 bytes of what is not stored moves one slice at most, which the next range of it is answered from",
  async (t) => {
    const moved = { bytes: 0 };
    upstream.on("/slice", rangesOf({ body: OBJECT, fields: STORED, moved }));
    const first = await world.ask("/slice", range("300000-300099"));
    t.same([first.status, first.headers["content-range"]], [206, "bytes 300000-300099/1000000"]);
    t.ok(first.body.equals(OBJECT.subarray(300_000, 300_100)));
    t.ok(moved.bytes <= SLICE_BYTES, `${moved.bytes} bytes moved`);
    await world.settle();
    const asked = upstream.received("/slice").length;
    const second = await world.ask("/slice", range("400000-400099"));
    t.ok(second.body.equals(OBJECT.subarray(400_000, 400_100)));
    t.ok(isHit(second), second.cacheStatus);
    t.equal(upstream.received("/slice").length, asked);
  },
);

t.test("a range over the border of two slices, one that is stored, is put together of both", async (t) => {
  const moved = { bytes: 0 };
  upstream.on("/border", rangesOf({ body: OBJECT, fields: STORED, moved }));
  await world.prime("/border", range("0-9"));
  const both = await world.ask("/border", range("262100-262199"));
  t.same([both.status, both.headers["content-range"]], [206, "bytes 262100-262199/1000000"]);
  t.ok(both.body.equals(OBJECT.subarray(262_100, 262_200)));
  t.ok(moved.bytes <= 2 * SLICE_BYTES, `${moved.bytes} bytes moved`);
});

t.test("open and suffix ranges of what is not stored, and the whole after them, are right", async (t) => {
  upstream.on("/open", rangesOf({ body: OBJECT, fields: STORED, moved: { bytes: 0 } }));
  const last = await world.ask("/open", range("-100"));
  t.same([last.status, last.headers["content-range"]], [206, "bytes 999900-999999/1000000"]);
  t.ok(last.body.equals(OBJECT.subarray(-100)));
  const open = await world.ask("/open", range("700000-"));
  t.same([open.status, open.headers["content-range"]], [206, "bytes 700000-999999/1000000"]);
  t.ok(open.body.equals(OBJECT.subarray(700_000)));
  const whole = await world.ask("/open");
  t.equal(whole.status, 200);
  t.ok(whole.body.equals(OBJECT));
});

t.test("slices of two representations never meet in one answer (RFC 9110 section 15.3.7.3)", async (t) => {
  for (const [name, validators] of Object.entries({
    tag: [{ etag: '"a"' }, { etag: '"b"' }],
    "weak-tag": [{ etag: 'W/"a"' }, { etag: 'W/"a"' }],
    date: [{ "last-modified": "Tue, 01 Sep 2026 00:00:00 GMT" }, { "last-modified": "Wed, 02 Sep 2026 00:00:00 GMT" }],
    none: [{}, {}],
  })) {
    const target = `/changed/${name}`;
    const [old, now] = validators;
    const fresh = { "cache-control": "max-age=3600" };
    upstream.on(target, rangesOf({ body: OBJECT, fields: { ...fresh, ...old }, moved: { bytes: 0 } }));
    await world.prime(target, range("0-9"));
    upstream.on(target, rangesOf({ body: OTHER, fields: { ...fresh, ...now }, moved: { bytes: 0 } }));
    for (const asked of ["first", "again"]) {
      const across = await world.ask(target, range("262000-262299")).catch(() => undefined);
      if (across === undefined) continue;
      const answered = across.status === 206 ? OTHER.subarray(262_000, 262_300) : OTHER;
      t.ok(across.body.equals(answered), `${name}, ${asked}: all of the new one`);
      await world.settle();
    }
  }
});

t.test("an upstream that knows no ranges is answered from as well", async (t) => {
  upstream.on("/no-ranges", say(OBJECT, STORED));
  for (const asked of ["first", "again"]) {
    const answer = await world.ask("/no-ranges", range("500-599"));
    const expected = answer.status === 206 ? OBJECT.subarray(500, 600) : OBJECT;
    t.ok([200, 206].includes(answer.status) && answer.body.equals(expected), `${asked}: ${answer.status}`);
    await world.settle();
  }
});

t.test("If-Range gives the part only of the very representation (RFC 9110 section 13.1.5)", async (t) => {
  upstream.on("/if-range", say(OBJECT, { ...STORED, date: new Date().toUTCString() }));
  await world.prime("/if-range");
  const statusFor = async (validator: string) => {
    const { status } = await world.ask("/if-range", { headers: { range: "bytes=0-9", "if-range": validator } });
    return status;
  };
  t.equal(await statusFor('"a"'), 206);
  t.equal(await statusFor('"b"'), 200);
  t.equal(await statusFor('W/"a"'), 200, "a weak tag never matches");
  t.equal(await statusFor(STORED["last-modified"]), 206);
  t.equal(await statusFor("Wed, 02 Sep 2026 00:00:00 GMT"), 200, "another date, later though it is");
  t.equal(upstream.received("/if-range").length, 1, "all from the store");
});

t.test("several ranges are parts of one answer, or the whole (RFC 9110 section 14.2)", async (t) => {
  upstream.on("/several", say(OBJECT, STORED));
  await world.prime("/several");
  const answer = await world.ask("/several", range("0-9,500000-500009"));
  if (answer.status === 200) {
    t.ok(answer.body.equals(OBJECT));
    return;
  }
  t.equal(answer.status, 206);
  const boundary = /^multipart\/byteranges; ?boundary="?([^"]+)"?$/.exec(answer.headers["content-type"] ?? "")?.[1];
  t.ok(boundary !== undefined, answer.headers["content-type"] ?? "no type");
  const parts = answer.body.toString("latin1").split(`--${boundary}`);
  t.equal(parts.length, 4, "a preamble, two parts, an end");
  for (const [part, from] of [
    [parts[1], 0],
    [parts[2], 500_000],
  ] as const) {
    t.match(part, new RegExp(`content-range: bytes ${from}-${from + 9}/1000000`, "i"));
    t.ok(part?.includes(`\r\n\r\n${OBJECT.toString("latin1", from, from + 10)}\r\n`), `bytes from ${from}`);
  }
  t.equal(parts[3], "--\r\n");
});

t.test("a thousand ranges are not worth more than the whole", async (t) => {
  upstream.on("/bomb", say(OBJECT, STORED));
  await world.prime("/bomb");
  const many = (one: (index: number) => string) =>
    range(Array.from({ length: 1000 }, (_, index) => one(index)).join(","));
  for (const [name, asked] of Object.entries({
    overlapping: many(() => "0-"),
    single: many((index) => `${index * 2}-${index * 2}`),
    beyond: many((index) => `${2_000_000 + index}-`),
  })) {
    const { status, body } = await world.ask("/bomb", asked);
    t.ok([200, 416].includes(status), `${name}: ${status}`);
    t.ok(body.byteLength <= OBJECT.byteLength, `${name}: ${body.byteLength} bytes`);
  }
});

t.test(
  "a range beyond the end is 416 with the size, stored or not; what is no range is ignored; so is a range of HEAD",
  async (t) => {
    upstream.on("/end", rangesOf({ body: OBJECT, fields: STORED, moved: { bytes: 0 } }));
    const missed = await world.ask("/end", range("1000000-"));
    t.same([missed.status, missed.headers["content-range"]], [416, "bytes */1000000"]);
    await world.prime("/end");
    const stored = await world.ask("/end", range("1000000-"));
    t.same([stored.status, stored.headers["content-range"]], [416, "bytes */1000000"]);
    for (const value of ["bytes=9-0", "bytes=a-b", "lines=1-2", "bytes"]) {
      t.equal((await world.ask("/end", { headers: { range: value } })).status, 200, value);
    }
    const head = await world.ask("/end", { method: "HEAD", headers: { range: "bytes=0-9" } });
    t.same([head.status, head.headers["content-length"], head.body.byteLength], [200, "1000000", 0]);
    t.ok(isHit(head), "HEAD after GET is a hit");
  },
);
