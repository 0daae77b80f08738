import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import t, { type Test } from "tap";
import { MANIFEST_CONTEXT, type ReleaseSpec } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import { type Clock, systemClock } from "#platform/clock.ts";
import { generateSigningKey, type SigningKey, signBytes } from "#platform/identity/signatures.ts";
import { seededRandom } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import type { DesiredSite } from "../desired-state/desired-view.ts";
import { SiblingBlobs } from "../pool/sibling-blobs.ts";
import { BlobFetcher } from "../prefetch/blob-fetcher.ts";
import { ACTIVE_RELEASES_MIGRATIONS, ActiveReleases } from "./active-releases.ts";
import { BlobFolder } from "./blob-folder.ts";
import { openObject } from "./open-object.ts";
import { ReleaseKeeper } from "./release-keeper.ts";

const key = generateSigningKey();
const stranger = generateSigningKey();
const keys = new Map([[key.keyId, key.publicKey]]);
const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");

interface Made {
  readonly signer?: SigningKey;
  readonly context?: string;
  /** What the manifest says of itself. */
  readonly inside?: object;
  readonly activateAtMs?: number;
}

/** A pool of one. */
const alone = new SiblingBlobs({
  view: () => ({ self: "near-1", isMember: true, siblings: [], parents: [], childPools: new Set() }),
  call: () => Promise.reject(new Error("there is nobody to call")),
  ...{ clock: systemClock, random: seededRandom(1), events: { askedForBlob() {} } },
});

class Cloud {
  readonly blobs = new Map<string, string>();
  /** Digests that are cut short after so many bytes, once. */
  readonly cut = new Map<string, number>();
  readonly opened: { digest: string; offset: number }[] = [];

  release(
    generation: number,
    text: string,
    { signer = key, context = MANIFEST_CONTEXT, inside = {}, activateAtMs = 0 }: Made = {},
  ): ReleaseSpec {
    this.blobs.set(digestOf(text), text);
    const files = { "/index.html": { digest: digestOf(text), sizeBytes: text.length, mediaType: "text/html" } };
    const manifest = JSON.stringify({ formatVersion: 1, site: "shop", generation, createdAtMs: 1, files, ...inside });
    this.blobs.set(digestOf(manifest), manifest);
    const signature = Buffer.from(signBytes(context, Buffer.from(manifest), signer)).toString("base64url");
    const reference = { digest: digestOf(manifest), sizeBytes: manifest.length, signature, keyId: signer.keyId };
    return { site: "shop", generation, manifest: reference, activateAtMs };
  }

  async open(digest: string, offset: number) {
    this.opened.push({ digest, offset });
    const text = this.blobs.get(digest);
    if (text === undefined) throw new Failure("not-found", `no ${digest}`, { retryable: true });
    const cutAt = this.cut.get(digest);
    this.cut.delete(digest);
    const bytes = async function* () {
      yield Buffer.from(text.slice(offset, cutAt));
      if (cutAt !== undefined) throw new Failure("unavailable", "broke off", { retryable: true });
    };
    return { offset, bytes: bytes() };
  }
}

