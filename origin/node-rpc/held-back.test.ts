/** What pools of later waves have is the log at their wave's position, whoever was away, whatever was compacted. */
import fc from "fast-check";
import t from "tap";
import { decodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { advance, checkContinues, EMPTY_SET, type SetState, withPart } from "#contracts/codec/set-state.ts";
import { type PoolBatch, rollsOut } from "#domain/desired-state.ts";
import { ROLLOUT_NAME, type RolloutSpec } from "#domain/fleet/rollout.ts";
import { generateSigningKey } from "#platform/identity/signatures.ts";
import type { LocalLog } from "../log/resource-log.ts";
import { writeResource } from "../log/resources.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { Distribution, type Envelope } from "./distribution.ts";

const POOLS = ["near", "mid", "far"] as const;
type Pool = (typeof POOLS)[number];
const KEY = generateSigningKey();

/** A node's copy of its pool's set: it takes what continues it, as nodes do. */
class Copy {
  readonly pool: Pool;
  state: SetState = EMPTY_SET;
  /** In place of what it held. */
  snapshots = 0;
  #parts: readonly { readonly batch: PoolBatch }[] = [];

  constructor(pool: Pool) {
    this.pool = pool;
  }

  push({ payload }: Envelope): void {
    const batch = decodePoolBatch(payload);
    checkContinues(this.state, batch);
    if (!batch.snapshot) t.ok(batch.to > this.state.revision, "a revision is of one set");
    this.#parts = withPart(this.#parts, { batch });
    if (!batch.last) return;
    if (batch.snapshot && this.watermark !== undefined) this.snapshots += 1;
    this.state = advance(
      this.state,
      this.#parts.map((part) => part.batch),
    );
    this.#parts = [];
  }

  get watermark() {
    const { epoch, revision, setDigest } = this.state;
    return revision === 0 ? undefined : { epoch, revision, setDigest };
  }
}

/** All that was ever written, beside the log: what each pool is to have follows from it. */
class History {
  readonly rows: { revision: number; key: string; ordered: boolean; version: number }[] = [];
  positions: Partial<Record<Pool, number>> = {};

  at(pool: Pool): readonly string[] {
    const position = this.positions[pool] ?? Number.POSITIVE_INFINITY;
    const newest = new Map<string, number>();
    for (const { revision, key, ordered, version } of this.rows) {
      if (!ordered || revision <= position) newest.set(key, version);
    }
    return [...newest].flatMap(([key, version]) => (version === 0 ? [] : [`${key}@${version}`])).sort();
  }
}

const shown = ({ resources }: SetState) =>
  [...resources].map(([key, { metadata }]) => `${key}@${metadata.resourceVersion}`).sort();

function writeRollout(log: LocalLog, positionsAt: (revision: number) => readonly number[]): number {
  const specAt = (revision: number): RolloutSpec => {
    const [mid, far] = positionsAt(revision);
    return {
      waves: [
        { pools: ["near"], steps: [] },
        { pools: ["mid"], position: mid ?? revision, steps: [] },
        { pools: [], position: far ?? revision, steps: [] },
      ],
    };
  };
  const render = (revision: number) =>
    JSON.stringify({
      apiVersion: "perigee.dev/v1",
      kind: "Rollout",
      metadata: { name: ROLLOUT_NAME, labels: {}, generation: 1, resourceVersion: revision, createdAtMs: 1 },
      spec: specAt(revision),
    });
  return log.write([{ kind: "Rollout", name: ROLLOUT_NAME, render }])[0]?.revision ?? 0;
}

/** Does as the steps say, and looks after each whether every copy has what it is to have. */
class World implements Disposable {
  readonly #log = openSqliteLog(":memory:");
  readonly #history = new History();
  readonly #copies = POOLS.map((pool) => new Copy(pool));
  readonly #away = POOLS.map((pool) => new Copy(pool));
  #distribution = new Distribution(this.#log, KEY);
  #links: Disposable[] = [];

  constructor() {
    this.connect();
  }

  connect(): void {
    for (const link of this.#links) link[Symbol.dispose]();
    this.#distribution = new Distribution(this.#log, KEY);
    this.#links = this.#copies.map((copy) => this.#distribution.subscribe(copy.pool, copy.watermark, copy));
  }

  write(kind: "ContentPolicy" | "Assignment", name: string): void {
    const spec =
      kind === "Assignment"
        ? { kind, spec: { pool: "far", sites: [`s${this.#log.revision()}`], apps: [] } }
        : { kind, spec: { sites: [`s${this.#log.revision()}`], prefetch: "all" as const } };
    const { revision } = writeResource(this.#log, { ...spec, metadata: { name, labels: {} } }, 1);
    this.#note(`${kind}/${name}`, revision, revision);
  }

  drop(kind: "ContentPolicy" | "Assignment", name: string): void {
    if (this.#log.find(kind, name) === undefined) return;
    const [row] = this.#log.write([{ kind, name, render: () => undefined }]);
    this.#note(`${kind}/${name}`, row?.revision ?? 0, 0);
  }

  /** The middle wave to a place between where it is and the newest, the last one to between and there. */
  move(share: number): void {
    this.#distribution.advance();
    const { mid = 0, far = 0 } = this.#history.positions;
    const between = (from: number, to: number) => from + Math.floor((to - from) * share);
    const readable = (at: number) => (at >= this.#log.compactedRevision() ? at : this.#log.revision());
    const isFirst = this.#history.positions.mid === undefined;
    const next = readable(between(mid, this.#log.revision()));
    const last = far === next ? next : readable(Math.min(next, between(far, mid)));
    const revision = writeRollout(this.#log, (own) =>
      isFirst ? [own, own] : [next, Math.max(far, Math.min(last, next))],
    );
    this.#history.positions = isFirst
      ? { mid: revision, far: revision }
      : { mid: next, far: Math.max(far, Math.min(last, next)) };
  }

  end(): void {
    if (this.#log.find("Rollout", ROLLOUT_NAME) === undefined) return;
    this.#log.write([{ kind: "Rollout", name: ROLLOUT_NAME, render: () => undefined }]);
    this.#history.positions = {};
  }

  compact(): void {
    this.#distribution.advance();
    this.#log.compact(this.#log.revision(), this.#distribution.heldBack.positions);
  }

  visit(): void {
    for (const copy of this.#away) {
      this.#distribution.subscribe(copy.pool, copy.watermark, copy)[Symbol.dispose]();
      this.#check(copy, "who was away");
      if (this.#log.compactedRevision() === 0) t.equal(copy.snapshots, 0, "what changed is known, so no more is sent");
    }
  }

  look(): void {
    this.#distribution.advance();
    for (const copy of this.#copies) this.#check(copy, "who is there");
    const { heldBack, rows } = this.#distribution;
    for (const pool of POOLS) {
      const view = [...heldBack.viewOf(pool, rows)].map(([key, { revision }]) => `${key}@${revision}`);
      const own = view.filter((text) => !text.startsWith("Rollout/")).sort();
      t.same(own, this.#history.at(pool), `whoever comes first to ${pool}`);
    }
  }

  [Symbol.dispose](): void {
    this.#log[Symbol.dispose]();
  }

  #check(copy: Copy, who: string): void {
    const own = this.#history.at(copy.pool).filter((text) => copy.pool === "far" || !text.startsWith("Assignment/"));
    t.same(shown(copy.state), own, `${who} in ${copy.pool}`);
  }

  #note(key: string, revision: number, version: number): void {
    const ordered = key.startsWith("ContentPolicy/");
    this.#history.rows.push({ revision, key, ordered, version });
  }
}

t.test("each pool has the log at its wave's position, and at once what does not roll out", async (t) => {
  t.ok(rollsOut("ContentPolicy") && !rollsOut("Assignment"));
  const name = fc.constantFrom("a", "b");
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        op: fc.constantFrom("write" as const, "write" as const, "drop" as const),
        kind: fc.constantFrom("ContentPolicy" as const, "Assignment" as const),
        name,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ op: fc.constant("move" as const), share: fc.constantFrom(0, 0.25, 0.5, 0.75, 1) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ op: fc.constantFrom("compact" as const, "restart" as const, "visit" as const) }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constantFrom("look" as const, "look" as const, "end" as const) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: "max" }), (steps) => {
      using world = new World();
      for (const each of steps) {
        switch (each.op) {
          case "write":
          case "drop":
            world[each.op](each.kind, each.name);
            break;
          case "move":
            world.move(each.share);
            break;
          case "restart":
            world.connect();
            break;
          default:
            world[each.op]();
        }
      }
      world.look();
      world.visit();
    }),
    { numRuns: 150 },
  );
});
