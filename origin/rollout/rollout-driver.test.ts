/** The roll-out over a real log and distribution, with edges that take, prove and crash: nothing passes unproven. */
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { advance, checkContinues, EMPTY_SET, type SetState, withPart } from "#contracts/codec/set-state.ts";
import type { PoolBatch } from "#domain/desired-state.ts";
import type { Condition } from "#domain/fleet/node.ts";
import { ROLLOUT_NAME } from "#domain/fleet/rollout.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { loadOriginKeys } from "../keys/origin-keys.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { Distribution, type Envelope } from "../node-rpc/distribution.ts";
import { ObservedNodes } from "../observed/observed-nodes.ts";
import { restoreOrigin } from "../restore.ts";
import { RolloutDriver } from "./rollout-driver.ts";

const KEY = generateSigningKey();
const EDGES = ["near-1", "near-2", "mid-1", "far-1"] as const;
type EdgeName = (typeof EDGES)[number];
const poolOf = (edge: EdgeName) => edge.slice(0, edge.indexOf("-"));
/** A policy that names this site crashes the edges that it names beside. */
const BAD = "bad";

/** What rolls out of a set, as one text. */
function viewOf({ resources }: SetState): string {
  const keys = [...resources].filter(([, { kind }]) => kind === "ContentPolicy");
  return keys
    .map(([key, { metadata }]) => `${key}@${metadata.resourceVersion}`)
    .sort()
    .join(" ");
}

/** Serves what it was sent, or what it has proven where that crashes it. */
class Edge {
  readonly name: EdgeName;
  sent: SetState = EMPTY_SET;
  proven: SetState = EMPTY_SET;
  isQuarantined = false;
  #parts: readonly { readonly batch: PoolBatch }[] = [];

  constructor(name: EdgeName) {
    this.name = name;
  }

  push({ payload }: Envelope): void {
    const batch = decodePoolBatch(payload);
    checkContinues(this.sent, batch);
    this.#parts = withPart(this.#parts, { batch });
    if (!batch.last) return;
    this.sent = advance(
      this.sent,
      this.#parts.map((part) => part.batch),
    );
    this.#parts = [];
    if (this.suspects.length === 0) this.isQuarantined = false;
  }

  get suspects(): readonly string[] {
    return [...this.sent.resources].flatMap(([key, { kind, spec, metadata }]) => {
      const isBad = kind === "ContentPolicy" && "sites" in spec && spec.sites.includes(this.name);
      return isBad ? [`${key}@${metadata.resourceVersion}`] : [];
    });
  }

  prove(): void {
    if (this.suspects.length === 0) this.proven = this.sent;
  }

  crashThrice(): void {
    this.isQuarantined = this.suspects.length > 0;
  }

  get watermark() {
    const { epoch, revision, setDigest } = this.sent;
    return revision === 0 ? undefined : { epoch, revision, setDigest };
  }

  get status() {
    const synced: Condition = this.isQuarantined
      ? { type: "Synced", status: false, reason: "Quarantined", message: "three crashes", sinceMs: 0 }
      : { type: "Synced", status: true, reason: "Taken", message: "", sinceMs: 0 };
    const { revision: provenRevision, epoch } = this.proven;
    const unsaid = { incarnation: "", softwareVersion: "", contentUrl: "", hostname: "", sites: [], agents: [] };
    const sizes = { storeBytesUsed: 0, storeBytesMax: 0, certificateExpiresAtMs: 0 };
    return {
      ...unsaid,
      ...sizes,
      epoch: epoch || 1,
      appliedRevision: this.sent.revision,
      provenRevision,
      conditions: [synced],
    };
  }
}

const silent = {
  rolloutMoved() {},
  rolloutSeen() {},
  rolloutFailed(error: unknown) {
    throw error;
  },
};

class Fleet implements Disposable {
  readonly log = openSqliteLog(":memory:");
  readonly edges = new Map(EDGES.map((name) => [name, new Edge(name)]));
  readonly halts: string[] = [];
  /** By pool: each view that an edge of it has proven, or that all were given at once. */
  readonly #proven = new Map<string, Set<string>>();
  /** Versions that an edge was known to be in quarantine for, with its pool. */
  readonly #condemned = new Map<string, string>();
  observed = new ObservedNodes();
  distribution = new Distribution(this.log, KEY);
  driver = this.#drive();
  #links: Disposable[] = [];
  #written = 0;

