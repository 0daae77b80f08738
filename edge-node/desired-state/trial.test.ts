/** Three crashes within a minute of a change bring back what was proven, and keep away what was new. */
import t from "tap";
import type { Database } from "#platform/sqlite/database.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { SignedSets } from "#test/desired-state/signed-sets.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { POOL_SET_MIGRATIONS, PoolSet } from "./pool-set.ts";
import { Proof } from "./proof.ts";
import { Trial } from "./trial.ts";

const open = () => openDatabase(":memory:", { migrations: POOL_SET_MIGRATIONS, durability: "full" });

/** Starts of one edge's process, each of which ends as the test says; what is not told to end crashes with an error. */
class Starts {
  readonly origin = new SignedSets();
  readonly clock = new VirtualClock();
  readonly #database: Database = open();
  readonly proven: number[] = [];
  #proof: Proof | undefined;
  #trial: Trial | undefined;
  #memoryKills = 7;
  #wasFatal = false;

  start() {
    this.#proof?.[Symbol.dispose]();
    this.#trial?.crashed();
    const wasFatal = this.#wasFatal;
    this.#wasFatal = false;
    const trial = new Trial(this.#database, { memoryKills: () => this.#memoryKills, takeFatalReport: () => wasFatal });
    this.#trial = trial;
    const fail = (error: unknown) => {
      throw error;
    };
    const outcome = trial.begin(fail);
    const set = new PoolSet(this.#database, { pool: "near", keys: () => this.origin.keys }, trial);
    if (outcome.kind === "went-back") trial.settle();
    const releases = { unproven: () => new Map<string, number>(), prove: () => undefined };
    const { clock } = this;
    const onProven = (revision: number) => void this.proven.push(revision);
    this.#proof = new Proof({ clock, trial, set, releases, onProven, onFailed: fail });
    return { set, trial, outcome, names: () => [...set.resources.keys()] };
  }

  async serve(seconds: number): Promise<void> {
    await this.clock.advance(seconds * 1000);
  }

  endInOrder(): void {
    this.#proof?.close();
  }

  /** Without a word: `kill -9`, a power cut; or with what the kernel, or Node, has written about it. */
  endBy(what: "kill" | "memory killer" | "full heap"): void {
    if (what === "memory killer") this.#memoryKills += 1;
    if (what === "full heap") this.#wasFatal = true;
    this.#trial = undefined;
  }

  /** A set that has served for long enough, and another that was taken after it and crashed the process. */
  async crashWith(change: (origin: SignedSets) => void, isSnapshot = false) {
    const first = this.start();
    first.set.apply(this.origin.put("Site/s0").snapshot());
    await this.serve(70);
    change(this.origin);
    first.set.apply(isSnapshot ? this.origin.snapshot() : this.origin.batch());
    return [this.start(), this.start()].map(({ outcome }) => outcome);
  }
}

t.test(
  "the third crash brings back the proven set, by batch or snapshot, and the revision is told and kept",
  async (t) => {
    for (const isSnapshot of [false, true]) {
      const starts = new Starts();
      const outcomes = await starts.crashWith((origin) => origin.put("Site/bad"), isSnapshot);
      t.same(outcomes, [
        { kind: "crashed", crashes: 1 },
        { kind: "crashed", crashes: 2 },
      ]);
      const { revision } = starts.origin;
      for (const again of ["at once", "after a further start", "after a crash of its own"]) {
        const { set, trial, outcome, names } = starts.start();
        t.same(outcome, again === "at once" ? { kind: "went-back", to: "set" } : { kind: "none" }, again);
        t.same(names(), ["Site/s0"], again);
        t.match(set.watermark, { epoch: 1, revision: 1 }, again);
        t.equal(set.damage, undefined, again);
        t.match(trial.quarantine, { epoch: 1, revision, suspects: [{ subject: "Site/bad" }] }, again);
        t.throws(() => set.apply(starts.origin.snapshot()), { code: "revision-quarantined" }, again);
      }
    }
  },
);

t.test("a newer revision is taken once it changes what was new in the one that crashed", async (t) => {
  const fixes: Record<string, (origin: SignedSets) => void> = {
    "written again": (origin) => origin.put("Site/bad"),
    deleted: (origin) => origin.delete("Site/bad"),
  };
  for (const [what, fix] of Object.entries(fixes)) {
    const starts = new Starts();
    await starts.crashWith((origin) => origin.put("Site/bad"));
    const { set, trial } = starts.start();
    const { origin } = starts;
    t.throws(
      () => set.apply(origin.put("Site/other").snapshot()),
      { code: "revision-quarantined" },
      `${what}: not yet`,
    );
    fix(origin);
    t.equal(set.apply(origin.snapshot()), true, what);
    t.equal(trial.quarantine, undefined, what);
    await starts.serve(70);
    const after = starts.start();
    t.same(after.outcome, { kind: "none" }, what);
    t.match(after.trial, { proven: { revision: origin.revision }, quarantine: undefined }, what);
  }
});

t.test("of several changes those are suspected that were in every set that crashed", async (t) => {
  const starts = new Starts();
  await starts.crashWith((origin) => origin.put("Site/bad", "Site/good"));
  const second = starts.start();
  const subjects = ({ trial }: typeof second) => trial.quarantine?.suspects.map(({ subject }) => subject);
  t.same(subjects(second), ["Site/bad", "Site/good"]);
  second.set.apply(starts.origin.put("Site/good").snapshot());
  for (const _ of [1, 2]) starts.start();
  const third = starts.start();
  t.match(third.outcome, { kind: "went-back" });
  t.same(third.names(), ["Site/s0"]);
  t.same(subjects(third), ["Site/bad"]);
  t.throws(() => third.set.apply(starts.origin.put("Site/good").snapshot()), { code: "revision-quarantined" });
  t.equal(third.set.apply(starts.origin.delete("Site/bad").snapshot()), true);
});

t.test("a release is suspected by its site: the next one of it is taken", async (t) => {
  const starts = new Starts();
  await starts.crashWith((origin) => origin.put("Release/s0.1"));
  const { set, trial } = starts.start();
  t.match(trial.quarantine?.suspects, [{ subject: "Release/s0" }]);
  t.equal(set.apply(starts.origin.put("Release/s0.2").snapshot()), true);
});

t.test("starts that end in order, and crashes of what is proven, are not counted", async (t) => {
  const starts = new Starts();
  const { set } = starts.start();
  set.apply(starts.origin.put("Site/s0").snapshot());
  for (let start = 0; start < 5; start += 1) {
    starts.endInOrder();
    t.same(starts.start().outcome, { kind: "none" }, `start ${start}`);
  }
  await starts.serve(70);
  for (let start = 0; start < 5; start += 1) t.same(starts.start().outcome, { kind: "none" }, `proven, start ${start}`);
});

t.test("a process that was killed is no crash; one that ran out of memory is", async (t) => {
  const outcomes = (starts: Starts, end: Parameters<Starts["endBy"]>[0]) => {
    const { set } = starts.start();
    set.apply(starts.origin.put("Site/s0").snapshot());
    return Array.from({ length: 4 }, () => {
      starts.endBy(end);
      return starts.start().outcome;
    });
  };
  t.same(
    outcomes(new Starts(), "kill"),
    Array.from({ length: 4 }, () => ({ kind: "none" })),
  );
  for (const end of ["memory killer", "full heap"] as const) {
    t.same(
      outcomes(new Starts(), end),
      [
        { kind: "crashed", crashes: 1 },
        { kind: "crashed", crashes: 2 },
        { kind: "went-back", to: "set" },
        { kind: "none" },
      ],
      end,
    );
  }
});

t.test(
  "a set is proven after a minute, also while others come, and a crash later than that begins the count anew",
  async (t) => {
    const starts = new Starts();
    const { set } = starts.start();
    set.apply(starts.origin.put("Site/s0").snapshot());
    await starts.serve(59);
    t.same(starts.proven, []);
    for (let change = 1; change <= 20; change += 1) {
      set.apply(starts.origin.put(`Site/s${change}`).batch());
      await starts.serve(10);
    }
    t.ok(starts.proven.length >= 2, `${starts.proven}`);
    const behind = starts.origin.revision - (starts.proven.at(-1) ?? 0);
    t.ok(behind <= 13, `the proven set is two minutes old at most: ${behind} changes of 10 s`);
    starts.start();
    await starts.serve(70);
    starts.start();
    t.same(starts.start().outcome, { kind: "none" }, "proven by the start before");
  },
);

t.test("where nothing was proven yet, the set is given up and the next revision that differs is taken", async (t) => {
  const starts = new Starts();
  const { set } = starts.start();
  set.apply(starts.origin.put("Site/bad").snapshot());
  for (const _ of [1, 2]) starts.start();
  const fresh = starts.start();
  t.match(fresh.outcome, { kind: "went-back", to: "set" });
  t.equal(fresh.set.watermark, undefined);
  t.equal(fresh.set.damage, undefined);
  t.throws(() => fresh.set.apply(starts.origin.snapshot()), { code: "revision-quarantined" });
  t.equal(fresh.set.apply(starts.origin.put("Site/bad").snapshot()), true);
});

t.test("the proven set outlives a snapshot that took its place, and goes when that is proven", async (t) => {
  const database = open();
  const origin = new SignedSets();
  const clock = new VirtualClock();
  const trial = new Trial(database);
  trial.begin(() => undefined);
  const set = new PoolSet(database, { pool: "near", keys: () => origin.keys }, trial);
  const releases = { unproven: () => new Map<string, number>(), prove: () => undefined };
  using _ = new Proof({ clock, trial, set, releases, onProven() {}, onFailed() {} });
  const stored = () => Number(database.prepare("SELECT count(*) AS n FROM envelope").get()?.["n"]);
  set.apply(origin.put("Site/s0").snapshot());
  set.apply(origin.put("Site/s1").batch());
  await clock.advance(70_000);
  set.apply(origin.put("Site/s2").batch());
  set.apply(origin.put("Site/s3").snapshot());
  t.equal(stored(), 3, "two that are proven and the snapshot");
  set.apply(origin.put("Site/s4").snapshot());
  t.equal(stored(), 3);
  await clock.advance(140_000);
  t.equal(stored(), 1);
});
