/**
 * Decides what of a roll-out goes on: a wave gets what every edge of the wave before it has proven, and while one of
 * those is in quarantine nothing does. Pure.
 */
import { isDeepStrictEqual } from "node:util";
import { HALT_MESSAGE_LENGTH_MAX, WAVE_STEPS_MAX } from "#contracts/operator-api/resources/schemas.ts";
import { type RolloutPolicySpec, type RolloutSpec, type RolloutWave, waveOf } from "#domain/fleet/rollout.ts";

/** No longer than that a supervisor waits between two starts; who is gone for longer is not waited for. */
export const AWAY_AFTER_MS = 600_000;
/** A position further behind what is proven moves on also where nothing is held back: the log has less to hold. */
const BEHIND_REVISIONS_MAX = 1000;

export interface EdgeSeen {
  readonly node: string;
  readonly pool: string;
  readonly linkUp: boolean;
  /** How long its link has been as it is; of one that was not heard of, since the origin's start. */
  readonly linkMs: number;
  /** It has said on this link how it is. */
  readonly hasSpoken: boolean;
  readonly appliedRevision: number;
  /** 0: nothing of this log. */
  readonly provenRevision: number;
  /** Why it serves what was proven in place of what came later. */
  readonly quarantine: string | undefined;
}

export interface RolloutFacts {
  readonly policy: RolloutPolicySpec | undefined;
  readonly rollout: RolloutSpec | undefined;
  /** Of the log. */
  readonly revision: number;
  readonly compactedRevision: number;
  /** Enrolled, and not about to be taken away. */
  readonly edges: readonly EdgeSeen[];
  /** By wave: the oldest change that is held back from it; `undefined`: none. */
  readonly heldFrom: readonly (number | undefined)[];
}

export type WaveVerdict =
  /** No edge is enrolled: nothing can be learned there. */
  | { readonly kind: "empty" }
  /** None of its edges is there: nothing is learned. */
  | { readonly kind: "away" }
  | { readonly kind: "halted"; readonly node: string; readonly message: string }
  /** By all that are there; `node` is the one that has proven least. */
  | { readonly kind: "proven"; readonly revision: number; readonly node: string };

export type RolloutPlan =
  | { readonly kind: "none" }
  | { readonly kind: "end" }
  /** The row is at the revision that it is given. */
  | {
      readonly kind: "write";
      readonly because: "begin" | "move" | "halt" | "mended";
      specAt(revision: number): RolloutSpec;
    };

export function planRollout(facts: RolloutFacts): RolloutPlan {
  const { policy, rollout, heldFrom } = facts;
  if (policy === undefined) return { kind: rollout === undefined ? "none" : "end" };
  if (rollout === undefined) return { kind: "write", because: "begin", specAt: allLetOut(policy) };
  const isIdle = heldFrom.every((from) => from === undefined);
  if (isIdle && !isOf(rollout, policy)) return { kind: "write", because: "begin", specAt: allLetOut(policy) };
  const verdicts = rollout.waves.map((_, index) => judgeWave(rollout, index, facts.edges));
  const steps = rollout.waves.map((wave, index) => planWave(facts, wave, { index, verdicts }));
  const moves = steps.some(({ moveTo }) => moveTo !== undefined);
  const halts = steps.map(({ halted }) => halted);
  const before = rollout.waves.map(({ halted }) => halted);
  if (!moves && isDeepStrictEqual(halts, before)) return { kind: "none" };
  const because = moves ? "move" : halts.filter(Boolean).length < before.filter(Boolean).length ? "mended" : "halt";
  return { kind: "write", because, specAt: (revision) => ({ waves: steps.map((step) => waveAfter(step, revision)) }) };
}

/** Every pool gets the newest of everything by this row. */
export function allLetOut({ waves }: RolloutPolicySpec): (revision: number) => RolloutSpec {
  return (revision) => ({
    waves: [...waves, { pools: [] }].map(({ pools }, index) => {
      return { pools, ...(index === 0 ? {} : { position: revision }), steps: [] };
    }),
  });
}

function isOf(rollout: RolloutSpec, policy: RolloutPolicySpec): boolean {
  const pools = rollout.waves.slice(0, -1).map((wave) => wave.pools);
  return isDeepStrictEqual(
    pools,
    policy.waves.map((wave) => wave.pools),
  );
}

/** Of the last wave nothing is asked. */
export function judgeWave(rollout: RolloutSpec, index: number, edges: readonly EdgeSeen[]): WaveVerdict {
  const own = edges.filter(({ pool }) => waveOf(rollout, pool) === index);
  if (own.length === 0) return { kind: "empty" };
  const known = rollout.waves[index]?.halted;
  const halting = own.find((edge) => isHalting(edge, known));
  if (halting !== undefined) {
    const { node, quarantine = known?.message ?? "" } = halting;
    return { kind: "halted", node, message: quarantine.slice(0, HALT_MESSAGE_LENGTH_MAX) };
  }
  const [first, ...others] = own.filter(({ linkUp, linkMs }) => linkUp || linkMs < AWAY_AFTER_MS);
  if (first === undefined) return { kind: "away" };
  const least = others.reduce((a, b) => (b.provenRevision < a.provenRevision ? b : a), first);
  return { kind: "proven", revision: least.provenRevision, node: least.node };
}