  constructor() {
    for (const name of EDGES) {
      const spec = { role: "edge", pool: poolOf(name), cordoned: false, draining: false } as const;
      writeResource(this.log, { kind: "Node", metadata: { name, labels: {} }, spec }, 1);
    }
    const spec = { waves: [{ pools: ["near"] }, { pools: ["mid"] }] };
    writeResource(this.log, { kind: "RolloutPolicy", metadata: { name: ROLLOUT_NAME, labels: {} }, spec }, 1);
  }

  static async open(): Promise<Fleet> {
    const fleet = new Fleet();
    await fleet.connect();
    return fleet;
  }

  write(name: string, ...crashes: readonly string[]): void {
    this.#written += 1;
    const spec = { sites: [`s${this.#written}`, ...crashes], prefetch: "all" as const };
    writeResource(this.log, { kind: "ContentPolicy", metadata: { name, labels: {} }, spec }, 1);
  }

  drop(name: string): void {
    if (this.log.find("ContentPolicy", name) === undefined) return;
    this.log.write([{ kind: "ContentPolicy", name, render: () => undefined }]);
  }

  /** What goes to all at once, and only moves the log on. */
  churn(): void {
    this.#written += 1;
    const spec = { pool: "far", sites: [`s${this.#written}`], apps: [] };
    writeResource(this.log, { kind: "Assignment", metadata: { name: "far", labels: {} }, spec }, 1);
  }

  compact(): void {
    this.distribution.advance();
    this.log.compact(this.log.revision(), this.distribution.heldBack.positions);
  }

  /** As after a start of the origin, when only some have linked again. */
  async connect(names: readonly EdgeName[] = EDGES): Promise<void> {
    for (const link of this.#links) link[Symbol.dispose]();
    this.driver[Symbol.dispose]();
    this.observed = new ObservedNodes();
    this.distribution = new Distribution(this.log, KEY);
    this.driver = this.#drive();
    this.#links = [];
    await this.driver.look();
    for (const name of names) this.link(name);
  }

  link(name: EdgeName): void {
    if (this.observed.find(name)?.linkUp === true) return;
    const edge = this.#edge(name);
    this.observed.setLink(name, poolOf(name), true, 0);
    this.#links.push(this.distribution.subscribe(poolOf(name), edge.watermark, edge));
    this.tell(name);
  }

  tell(name: EdgeName): void {
    const edge = this.#edge(name);
    if (this.observed.find(name)?.linkUp !== true) return;
    this.observed.setStatus(name, edge.status);
    const pool = poolOf(name);
    this.#views(pool).add(viewOf(edge.proven));
  }

  async look(): Promise<void> {
    await this.driver.look();
    for (const edge of this.edges.values()) {
      if (edge.isQuarantined && this.#isKnown(edge))
        for (const version of edge.suspects) this.#condemned.set(version, poolOf(edge.name));
    }
    const [near, mid, far] = ["near", "mid", "far"].map((pool) => this.shownTo(pool));
    t.ok(mid === "" || this.#views("near").has(mid ?? ""), `the second wave has what the first has proven, got ${mid}`);
    t.ok(far === "" || this.#views("mid").has(far ?? ""), `the last wave has what the second has proven, got ${far}`);
    for (const [version, pool] of this.#condemned) {
      if (pool === "near")
        t.notOk(mid?.split(" ").includes(version), `${version} crashed the first wave: not in ${mid}`);
      t.notOk(
        far?.split(" ").includes(version) && pool !== "far",
        `${version} crashed ${pool}: not in ${far}, ${near}`,
      );
    }
  }

  shownTo(pool: string): string {
    const [edge] = [...this.edges.values()].filter(({ name }) => poolOf(name) === pool);
    return viewOf(edge?.sent ?? EMPTY_SET);
  }

  [Symbol.dispose](): void {
    this.driver[Symbol.dispose]();
    this.log[Symbol.dispose]();
  }

  #isKnown({ name }: Edge): boolean {
    const synced = this.observed.find(name)?.status?.conditions[0];
    return synced?.status === false;
  }

  #edge(name: EdgeName): Edge {
    const edge = this.edges.get(name);
    if (edge === undefined) throw new Error(name);
    return edge;
  }

  #views(pool: string): Set<string> {
    const views = this.#proven.get(pool) ?? new Set();
    this.#proven.set(pool, views);
    return views;
  }

  #drive(): RolloutDriver {
    const { log, distribution, observed } = this;
    const rolloutHalted = ({ node }: { readonly node: string }) => void this.halts.push(node);
    return new RolloutDriver({
      log,
      distribution,
      observed,
      clock: new VirtualClock(),
      events: { ...silent, rolloutHalted },
    });
  }
}

