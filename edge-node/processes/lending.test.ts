import t from "tap";
import type { Fields } from "#domain/http/fields.ts";
import { seededRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import type { LaneRequest } from "../front/fast-lane.ts";
import { StoredHits } from "../front/stored-hits.ts";
import { openResponseStore } from "../store/response-store.ts";
import { cacheKeyOf, type StoredResponse } from "../store/stored-response.ts";
import { CopiedHits } from "./copied-hits.ts";
import { COPIES_BYTES_MAX, Copies } from "./copies.ts";
import { type Borrower, LENT_MAX, Lending, type Order } from "./lending.ts";
import type { FromFront, FromMain } from "./messages.ts";

const SITE = "shop";
const NO_FIELDS: Fields = new Map();
const NOTHING_NAMED = { alwaysValidate: false, neverStale: false, hasSharedLifetime: false };

function responseOf(key: string, more: Partial<StoredResponse> = {}): StoredResponse {
  return {
    ...{ site: SITE, webOrigin: "http://shop", key, varyNames: [], variant: "", status: 200 },
    fields: new Map([["cache-tag", ["all"]]]),
    freshness: {
      ...{ receivedAtMs: 0, initialAgeSeconds: 0, lifetimeSeconds: 60, ...NOTHING_NAMED },
      ...{ staleWhileRevalidateSeconds: 0, staleIfErrorSeconds: 0 },
    },
    requestedAtMs: 0,
    body: Buffer.from(key),
    ...more,
  };
}

function requestOf(target: string, fields: Fields = NO_FIELDS): LaneRequest {
  const conditions = { isHead: false, ifNoneMatch: undefined, ifModifiedSince: undefined };
  return { remoteAddress: "192.0.2.1", webOrigin: "http://shop", host: "shop", target, fields, ...conditions };
}

/** A store with one borrower, whose channel is a queue in each direction that the test empties. */
async function startLending() {
  const clock = new VirtualClock(0);
  const events = { lost: () => {}, notStored: () => {}, evicted: () => {}, used: () => {} };
  const sizes = { diskBytesMax: 0, memoryBytesMax: 1e7 };
  const store = await openResponseStore({ ...sizes, clock, random: seededRandom(1), events });
  const hits = new StoredHits({ store, site: SITE, isOpen: () => true, admit: () => true });
  const lending = new Lending({ store, clock, find: (request, nowMs) => hits.find(request, nowMs) });
  const toFront: FromMain[] = [];
  const toMain: FromFront[] = [];
  const confirmed = new Map<number, () => void>();
  const borrower: Borrower = {
    send: (message) => void toFront.push(message),
    order: (order: Order) =>
      new Promise((resolve) => {
        const id = confirmed.size + 1;
        confirmed.set(id, resolve);
        toFront.push({ ...order, id });
      }),
  };
  lending.join(borrower);
  const copied = new CopiedHits((message) => void toMain.push(message));
  const deliverToMain = () => {
    for (const message of toMain.splice(0)) {
      if (message.kind === "want") lending.lend(borrower, message);
      if (message.kind === "done") confirmed.get(message.id)?.();
    }
  };
  const deliverToFront = () => {
    for (const message of toFront.splice(0)) {
      if (message.kind === "copy") copied.take(message.asked, message.stored);
      if (message.kind === "drop") copied.drop(message.cacheKey);
      if (message.kind === "order") copied.apply(message.order);
      if (message.kind === "forget") copied.forget(message.site);
      if ("id" in message) toMain.push({ kind: "done", id: message.id });
    }
  };
  const find = (target: string, fields?: Fields) => {
    const found = copied.find(requestOf(target, fields), clock.nowMs());
    return found && Buffer.from(found.body).toString();
  };
  const put = async (response: StoredResponse) => {
    const { body, ...head } = response;
    const storing = store.begin(head, () => true);
    if (body instanceof Uint8Array) storing.write(body);
    await storing.finish();
  };
  return { clock, store, lending, borrower, toFront, toMain, deliverToMain, deliverToFront, find, put };
}

type World = Awaited<ReturnType<typeof startLending>>;

function copy({ find, deliverToMain, deliverToFront }: World, target: string, fields?: Fields): void {
  find(target, fields);
  find(target, fields);
  deliverToMain();
  deliverToFront();
}

t.test("a copy is asked for at the second miss, and answers from then on", async (t) => {
  const world = await startLending();
  await world.put(responseOf("/a"));
  t.equal(world.find("/a"), undefined);
  t.same(world.toMain, [], "once is not again");
  copy(world, "/a");
  t.equal(world.find("/a"), "/a");
  t.equal(world.find("/b"), undefined);
});

t.test("what cannot be copied is asked for ever more seldom", async (t) => {
  const world = await startLending();
  let wishes = 0;
  for (let miss = 0; miss < 64; miss += 1) {
    world.find("/a");
    wishes += world.toMain.length;
    world.deliverToMain();
    world.deliverToFront();
  }
  t.equal(wishes, 6, "2, 4, 8, 16, 32 and 64");
});

const PURGES = [
  { kind: "all" },
  { kind: "paths", paths: ["/a"] },
  { kind: "tags", tags: ["all"] },
  { kind: "prefix", prefix: "/" },
] as const;

for (const match of PURGES) {
  for (const soft of [false, true]) {
    t.test(`a purge by ${match.kind}, ${soft ? "soft" : "hard"}, is over once no copy is left`, async (t) => {
      const world = await startLending();
      await world.put(responseOf("/a"));
      copy(world, "/a");
      let isOver = false;
      const over = world.store.purge({ site: SITE, match, soft, atMs: 1 }).then(() => {
        isOver = true;
      });
      t.equal(world.find("/a"), "/a", "it has not heard of it");
      await new Promise((resolve) => setImmediate(resolve));
      t.notOk(isOver);
      world.deliverToFront();
      t.equal(world.find("/a"), undefined);
      world.deliverToMain();
      await over;
    });
  }
}

t.test("a copy that is on its way when a purge comes does not outlive it", async (t) => {
  const world = await startLending();
  await world.put(responseOf("/a"));
  world.find("/a");
  world.find("/a");
  world.deliverToMain();
  void world.store.purge({ site: SITE, match: { kind: "all" }, soft: false, atMs: 1 });
  t.same(
    world.toFront.map(({ kind }) => kind),
    ["copy", "order"],
  );
  world.deliverToFront();
  t.equal(world.find("/a"), undefined);
});

t.test("a wish that is on its way when a purge comes gets nothing old", async (t) => {
  const world = await startLending();
  await world.put(responseOf("/a"));
  world.find("/a");
  world.find("/a");
  void world.store.purge({ site: SITE, match: { kind: "all" }, soft: false, atMs: 1 });
  world.deliverToMain();
  world.deliverToFront();
  t.equal(world.find("/a"), undefined);
});

t.test("what is replaced, updated or removed is taken back; what was not lent is not", async (t) => {
  const changes: readonly ((world: World) => unknown)[] = [
    (world) => world.put(responseOf("/a", { body: Buffer.from("newer"), requestedAtMs: 1 })),
    (world) => world.store.update(responseOf("/a", { requestedAtMs: 1 })),
    (world) => world.store.remove(cacheKeyOf(responseOf("/a"))),
    (world) => void world.lending.forget(SITE),
    (world) => void world.lending.forget(undefined),
  ];
  for (const [index, change] of changes.entries()) {
    const world = await startLending();
    await world.put(responseOf("/a"));
    await world.put(responseOf("/b"));
    copy(world, "/a");
    t.equal(world.find("/a"), "/a", `change ${index}`);
    await change(world);
    t.ok(world.store.settling, `change ${index} is not everywhere`);
    world.deliverToFront();
    t.equal(world.find("/a"), undefined, `change ${index}`);
    world.deliverToMain();
    await world.store.settling;
    world.store.remove(cacheKeyOf(responseOf("/b")));
    t.same(world.toFront, [], `change ${index}: /b was not lent`);
  }
});

t.test("a process that has left holds nothing up", async (t) => {
  const world = await startLending();
  await world.put(responseOf("/a"));
  copy(world, "/a");
  world.lending.leave(world.borrower);
  await world.store.purge({ site: SITE, match: { kind: "all" }, soft: false, atMs: 1 });
  t.same(world.toFront, []);
});

t.test("variants are told apart by every field that any variant of the target names", async (t) => {
  const world = await startLending();
  await world.put(responseOf("/a", { body: Buffer.from("any") }));
  const german = { varyNames: ["accept-language"], variant: "accept-language=de", body: Buffer.from("german") };
  await world.put(responseOf("/a", german));
  const english: Fields = new Map([["accept-language", ["en"]]]);
  copy(world, "/a", english);
  t.equal(world.find("/a", english), "any");
  const inGerman: Fields = new Map([["accept-language", ["de"]]]);
  t.equal(world.find("/a", inGerman), undefined, "the copy is of what was answered to another language");
  copy(world, "/a", inGerman);
  t.equal(world.find("/a", inGerman), "german");
  t.equal(world.find("/a", english), "any");
});

t.test("a copy is as old as what it was made of", async (t) => {
  const world = await startLending();
  await world.put(responseOf("/a"));
  copy(world, "/a");
  await world.clock.advance(59_000);
  t.equal(world.find("/a"), "/a");
  await world.clock.advance(2_000);
  t.equal(world.find("/a"), undefined);
});

t.test("the uses of copies count where they were made", async (t) => {
  const world = await startLending();
  await world.put(responseOf("/a"));
  const touched: string[] = [];
  const copies = new Copies();
  copies.put(responseOf("/a"));
  copies.put(responseOf("/b"));
  for (let turn = 0; turn < 3; turn += 1) copies.findInMemory(cacheKeyOf(responseOf("/a")), NO_FIELDS);
  touched.push(...copies.takeUsed());
  t.same(touched, [cacheKeyOf(responseOf("/a"))]);
  world.lending.used([...touched, "unknown"]);
  t.same(copies.takeUsed(), []);
});

t.test("copies are limited, and what was used stays longest", async (t) => {
  const copies = new Copies();
  const body = Buffer.alloc(1_000_000);
  for (let number = 0; number < 200; number += 1) {
    copies.put(responseOf(`/${number}`, { body }));
    copies.findInMemory(cacheKeyOf(responseOf("/0")), NO_FIELDS);
    t.ok(copies.bytes <= COPIES_BYTES_MAX, `${number}: ${copies.bytes}`);
  }
  t.ok(copies.findInMemory(cacheKeyOf(responseOf("/0")), NO_FIELDS), "used again and again");
  t.notOk(copies.findInMemory(cacheKeyOf(responseOf("/1")), NO_FIELDS));
  copies.forget(SITE);
  t.same([copies.bytes, copies.size], [0, 0]);
});

t.test("what is lent is limited: the longest lent is taken back", async (t) => {
  const clock = new VirtualClock(0);
  const stored = (target: string) => responseOf(target);
  const store = { lendTo: () => {}, touch: () => {}, varyNamesOf: () => [] };
  const find = ({ target }: LaneRequest) => {
    const one = stored(target);
    return { stored: one, body: Buffer.from(target), kind: "whole" as const, ageSeconds: 0, ttlSeconds: 1 };
  };
  const lending = new Lending({ store, clock, find });
  const dropped: Order[] = [];
  const borrower = { send: () => {}, order: async (order: Order) => void dropped.push(order) };
  lending.join(borrower);
  for (let number = 0; number <= LENT_MAX; number += 1) {
    const asked = { webOrigin: "http://shop", target: `/${number}` };
    lending.lend(borrower, { kind: "want", asked, host: "shop", fields: NO_FIELDS });
  }
  t.same(dropped, [{ kind: "drop", cacheKey: cacheKeyOf(stored("/0")) }]);
});