async function openKeeper(
  t: Test,
  cloud: Cloud,
  folder: string,
  nowMs: () => number = systemClock.nowMs,
  { clock = systemClock, bytesPerSecond }: { clock?: Clock; bytesPerSecond?: number } = {},
) {
  const database = openDatabase(`${folder}/releases.sqlite`, {
    migrations: ACTIVE_RELEASES_MIGRATIONS,
    durability: "full",
  });
  const active = new ActiveReleases(database, () => keys);
  const blobs = await BlobFolder.open(`${folder}/objects`, 10_000_000);
  const refused: string[] = [];
  const collected: number[] = [];
  const delayed: string[] = [];
  const changes = { count: 0 };
  const events = {
    activated() {},
    releaseRefused: (release: string, { code }: Failure) => void refused.push(`${release} ${code}`),
    releaseDelayed: (release: string, { code }: Failure) => void delayed.push(`${release} ${code}`),
    blobsCollected: (bytes: number) => void collected.push(bytes),
    storageFailed: (error: unknown) => t.fail(String(error)),
  };
  const origin = (digest: string, offset: number) => cloud.open(digest, offset);
  const fetcher = new BlobFetcher({
    ...{ folder: blobs, origin, siblings: alone, clock: systemClock, signal: systemClock.deadline(60_000) },
    events: { filled() {}, bodyRefused() {} },
    fetched() {},
    fetchFailed() {},
  });
  const keeper = new ReleaseKeeper({
    active,
    folder: blobs,
    fetcher,
    publishKeys: () => keys,
    clock,
    nowMs,
    random: seededRandom(1),
    fillBytesPerSecond: () => bytesPerSecond,
    events,
    onChange() {
      changes.count += 1;
    },
  });
  const desire = (
    release: ReleaseSpec | undefined,
    isAssigned = true,
    fillWindows: DesiredSite["fillWindows"] = [],
  ) => {
    const publish = { keepReleases: 5, indexDocument: "index.html" };
    const site: DesiredSite = {
      name: "shop",
      spec: { hostnames: ["shop.example"], publish },
      release,
      isAssigned,
      fillWindows,
      offline: {},
    };
    keeper.update(new Map([["shop", site]]), true);
  };
  const close = () => {
    keeper[Symbol.dispose]();
    database.close();
  };
  t.teardown(close);
  const served = () => keeper.get("shop")?.generation ?? 0;
  return { keeper, active, blobs, fetcher, refused, delayed, collected, changes, desire, served, close };
}

const WRONG: Readonly<Record<string, (cloud: Cloud) => ReleaseSpec>> = {
  "shop.2 signature-invalid": (cloud) => cloud.release(2, "two", { signer: stranger }),
  "shop.3 signature-invalid": (cloud) => cloud.release(3, "two", { context: "perigee/pool-batch/1" }),
  "shop.4 manifest-invalid": (cloud) => cloud.release(4, "two", { inside: { site: "other" } }),
  "shop.5 generation-regressed": (cloud) => cloud.release(5, "two", { inside: { generation: 2 } }),
  "shop.6 manifest-invalid": (cloud) =>
    cloud.release(6, "two", { inside: { files: { "/x": { digest: "../../etc" } } } }),
  "shop.7 digest-mismatch": (cloud) => {
    const release = cloud.release(7, "two");
    cloud.blobs.set(release.manifest.digest, "x".repeat(release.manifest.sizeBytes));
    return release;
  },
};

t.test("a release that is not what an operator signed is refused, named, and changes nothing", async (t) => {
  const cloud = new Cloud();
  const { desire, served, refused } = await openKeeper(t, cloud, testFolder(t));
  desire(cloud.release(1, "one"));
  await until(() => served() === 1, "the first release is served");
  for (const [refusal, make] of Object.entries(WRONG)) {
    desire(make(cloud));
    await until(() => refused.includes(refusal), refusal);
    t.equal(served(), 1, refusal);
  }
  desire(cloud.release(8, "eight"));
  await until(() => served() === 8, "a good one is served after all of them");
  desire(cloud.release(7, "seven"));
  await until(() => refused.includes("shop.7 generation-regressed"), "an older one is refused");
  t.equal(served(), 8);
});

t.test("a site made again while this node was away serves nothing of the one before", async (t) => {
  const cloud = new Cloud();
  const { desire, served, keeper } = await openKeeper(t, cloud, testFolder(t));
  desire(cloud.release(1, "one"));
  await until(() => served() === 1, "served");
  desire(undefined);
  t.equal(served(), 0);
  t.match(keeper.statuses(), [{ site: "shop", activeGeneration: 0, desiredGeneration: 0 }]);
  desire(cloud.release(2, "two"));
  await until(() => served() === 2, "its first release is served");
});

t.test("a transfer that broke off goes on where it was, and what no release needs is collected", async (t) => {
  const cloud = new Cloud();
  const { desire, served, collected, blobs } = await openKeeper(t, cloud, testFolder(t));
  const text = "long ".repeat(1000);
  cloud.cut.set(digestOf(text), 1234);
  desire(cloud.release(1, text));
  await until(() => served() === 1, "served");
  t.same(
    cloud.opened.filter(({ digest }) => digest === digestOf(text)).map(({ offset }) => offset),
    [0, 1234],
  );
  desire(cloud.release(2, "two"));
  await until(() => served() === 2 && collected.some((bytes) => bytes > text.length - 1), "collected");
  t.notOk(blobs.has(digestOf(text)));
  t.ok(blobs.has(digestOf("two")));
});