/** Every edge that can proves what it has, and says so, until nothing more moves. */
async function settle(fleet: Fleet): Promise<void> {
  for (let round = 0; round < 8; round += 1) {
    for (const [name, edge] of fleet.edges) {
      fleet.link(name);
      edge.prove();
      fleet.tell(name);
    }
    await fleet.look();
  }
}

t.test(
  "no pool has what the wave before it has not proven, or what has crashed it; in the end all have all",
  async (t) => {
    const edge = fc.constantFrom(...EDGES);
    const name = fc.constantFrom("a", "b");
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ op: fc.constant("write" as const), name }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constantFrom("drop" as const, "break" as const), name, edge }) },
      {
        weight: 6,
        arbitrary: fc.record({
          op: fc.constantFrom("prove" as const, "prove" as const, "crash" as const, "link" as const),
          edge,
        }),
      },
      {
        weight: 5,
        arbitrary: fc.record({
          op: fc.constantFrom("look" as const, "look" as const, "churn" as const, "compact" as const),
        }),
      },
      { weight: 1, arbitrary: fc.record({ op: fc.constant("restart" as const), back: fc.uniqueArray(edge) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120, size: "max" }), async (steps) => {
        using fleet = await Fleet.open();
        await fleet.look();
        for (const each of steps) {
          switch (each.op) {
            case "write":
              fleet.write(each.name);
              break;
            case "break":
              fleet.write(each.name, each.edge, BAD);
              break;
            case "prove":
              fleet.edges.get(each.edge)?.prove();
              fleet.tell(each.edge);
              break;
            case "crash":
              fleet.edges.get(each.edge)?.crashThrice();
              fleet.tell(each.edge);
              break;
            case "drop":
              fleet.drop(each.name);
              break;
            case "link":
              fleet.link(each.edge);
              break;
            case "restart":
              await fleet.connect(each.back);
              break;
            default:
              await fleet[each.op]();
          }
          await fleet.look();
        }
        for (const name of ["a", "b"]) fleet.write(name);
        await settle(fleet);
        t.equal(fleet.shownTo("far"), fleet.shownTo("near"), JSON.stringify(steps));
        t.equal(fleet.driver.report()?.phase, "idle");
      }),
      { numRuns: 60 },
    );
  },
);

t.test(
  "a row that crashes an edge of the first wave halts the roll-out, for an origin that starts again too, until it is mended",
  async (t) => {
    using fleet = await Fleet.open();
    fleet.write("a");
    await settle(fleet);
    const whole = fleet.shownTo("far");
    fleet.write("a", "near-1", BAD);
    await fleet.look();
    t.equal(fleet.driver.report()?.phase, "rolling");
    fleet.edges.get("near-1")?.crashThrice();
    await settle(fleet);
    t.match(fleet.driver.report(), {
      phase: "halted",
      because: "near-1: three crashes",
      waves: [{ heldBack: 0 }, { heldBack: 1, resources: ["ContentPolicy/a"] }, { heldBack: 1 }],
    });
    t.same(fleet.halts, ["near-1"]);
    await fleet.connect(["near-2", "mid-1", "far-1"]);
    await fleet.look();
    t.equal(fleet.driver.report()?.phase, "halted", "nobody has said otherwise");
    fleet.write("b");
    await settle(fleet);
    t.equal(fleet.driver.report()?.phase, "halted", "another change is no remedy");
    t.equal(fleet.shownTo("mid"), whole);
    t.equal(fleet.shownTo("far"), whole);
    fleet.write("a");
    await settle(fleet);
    t.equal(fleet.driver.report()?.phase, "idle");
    t.equal(fleet.shownTo("far"), fleet.shownTo("near"));
  },
);

t.test("an operator lets out what is held back; without a policy nothing is", async (t) => {
  using fleet = await Fleet.open();
  fleet.write("a");
  await fleet.look();
  t.equal(fleet.shownTo("mid"), "");
  await fleet.driver.letOut();
  await fleet.driver.look();
  for (const pool of ["mid", "far"]) t.equal(fleet.shownTo(pool), fleet.shownTo("near"), pool);
  fleet.write("b");
  await fleet.driver.look();
  t.not(fleet.shownTo("mid"), fleet.shownTo("near"));
  fleet.log.write([{ kind: "RolloutPolicy", name: ROLLOUT_NAME, render: () => undefined }]);
  await fleet.driver.look();
  for (const pool of ["mid", "far"]) t.equal(fleet.shownTo(pool), fleet.shownTo("near"), pool);
  t.equal(fleet.driver.report(), undefined);
  await t.rejects(fleet.driver.letOut(), { code: "not-found" });
});

/** The log as an origin sees it whose writes take a while: another may write before. */
class SlowLog implements ResourceLog {
  readonly #log: ResourceLog;

