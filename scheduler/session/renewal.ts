/** What a renewal may choose from: everywhere else when the pool is lost or drains, a better pool when neither. Pure. */
import type { PlacementClaims } from "#contracts/tokens/claims.ts";
import { moveTermsOf } from "#domain/placement/move-rule.ts";
import type { AppliedPolicy } from "#domain/placement/policy-selection.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import { estimateRtt, planProbes, type RttFact, type RttHistory } from "../placement/candidates.ts";
import { type PoolFacts, standingOf } from "../placement/pool-facts.ts";
import type { ConsideredPool, PlacingRequest } from "./placing.ts";
import type { SessionRecord } from "./session-table.ts";

export interface Renewal {
  /** Verified. */
  readonly shown: PlacementClaims;
  readonly reason: "promotion" | "pool-lost" | "refused" | "draining";
  readonly policy: AppliedPolicy;
}

export interface RenewalFacts {
  readonly record: SessionRecord;
  readonly pools: readonly PoolFacts[];
  readonly history: RttHistory;
  readonly holdsApp: (pool: PoolFacts) => boolean;
  /** The app's, in order of preference. */
  readonly classes: readonly RenderClass[];
}

export interface RenewalPlan
  extends Pick<
    PlacingRequest,
    "attempt" | "because" | "policy" | "classes" | "considered" | "running" | "currentPool" | "notes"
  > {
  /** Its pool could keep it; it works still, and is to be left; or it is of no use any more. */
  readonly standing: "running" | "leaving" | "lost";
  /** Why it is not simply running; a sentence's part. */
  readonly standingReason: string;
}

/**
 * A session that runs moves only to a pool that is known to be better; one that has lost its pool takes estimates too.
 * One whose pool drains has to leave: it goes wherever the policy lets a new session go.
 */
export function planRenewal({ shown, reason, policy }: Renewal, facts: RenewalFacts): RenewalPlan {
  const { record, classes } = facts;
  const others = listOthers(shown, policy, facts);
  const running = reason === "promotion" || reason === "draining" ? shown : undefined;
  const base = { attempt: Math.max(record.attempt, shown.attempt) + 1, because: reason, running };
  const replacing = withoutReserve(policy);
  const current = facts.pools.find(({ pool }) => pool === shown.pool);
  if (reason !== "promotion" || current === undefined) {
    const notes = [`${shown.pool}: left out, the client renews because of ${reason}`];
    const standing = running === undefined ? "lost" : "leaving";
    const standingReason = `the client renews because of ${reason}`;
    const leaving = { standing, standingReason } as const;
    return { ...base, ...leaving, policy: replacing, classes, considered: others, currentPool: undefined, notes };
  }
  const rttMs = record.measured.get(shown.pool) ?? shown.budget.networkMsP95;
  const stay: ConsideredPool = { pool: current, rtt: { rttMs, source: "measured" }, answered: true };
  const staying = { ...base, currentPool: shown.pool };
  const { draining, reachable } = standingOf(current);
  if (draining || !reachable) {
    const reached = others.filter((other) => mayBeReached(other, record));
    const notes = noteLeftOut(others, reached, facts);
    const standingReason = `${shown.pool} ${draining ? "is draining" : "cannot be reached"}`;
    const leaving = { ...staying, standing: "leaving", standingReason } as const;
    return { ...leaving, policy: replacing, classes, considered: [stay, ...reached], notes };
  }
  const known = others.filter(({ rtt }) => rtt.source !== "geography");
  const held = classes.findIndex(({ name }) => name === shown.renderClass);
  return {
    ...staying,
    ...{ standing: "running", standingReason: "" },
    policy: { ...policy, rules: { ...policy.rules, onNoFit: "queue", stickinessMs: gainMsOf(policy, rttMs) } },
    classes: held < 0 ? classes : classes.slice(0, held + 1),
    considered: [stay, ...known],
    notes: noteLeftOut(others, known, facts),
  };
}

/**
 * The plan of a session that runs and whose pool breaks its limit: it goes wherever the policy lets a new session go,
 * to what is kept free as well, and in no better class than it has.
 */
export function breakingPlan(
  plan: RenewalPlan,
  { shown, policy }: Renewal,
  classes: readonly RenderClass[],
): RenewalPlan {
  const { rules } = policy;
  const onNoFit = rules.onNoFit === "degrade" ? "degrade" : "queue";
  const held = classes.findIndex(({ name }) => name === shown.renderClass);
  return {
    ...plan,
    policy: withoutReserve({ ...policy, rules: { ...rules, onNoFit } }),
    classes: classes.slice(Math.max(0, held)),
  };
}

/** What is kept free is kept for sessions that have to leave where they are. */
function withoutReserve(policy: AppliedPolicy): AppliedPolicy {
  return { ...policy, rules: { ...policy.rules, capacityReserveRatio: 0 }, neighbourReserve: undefined };
}

/** What a move must gain: of the score, or a share of the round trip where that is more. */
function gainMsOf({ rules, stability }: AppliedPolicy, rttMs: number): number {
  const { gainMs, gainRatio } = moveTermsOf(rules.stickinessMs, stability).gainMin;
  return Math.max(gainMs, gainRatio * rttMs);
}

/** An estimate is no reason to go where the client's own probe brought no answer. */
function mayBeReached({ pool, rtt }: ConsideredPool, { probedPools }: SessionRecord): boolean {
  return rtt.source !== "geography" || !probedPools.includes(pool.pool);
}

function noteLeftOut(
  others: readonly ConsideredPool[],
  taken: readonly ConsideredPool[],
  { holdsApp }: RenewalFacts,
): string[] {
  return others
    .filter((other) => !taken.includes(other))
    .map(({ pool }) => {
      const why = holdsApp(pool) ? "its distance is known by geography alone" : "no agent holds the app";
      return `${pool.pool}: left out, ${why}`;
    });
}

function listOthers(shown: PlacementClaims, policy: AppliedPolicy, facts: RenewalFacts): ConsideredPool[] {
  const { record, history, holdsApp } = facts;
  const others = facts.pools.filter(({ pool }) => pool !== shown.pool);
  const { constraints } = policy.rules;
  const { probed, passedOver } = planProbes(record.client, others, { constraints, history, holdsIt: holdsApp });
  const measured = others.filter(({ pool }) => record.measured.has(pool));
  const considered = new Set([...probed, ...measured, ...passedOver]);
  return [...considered].map((pool) => ({ pool, rtt: rttOf(pool, record, history), answered: true }));
}

export function rttOf(pool: PoolFacts, { measured, client }: SessionRecord, history: RttHistory): RttFact {
  const rttMs = measured.get(pool.pool);
  return rttMs === undefined ? estimateRtt(client, pool, history) : { rttMs, source: "measured" };
}