t.test("what is not assigned is served once its manifest is verified, its objects not yet here", async (t) => {
  const cloud = new Cloud();
  const { desire, served, keeper, blobs, fetcher } = await openKeeper(t, cloud, testFolder(t));
  t.notOk(keeper.isHeld("shop"));
  desire(cloud.release(1, "one"), false);
  await until(() => served() === 1, "served");
  t.notOk(keeper.isHeld("shop"), "alone it could not answer for it");
  t.notOk(blobs.has(digestOf("one")));
  t.match(keeper.statuses(), [
    { site: "shop", activeGeneration: 1, desiredGeneration: 1, objectsMissing: 1, releaseBytes: 3 },
  ]);
  t.same(keeper.incomplete(), []);
  await fetcher.ensure({ digest: digestOf("one"), sizeBytes: 3 });
  t.ok(keeper.isHeld("shop"), "all of it was asked for");
  desire(cloud.release(1, "one"));
  t.ok(keeper.isHeld("shop"));
});

t.test(
  "a file that a session waits for is fetched at once, assigned or not; after a failure not for a second",
  async (t) => {
    const cloud = new Cloud();
    const clock = new VirtualClock();
    const kept = await openKeeper(t, cloud, testFolder(t), systemClock.nowMs, { clock });
    const { desire, served, keeper, blobs, fetcher, delayed, changes } = kept;
    desire(cloud.release(1, "one"), false);
    await until(() => served() === 1, "served");
    const scene = { site: "shop", path: "/index.html" };
    const isAsked = () => fetcher.arriving(digestOf("one")) !== undefined;
    cloud.blobs.delete(digestOf("one"));
    keeper.prefetchFile(scene);
    t.ok(isAsked());
    await until(() => delayed.length > 0, "it is not there");
    t.same(delayed, ["shop.1 not-found"]);
    cloud.blobs.set(digestOf("one"), "one");
    keeper.prefetchFile(scene);
    t.notOk(isAsked(), "too soon");
    await clock.advance(1_000);
    keeper.prefetchFile({ site: "shop", path: "/none" });
    keeper.prefetchFile({ site: "none", path: "/index.html" });
    t.notOk(isAsked(), "it is of no release");
    keeper.prefetchFile(scene);
    t.ok(isAsked());
    const before = changes.count;
    await until(() => changes.count > before, "what the node holds is told");
    t.ok(blobs.has(digestOf("one")));
    const told = changes.count;
    keeper.prefetchFile(scene);
    await fetcher.ensureAll([]);
    t.equal(changes.count, told, "what is here changes nothing");
  },
);

const NIGHT = [[{ from: "01:00", to: "05:00", timeZone: "Europe/Lisbon" }]];

t.test("outside its windows a release is served at its time, and only what is asked for is fetched", async (t) => {
  const cloud = new Cloud();
  let originMs = Date.UTC(2026, 10, 27, 20);
  const { desire, served, keeper, blobs, fetcher } = await openKeeper(t, cloud, testFolder(t), () => originMs);
  desire(cloud.release(1, "one"), true, NIGHT);
  await until(() => served() === 1, "served");
  t.notOk(blobs.has(digestOf("one")), "nobody has asked for it");
  t.notOk(keeper.isHeld("shop"), "alone it could not answer for it");
  t.same([keeper.incomplete(), keeper.waitingFor], [["shop"], "a prefetch window of shop"]);
  await fetcher.ensure({ digest: digestOf("one"), sizeBytes: 3 });
  t.ok(blobs.has(digestOf("one")), "a request waits for no window");
  t.ok(keeper.isHeld("shop"));
  t.same([keeper.incomplete(), keeper.waitingFor], [[], undefined]);
  desire(cloud.release(2, "two"), true, NIGHT);
  await until(() => served() === 2, "at its time");
  t.notOk(blobs.has(digestOf("two")));
  originMs = Date.UTC(2026, 10, 28, 1);
  await until(() => blobs.has(digestOf("two")), "the window has opened");
  t.ok(keeper.isHeld("shop"));
});

