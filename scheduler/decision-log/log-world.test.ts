/** What tests of the log share: decisions of any shape, made by the core, and a log in a folder on a clock that stands still. */
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import type { PoolCandidate } from "#domain/placement/candidate.ts";
import { loadCandidates } from "#domain/placement/candidate-loading.ts";
import { decidePlacement } from "#domain/placement/decision.ts";
import { DecisionFrame } from "#domain/placement/decision-frame.ts";
import { recordOf } from "#domain/placement/decision-record.ts";
import { definedOf } from "#domain/placement/explain.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import type { VirtualClock } from "../../test/simulation/virtual-clock.ts";
import type { RecordedOutcome, SessionDecisionRecord } from "../explain/explain-store.ts";
import { DecisionLog, type DecisionLogOptions } from "./decision-log.ts";
import { idOfBytes } from "./segment-encoder.ts";

export const MEBIBYTE = 1024 ** 2;

export function decisionId(number: number): string {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt32BE(number, 5);
  return idOfBytes(bytes);
}

export function candidate(pool: string, rttMs: number, changes: Partial<PoolCandidate> = {}): PoolCandidate {
  return {
    ...{ pool, rttMs, labels: {}, reachable: true, cordoned: false, draining: false, rttSource: "measured" },
    parts: { budgetMs: 30, renderEncodeMsP95: 8, decodeMs: 3, jitterMs: 1, serialisationMs: 0 },
    ...{ slotsTotal: 10, slotsFree: 10, priceMs: 0, bundleMs: 0 },
    ...changes,
  };
}

const rules = { preferences: [], capacityReserveRatio: 0, onNoFit: "queue", stickinessMs: 2 } as const;

/** As a scheduler records what its core decided. */
export function sessionDecision(
  ids: PoolIds,
  candidates: readonly PoolCandidate[],
  changes: Partial<SessionDecisionRecord> = {},
): SessionDecisionRecord {
  const frame = new DecisionFrame();
  const constraints = changes.constraints ?? [];
  const ordered = loadCandidates(frame, { candidates, rules: { ...rules, constraints }, policyRevision: 7 }, ids);
  decidePlacement(frame);
  const chosen = ordered[frame.chosenAt];
  const outcome: RecordedOutcome =
    chosen === undefined
      ? { state: "queued", bestAchievableMs: definedOf(frame.bestAchievableMs) }
      : { state: "placed", pool: chosen.pool, renderClass: "small", marginMs: definedOf(frame.marginMs) };
  return {
    ...{ kind: "session", id: decisionId(1), atMs: 1_700_000_000_000, session: "s-1", attempt: 1, app: "hall" },
    ...{ tier: "strict", because: "new", client: "prefix:192.0.2.0/24", policy: "eu", notes: [], constraints },
    asker: { tenant: "acme", country: "PT", asn: 64_500, network: "192.0.2.0/24" },
    coordinates: undefined,
    steps: [{ renderClass: "small", mayExceedLimit: false, record: recordOf(frame) }],
    outcome,
    ...changes,
  };
}

const words = fc.string({ maxLength: 12, unit: "binary" });
const milliseconds = fc.oneof(fc.nat(60), fc.double({ min: 0, max: 80, noNaN: true }));
const anyCandidates = fc.uniqueArray(
  fc
    .record({
      ...{ pool: words, rttMs: milliseconds, priceMs: fc.oneof(fc.constant(0), milliseconds), slotsFree: fc.nat(9) },
      ...{ draining: fc.boolean(), expectedSessions: fc.oneof(fc.constant(0), milliseconds) },
    })
    .map(({ pool, rttMs, ...changes }) => candidate(pool, rttMs, changes)),
  { selector: ({ pool }) => pool, maxLength: 12 },
);
const anyConstraints = fc.array(
  fc.record(
    { label: words, operator: fc.constantFrom("In", "NotIn", "Exists"), values: fc.array(words, { maxLength: 3 }) },
    { requiredKeys: ["label", "operator"], noNullPrototype: true },
  ),
  { maxLength: 2 },
);
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const anyAsker = fc.record(
  {
    ...{ tenant: maybe(words), country: maybe(fc.constantFrom("PT", "DE")), asn: maybe(fc.integer({ min: 1 })) },
    network: maybe(fc.constantFrom("192.0.2.0/24", "2001:db8::/48")),
  },
  { noNullPrototype: true },
);
const keptAnyhow: fc.Arbitrary<RecordedOutcome> = fc
  .record({ pool: words, other: words, reason: fc.string(), ms: fc.option(milliseconds, { nil: undefined }) })
  .chain(({ pool, other, reason, ms }) =>
    fc.constantFrom<RecordedOutcome>(
      { state: "kept", because: "held-back", pool, better: other, reason },
      { state: "kept", because: "no-fit", pool, bestAchievableMs: ms },
      { state: "kept", because: "best", pool, marginMs: ms },
      { state: "degraded", pool, renderClass: other, marginMs: ms },
      { state: "rejected", bestAchievableMs: undefined },
    ),
  );

/** Made by the core; of some the outcome is any that can be written. */
export function anyDecision(ids: PoolIds): fc.Arbitrary<SessionDecisionRecord> {
  return fc
    .record({
      ...{ number: fc.nat(1_000_000), candidates: anyCandidates, constraints: anyConstraints },
      outcome: fc.option(keptAnyhow, { nil: undefined }),
      ...{ session: words, app: words, policy: fc.option(words, { nil: undefined }), client: fc.string() },
      ...{
        asker: anyAsker,
        attempt: fc.nat(100),
        notes: fc.array(fc.string(), { maxLength: 3 }),
        mayExceedLimit: fc.boolean(),
      },
      coordinates: fc.option(
        fc.nat(180).map((longitude) => ({ latitude: longitude / 3, longitude })),
        { nil: undefined },
      ),
    })
    .map(({ number, candidates, outcome, mayExceedLimit, ...changes }) => {
      const made = sessionDecision(ids, candidates, { ...changes, id: decisionId(number) });
      const steps = made.steps.map((step) => ({ ...step, mayExceedLimit }));
      return { ...made, steps: number % 7 === 0 ? [] : steps, outcome: outcome ?? made.outcome };
    });
}

/** A log, and what it told of. */
export async function openLog(folder: string, clock: VirtualClock, changes: Partial<DecisionLogOptions> = {}) {
  const told: string[] = [];
  const sizes: number[] = [];
  const ids = new PoolIds();
  const log = await DecisionLog.open({
    ...{ folder: join(folder, "decisions"), bytesMax: 32 * MEBIBYTE, steeringRatio: 1, clock },
    pools: { poolName: (id) => ids.nameOf(id), findPool: () => undefined },
    events: {
      logged: (decisions) => told.push(`logged ${decisions}`),
      lost: (decisions, because) => told.push(`lost ${decisions}: ${because}`),
      failed: ({ code }) => told.push(`failed: ${code}`),
      mended: () => told.push("mended"),
      dropped: (bytes, because) => told.push(`dropped ${bytes > 0}: ${because}`),
      sized: (bytes) => sizes.push(bytes),
      tornAtStart: (_, bytes) => told.push(`torn ${bytes}`),
      damagedAtStart: (_, offset, reason) => told.push(`damaged at ${offset}: ${reason}`),
    },
    ...changes,
  });
  return { log, ids, told, sizes };
}

t.test("a decision's id has its bytes and no others", async (t) => {
  t.equal(decisionId(1), "d-AAAAAAAAAAAB");
});