/** It says so, or it was last known to and has not said otherwise: an origin that starts again knows no edge. */
function isHalting({ node, quarantine, linkUp, hasSpoken }: EdgeSeen, known: RolloutWave["halted"]): boolean {
  return quarantine !== undefined || (known?.node === node && !(linkUp && hasSpoken));
}

interface WaveStep {
  readonly wave: RolloutWave;
  readonly halted: RolloutWave["halted"];
  readonly isMended: boolean;
  /** What the edge that halted it has taken; `undefined`: the edge is gone. */
  readonly mendedBy: number | undefined;
  readonly moveTo: number | undefined;
  /** What it was brought to before and has not proven. */
  readonly unproven: RolloutWave["steps"];
  readonly isLast: boolean;
}

function planWave(
  facts: RolloutFacts,
  wave: RolloutWave,
  { index, verdicts }: { readonly index: number; readonly verdicts: readonly WaveVerdict[] },
): WaveStep {
  const verdict = verdicts[index];
  const halted = verdict?.kind === "halted" ? haltOf(wave, verdict) : undefined;
  const candidate = index === 0 ? undefined : provenBy(facts, index - 1, verdicts[index - 1]);
  const moveTo = candidate !== undefined && isNew(facts, wave, { index, candidate }) ? candidate : undefined;
  const proven = verdict?.kind === "proven" ? verdict.revision : 0;
  const unproven = wave.steps.filter(({ since }) => since > proven);
  const isMended = wave.halted !== undefined && halted === undefined;
  const mendedBy = facts.edges.find(({ node }) => node === wave.halted?.node)?.appliedRevision;
  return { wave, halted, isMended, mendedBy, moveTo, unproven, isLast: index === verdicts.length - 1 };
}

/** The first one that halted it, in its first words, for as long as it does: others write nothing. */
function haltOf({ halted }: RolloutWave, { node, message }: { readonly node: string; readonly message: string }) {
  return halted?.node === node ? halted : { node, message };
}

/** The position that a wave has proven; `undefined`: none that later ones may have. */
function provenBy(
  { rollout, revision, compactedRevision }: RolloutFacts,
  index: number,
  verdict: WaveVerdict | undefined,
) {
  const wave = rollout?.waves[index];
  if (wave === undefined || verdict === undefined) return undefined;
  if (verdict.kind === "empty") return wave.position ?? revision;
  // What was mended is proven anew: by the next look it is known from where.
  if (verdict.kind !== "proven" || wave.halted !== undefined) return undefined;
  if (wave.position !== undefined) return wave.steps.findLast(({ since }) => since <= verdict.revision)?.position;
  // What is compacted cannot be told any more; the next proof is later.
  const least = Math.max(compactedRevision, ...wave.steps.map(({ since }) => since));
  return verdict.revision < least ? undefined : Math.min(verdict.revision, revision);
}

function isNew(
  { heldFrom }: RolloutFacts,
  { position = 0 }: RolloutWave,
  { index, candidate }: { readonly index: number; readonly candidate: number },
): boolean {
  if (candidate <= position) return false;
  const from = heldFrom[index];
  return (from !== undefined && from <= candidate) || candidate - position >= BEHIND_REVISIONS_MAX;
}

/** Of too many steps the newest gives way: the oldest come to be proven whatever follows. */
function waveAfter(step: WaveStep, revision: number): RolloutWave {
  const { wave, halted, isMended, moveTo, unproven, isLast } = step;
  const { halted: _, ...others } = wave;
  const after = { ...others, ...(halted === undefined ? {} : { halted }) };
  const position = moveTo === undefined ? {} : { position: moveTo };
  if (isMended && !isLast) return { ...after, ...position, steps: stepsMended(step, revision) };
  if (moveTo === undefined) return after;
  const steps = isLast ? [] : [...unproven.slice(0, WAVE_STEPS_MAX - 1), { position: moveTo, since: revision }];
  return { ...after, position: moveTo, steps };
}

/** What came before it was mended is not let out, though some of the edges have proven it. */
function stepsMended({ wave, mendedBy, moveTo }: WaveStep, revision: number): RolloutWave["steps"] {
  const since = mendedBy ?? revision;
  if (wave.position === undefined) return [{ position: since, since }];
  return moveTo === undefined ? wave.steps.slice(-1) : [{ position: moveTo, since: revision }];
}
