/** Each invariant of the simulation is seen to fail on a bug planted for it, and on nothing else at that step. */
import t from "tap";
import { Failure, isFailure } from "#domain/failure.ts";
import type { FaultKind } from "./faults.ts";
import { END_INVARIANTS, type InvariantName, STEP_INVARIANTS } from "./invariants.ts";
import { type SimulationOptions, simulate } from "./simulate.ts";
import { PURGES_FILE, SET_FILE } from "./simulated-edge.ts";
import { LOG_FILE } from "./simulated-origin.ts";
import type { Plants, World } from "./world.ts";

interface Planted {
  readonly bug: string;
  readonly faults: readonly FaultKind[];
  readonly plants: Plants;
  readonly relays?: boolean;
  readonly begin?: (world: World) => void;
}

/** The whole, with some parts of it replaced. */
function withParts<T extends object>(whole: T, parts: Partial<T>): T {
  return new Proxy(whole, {
    get(target, key) {
      const value: unknown = Reflect.get(key in parts ? parts : target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Seeds are tried in turn: not each has the fault at the moment in which the bug shows. */
const SEEDS_MAX = 12;
/** Twice what an edge of the simulation has room for. */
const FLOOD_REPORTS = 128;

const PLANTED: Readonly<Record<InvariantName, Planted>> = {
  "applied-never-regresses": {
    bug: "an edge's disk had not yet written the last commit of its set when it said so",
    faults: ["edge-crash"],
    plants: { edge: { forgets: SET_FILE } },
  },
  "set-equals-log": {
    bug: "the log leaves rows out when it tells what has changed",
    faults: [],
    plants: {
      origin: {
        log: (log) =>
          withParts(log, {
            changesAfter: (revision, rowsMax) =>
              log.changesAfter(revision, rowsMax).filter(({ kind }) => kind !== "ContentPolicy"),
          }),
      },
    },
  },
  "acknowledged-writes-survive": {
    bug: "the origin's disk had not yet written the log's last commit when it said so",
    faults: ["origin-crash"],
    plants: { origin: { forgets: LOG_FILE } },
  },
  converges: {
    bug: "the origin tells nobody of what is written later",
    faults: [],
    plants: { origin: { followsNothing: true } },
  },
  "dead-link-noticed": {
    bug: "an edge's monotonic clock stands still",
    faults: ["black-hole"],
    plants: { edge: { monotonicMs: () => 0 } },
  },
  "purges-once-in-order": {
    bug: "an edge forgets that it has applied a purge",
    faults: ["edge-crash"],
    plants: { edge: { forgets: PURGES_FILE } },
  },
  "healthy-never-down": {
    bug: "the origin counts silence by a clock that is set",
    faults: ["clock-skew"],
    plants: { origin: { monotonicMs: (time, skewMs) => time.monotonicMs() + skewMs } },
  },
  "queues-bounded": {
    bug: "a full queue of reports gives nothing up",
    faults: [],
    plants: {
      edge: { reports: (database) => withParts(database, { prepare: (sql) => database.prepare(withoutDrops(sql)) }) },
    },
    begin: (world) => {
      for (let serial = 0; serial < FLOOD_REPORTS; serial += 1) world.edges[0]?.report({ flood: serial });
    },
  },
  "restored-origin": {
    bug: "an edge passes over in silence a set that goes back",
    faults: ["restore"],
    plants: {
      edge: {
        set: (set) =>
          withParts(set, {
            apply(envelope) {
              try {
                return set.apply(envelope);
              } catch (error) {
                if (isFailure(error, "epoch-regressed")) return false;
                throw error;
              }
            },
          }),
      },
    },
  },
  "relays-hear-the-origin": {
    bug: "a relay keeps its siblings when its own stream to the origin has ended",
    faults: ["loss"],
    relays: true,
    plants: { edge: { relay: (relay) => withParts(relay, { unlinked: () => undefined }) } },
  },
  "ways-settle": {
    bug: "an edge asks no sibling to relay for it",
    faults: [],
    relays: true,
    plants: { edge: { relaysBefore: () => [] } },
  },
  "reports-exactly-once": {
    bug: "the origin records a report again under another id",
    faults: [],
    plants: {
      origin: {
        records: (records) =>
          withParts(records, {
            append: (node, reports, nowMs) => {
              const again = reports.map((report) => ({ ...report, id: `${report.id}-again` }));
              return records.append(node, [...reports, ...again], nowMs);
            },
          }),
      },
    },
  },
};

/** The statement by which reports are given up finds none. */
function withoutDrops(sql: string): string {
  return sql.replace("WHERE sequence > ? AND rank < ? ORDER BY", "WHERE sequence > ? AND rank < ? AND false ORDER BY");
}

async function firstViolation(options: Omit<SimulationOptions, "seed">) {
  for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
    const { violations } = await simulate({ ...options, seed });
    if (violations.length > 0) return violations;
  }
  throw new Failure("not-found", `no violation in ${SEEDS_MAX} seeds`);
}

for (const [name, { bug, faults, plants, relays, begin }] of Object.entries(PLANTED)) {
  t.test(`${name} fails where ${bug}`, async (t) => {
    const chosen = { ...(relays === undefined ? {} : { relays }), ...(begin === undefined ? {} : { begin }) };
    const violations = await firstViolation({ faults, plants, ...chosen });
    t.same(
      violations.map(({ invariant }) => invariant),
      [name],
      violations.map(({ what }) => what).join("; "),
    );
  });
}

t.test("healthy-never-down fails where a relay says nothing of its siblings to the origin", async (t) => {
  const relay: Plants["edge"] = { relay: (whole) => withParts(whole, { merge: (own) => own }) };
  const violations = await firstViolation({ faults: [], plants: { edge: relay }, relays: true });
  t.match(violations, [{ invariant: "healthy-never-down", what: /is up by .* down in the origin's eyes/ }]);
  t.equal(violations.length, 1);
});

t.test("every invariant has a bug planted for it", async (t) => {
  t.same(Object.keys(PLANTED).sort(), [...Object.keys(STEP_INVARIANTS), ...Object.keys(END_INVARIANTS)].sort());
});