t.test("a release whose time is after a window is whole at its time", async (t) => {
  const cloud = new Cloud();
  let originMs = Date.UTC(2026, 10, 27, 20);
  const { desire, served, blobs } = await openKeeper(t, cloud, testFolder(t), () => originMs);
  desire(cloud.release(1, "one", { activateAtMs: Date.UTC(2026, 10, 28, 8) }), true, NIGHT);
  originMs = Date.UTC(2026, 10, 28, 4, 59);
  await until(() => blobs.has(digestOf("one")), "in the night before");
  t.equal(served(), 0);
  originMs = Date.UTC(2026, 10, 28, 8);
  await until(() => served() === 1, "served");
});

t.test("a session's file is fetched at once outside the windows too", async (t) => {
  const cloud = new Cloud();
  const kept = await openKeeper(t, cloud, testFolder(t), () => Date.UTC(2026, 10, 27, 20));
  const { desire, served, keeper, blobs } = kept;
  desire(cloud.release(1, "one"), true, NIGHT);
  await until(() => served() === 1, "served");
  t.notOk(blobs.has(digestOf("one")));
  keeper.prefetchFile({ site: "shop", path: "/index.html" });
  await until(() => blobs.has(digestOf("one")), "fetched");
});

t.test("when a window closes no further object is begun, and what has begun is finished", async (t) => {
  const cloud = new Cloud();
  const { blobs, fetcher } = await openKeeper(t, cloud, testFolder(t));
  const texts = Array.from({ length: 50 }, (_, at) => `object ${at}`);
  for (const text of texts) cloud.blobs.set(digestOf(text), text);
  const needs = texts.map((text) => ({ digest: digestOf(text), sizeBytes: text.length }));
  const count = () => needs.filter(({ digest }) => blobs.has(digest)).length;
  await fetcher.ensureAll(needs, () => cloud.opened.length < 10);
  t.ok(count() >= 10 && count() < 20, `${count()} objects`);
  t.equal(cloud.opened.length, count());
  await fetcher.ensureAll(needs);
  t.equal(count(), 50);
});

t.test("a release whose window closes while it is filled is served as it is, and filled in the next one", async (t) => {
  const cloud = new Cloud();
  const clock = new VirtualClock();
  const [openMs, closedMs] = [Date.UTC(2026, 10, 28, 4, 59), Date.UTC(2026, 10, 28, 5)];
  let openedMax = 10;
  const nowMs = () => (cloud.opened.length < openedMax ? openMs : closedMs);
  const { desire, served, blobs } = await openKeeper(t, cloud, testFolder(t), nowMs, { clock });
  const texts = Array.from({ length: 40 }, (_, at) => `object ${at}`);
  for (const text of texts) cloud.blobs.set(digestOf(text), text);
  const files = Object.fromEntries(
    texts.map((text) => [`/${text}`, { digest: digestOf(text), sizeBytes: text.length, mediaType: "text/plain" }]),
  );
  const count = () => texts.filter((text) => blobs.has(digestOf(text))).length;
  desire(cloud.release(1, "one", { inside: { files } }), true, NIGHT);
  await until(() => count() >= 9, "what has begun is finished");
  for (let turn = 0; turn < 10 && served() === 0; turn += 1) {
    await until(() => count() === cloud.opened.length - 1, "nothing is under way");
    await clock.advance(10_000);
  }
  t.equal(served(), 1);
  t.ok(count() < 20, `${count()} objects`);
  openedMax = Number.POSITIVE_INFINITY;
  await clock.advance(10_000);
  await until(() => count() === 40, "in the next window");
});

t.test("no more is begun ahead of requests than the pool's budget; what is asked for does not wait", async (t) => {
  const cloud = new Cloud();
  const clock = new VirtualClock();
  const budget = { clock, bytesPerSecond: 10 };
  const { desire, served, keeper, blobs, fetcher } = await openKeeper(t, cloud, testFolder(t), () => 1, budget);
  const texts = Array.from({ length: 10 }, (_, at) => `${at}`.repeat(200));
  const files = Object.fromEntries(
    texts.map((text, at) => {
      cloud.blobs.set(digestOf(text), text);
      return [`/${at}`, { digest: digestOf(text), sizeBytes: text.length, mediaType: "text/plain" }];
    }),
  );
  const count = () => texts.filter((text) => blobs.has(digestOf(text))).length;
  desire(cloud.release(1, "one", { inside: { files } }));
  await until(() => count() === 3, "a minute of the budget: 600 bytes");
  await clock.advance(12_000);
  t.equal(count(), 3, "120 of them are through, and the next has 200");
  t.same([keeper.incomplete(), keeper.waitingFor], [["shop"], "the pool's fillBytesPerSecond"]);
  const last = texts.at(-1) ?? "";
  await fetcher.ensure({ digest: digestOf(last), sizeBytes: last.length });
  t.equal(count(), 4);
  await clock.advance(12_000);
  for (const expected of [5, 6, 7, 8, 9]) {
    await until(() => count() >= expected, `${expected} objects`);
    t.equal(count(), expected, "one in 20 s");
    t.equal(served(), 0, "it is not whole");
    await clock.advance(22_000);
  }
  await until(() => served() === 1, "served");
  t.equal(keeper.waitingFor, undefined);
});