  constructor(log: ResourceLog) {
    this.#log = log;
  }

  get epoch() {
    return this.#log.epoch;
  }

  async write(...given: Parameters<ResourceLog["write"]>) {
    await undefined;
    return this.#log.write(...given);
  }

  revision = () => this.#log.revision();
  compactedRevision = () => this.#log.compactedRevision();
  timelines = () => this.#log.timelines();
  find = (...given: Parameters<ResourceLog["find"]>) => this.#log.find(...given);
  findAt = (...given: Parameters<ResourceLog["findAt"]>) => this.#log.findAt(...given);
  list = (...given: Parameters<ResourceLog["list"]>) => this.#log.list(...given);
  kept = (name: string) => this.#log.kept(name);
  changesAfter = (...given: Parameters<ResourceLog["changesAfter"]>) => this.#log.changesAfter(...given);
  watch = (...given: Parameters<ResourceLog["watch"]>) => this.#log.watch(...given);
  compact = (...given: Parameters<ResourceLog["compact"]>) => this.#log.compact(...given);
  [Symbol.dispose](): void {}
}

t.test("of origins that share a log one writes each step, and the others go on from it", async (t) => {
  using log = openSqliteLog(":memory:");
  const moves: unknown[] = [];
  const origins = Array.from({ length: 3 }, () => {
    const shared = new SlowLog(log);
    const driver = new RolloutDriver({
      ...{ log: shared, clock: new VirtualClock(), observed: new ObservedNodes() },
      distribution: new Distribution(shared, KEY),
      events: { ...silent, rolloutMoved: (waves) => void moves.push(waves), rolloutHalted() {} },
    });
    t.teardown(() => driver[Symbol.dispose]());
    return driver;
  });
  const lookAtOnce = () => Promise.all(origins.map((driver) => driver.look()));
  const order = (...pools: readonly string[]) => {
    const spec = { waves: pools.map((pool) => ({ pools: [pool] })) };
    writeResource(log, { kind: "RolloutPolicy", metadata: { name: ROLLOUT_NAME, labels: {} }, spec }, 1);
  };
  order("near");
  await lookAtOnce();
  t.equal(moves.length, 1, "the first row is written once");
  t.equal(log.revision(), 2);
  order("near", "mid");
  await lookAtOnce();
  t.equal(moves.length, 2);
  for (const driver of origins) t.match(driver.report(), { phase: "idle", waves: [{}, {}, {}] });
  const letOut = await Promise.all(origins.map((driver) => driver.letOut()));
  t.same(letOut, [5, 6, 7], "each operator's word is written, one after the other");
  log.write([{ kind: "RolloutPolicy", name: ROLLOUT_NAME, render: () => undefined }]);
  await lookAtOnce();
  t.equal(log.find("Rollout", ROLLOUT_NAME), undefined);
  t.equal(log.revision(), 9, "and its end once");
});

t.test("what is held back is so after a restore too", async (t) => {
  const dataDir = testFolder(t);
  const tools = { clock: new VirtualClock(), random: systemRandom };
  await loadOriginKeys(dataDir, tools);
  const path = join(dataDir, "log.sqlite");
  const write = async (log: ResourceLog, sites: readonly string[]) => {
    const spec = { sites, prefetch: "all" as const };
    const row = await writeResource(log, { kind: "ContentPolicy", metadata: { name: "a", labels: {} }, spec }, 1);
    return row.revision;
  };
  const before = await (async () => {
    using log = openSqliteLog(path);
    using driver = new RolloutDriver({
      ...{ log, clock: tools.clock, observed: new ObservedNodes(), distribution: new Distribution(log, KEY) },
      events: { ...silent, rolloutHalted() {} },
    });
    const spec = { waves: [{ pools: ["near"] }] };
    const node = { role: "edge", pool: "near", cordoned: false, draining: false } as const;
    await writeResource(log, { kind: "Node", metadata: { name: "near-1", labels: {} }, spec: node }, 1);
    const revision = await write(log, ["one"]);
    await writeResource(log, { kind: "RolloutPolicy", metadata: { name: ROLLOUT_NAME, labels: {} }, spec }, 1);
    await driver.look();
    await write(log, ["two"]);
    return revision;
  })();
  await restoreOrigin(dataDir, tools);
  using log = openSqliteLog(path);
  const { heldBack, rows } = new Distribution(log, KEY);
  t.equal(heldBack.viewOf("far", rows).get("ContentPolicy/a")?.revision, before);
  t.equal(heldBack.viewOf("near", rows).get("ContentPolicy/a")?.revision, before + 3);
});
