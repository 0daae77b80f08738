/** Whether an edge places a session itself, by an app token, and with what budget: the scheduler's rules for one pool. Pure. */
import type { AppClaims, BudgetClaim } from "#contracts/tokens/claims.ts";
import { Failure } from "#domain/failure.ts";
import { budgetPartsOf, deriveRttLimitMs, deviceTimes } from "#domain/latency/budget.ts";
import type { Labels } from "#domain/placement/labels.ts";
import { meetsRequirement } from "#domain/placement/labels.ts";
import type { AppliedPolicy } from "#domain/placement/policy-selection.ts";
import type { RenderAppSpec } from "#domain/session/render-app.ts";

/** Of a pool's slots, what an edge gives away by itself while the scheduler decides about the rest. */
export const DIRECT_SHARE_RATIO = 0.1;

export interface DirectFacts {
  readonly pool: string;
  readonly labels: Labels;
  /** The link to the origin is down. */
  readonly isCutOff: boolean;
  /** The edge itself is cordoned or draining. */
  readonly isClosed: boolean;
  readonly app: RenderAppSpec | undefined;
  readonly policy: AppliedPolicy;
  readonly token: Pick<AppClaims, "sub" | "maxSessions">;
  /** Sessions of the app that run in the pool, and of any app that an edge placed itself. */
  readonly appSessions: number;
  readonly directSessions: number;
  /** Of agents that take sessions now, by render class. */
  readonly freeSlots: Readonly<Record<string, number>>;
  readonly slotsTotal: number;
  /** Undefined where no agent holds the class. */
  readonly frameMsP95: (renderClass: string) => number | undefined;
}

export type DirectDecision =
  | { readonly kind: "place"; readonly renderClass: string; readonly budget: BudgetClaim }
  | { readonly kind: "refuse"; readonly failure: Failure };

/** The first class, in the app's order, that has a free slot. */
export function decideDirect(facts: DirectFacts): DirectDecision {
  const { pool, app, policy, token } = facts;
  if (app === undefined) return refuse("not-found", `there is no RenderApp ${token.sub} here`);
  if (facts.isClosed) return refuse("placement-refused", `this edge of ${pool} takes no new sessions: try another`);
  const broken = policy.rules.constraints.find((requirement) => !meetsRequirement(facts.labels, requirement));
  if (broken !== undefined) {
    return refuse("placement-refused", `policy ${policy.name} keeps ${token.sub} out of ${pool} by ${broken.label}`);
  }
  if (facts.appSessions >= token.maxSessions) {
    return refuse("overloaded", `${token.sub} has ${facts.appSessions} sessions here, its app token permits no more`);
  }
  const share = Math.max(1, Math.floor(facts.slotsTotal * DIRECT_SHARE_RATIO));
  if (!facts.isCutOff && facts.directSessions >= share) {
    return refuse("overloaded", `${share} sessions without a scheduler are the most while there is one: ask it`);
  }
  const reserve = Math.ceil(facts.slotsTotal * policy.rules.capacityReserveRatio);
  for (const renderClass of app.classes) {
    const frameMs = facts.frameMsP95(renderClass.name);
    if (frameMs === undefined || (facts.freeSlots[renderClass.name] ?? 0) <= reserve) continue;
    const parts = budgetPartsOf({ budgetMs: policy.budgetMs, device: deviceTimes({}), app, renderClass }, frameMs);
    const rttLimitMs = deriveRttLimitMs(parts);
    const budget: BudgetClaim = {
      budgetMs: parts.budgetMs,
      // Nobody has measured it: as much as is left.
      networkMsP95: Math.max(0, rttLimitMs),
      renderEncodeMsP95: frameMs,
      decodeJitterMs: parts.decodeMs + parts.jitterMs,
      serialisationMs: parts.serialisationMs,
      rttLimitMs,
    };
    return { kind: "place", renderClass: renderClass.name, budget };
  }
  return refuse("no-pool-fits", `pool ${pool} has no free slot for ${token.sub}`);
}

function refuse(code: "not-found" | "placement-refused" | "overloaded" | "no-pool-fits", message: string) {
  const retryable = code === "overloaded" || code === "no-pool-fits";
  return { kind: "refuse", failure: new Failure(code, message, { retryable }) } as const;
}