t.test("who verifies a release itself gets its manifest by digest, from any offset, while it is served", async (t) => {
  const cloud = new Cloud();
  const { desire, served, active, blobs, fetcher } = await openKeeper(t, cloud, testFolder(t));
  const release = cloud.release(1, "one");
  desire(release);
  await until(() => served() === 1, "served");
  const { digest, sizeBytes } = release.manifest;
  const parts = { active, folder: blobs, fetcher };
  const object = await openObject(parts, digest, 2);
  t.equal((await buffer(object.bytes)).toString(), cloud.blobs.get(digest)?.slice(2));
  t.equal(object.sizeBytes, sizeBytes);
  await t.rejects(openObject(parts, digest, sizeBytes + 1), { code: "argument-invalid" });
  await t.rejects(openObject(parts, digestOf("other"), 0), { code: "not-found" });
});

t.test("a release's time is the origin's, not that of an edge whose clock is behind", async (t) => {
  const cloud = new Cloud();
  let originMs = 1_000;
  const keeper = await openKeeper(t, cloud, testFolder(t), () => originMs);
  keeper.desire(cloud.release(1, "one", { activateAtMs: 2_000 }));
  await until(() => keeper.blobs.has(digestOf("one")), "prefetched");
  t.equal(keeper.served(), 0, "by the own clock its time has long come");
  originMs = 2_000;
  await until(() => keeper.served() === 1, "served");
});

t.test("a release waits for its time, complete; a restart without the cloud serves what was served", async (t) => {
  const folder = testFolder(t);
  const cloud = new Cloud();
  const first = await openKeeper(t, cloud, folder);
  first.desire(cloud.release(1, "one"));
  await until(() => first.served() === 1, "served");
  first.desire(cloud.release(2, "two", { activateAtMs: systemClock.nowMs() + 3_600_000 }));
  await until(() => first.blobs.has(digestOf("two")), "prefetched");
  t.equal(first.served(), 1);
  first.close();
  const again = await openKeeper(t, new Cloud(), folder);
  t.equal(again.served(), 1);
  t.ok(again.blobs.has(digestOf("one")));
  again.close();
  const key = openDatabase(`${folder}/releases.sqlite`, { migrations: ACTIVE_RELEASES_MIGRATIONS, durability: "full" });
  key.exec("UPDATE active SET manifest = CAST(replace(CAST(manifest AS TEXT), 'text/html', 'text/evil') AS BLOB)");
  key.close();
  const damaged = await openKeeper(t, cloud, folder);
  t.match(damaged.active.damaged, [{ code: "digest-mismatch" }]);
  t.equal(damaged.served(), 0);
  damaged.desire(cloud.release(1, "one"));
  await until(() => damaged.served() === 1, "fetched again");
});

t.test("a blob that rots is found when it is read, and removed", async (t) => {
  const folder = testFolder(t);
  const blobs = await BlobFolder.open(folder, 100);
  const one = async () => ({
    offset: 0,
    bytes: (async function* () {
      yield Buffer.from("right");
    })(),
  });
  await blobs.receive(digestOf("right"), 5, one);
  const again = await BlobFolder.open(folder, 100);
  writeFileSync(again.pathOf(digestOf("right")), "wrong");
  t.equal(await again.verify(digestOf("right")), false);
  t.notOk(again.has(digestOf("right")));
  t.equal(again.bytesUsed, 0);
  await t.rejects(again.receive(digestOf("right"), 500, one), { code: "disk-full" });
  await t.rejects(again.receive(digestOf("other"), 5, one), { code: "digest-mismatch" });
});
