/** Judges whether a session that renews may move, and when: by its round trips, its policy, and what else moves. */

import { budgetPartsOf, deriveRttLimitMs } from "#domain/latency/budget.ts";
import {
  concludeRenewal,
  explainRule,
  historyAt,
  judgeRenewal,
  type MoveHistory,
  type MoveRule,
  type MoveTerms,
  moveTermsOf,
} from "#domain/placement/move-rule.ts";
import type { PoolReading } from "#domain/placement/stability.ts";
import type { RenderAppSpec } from "#domain/session/render-app.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { isOpenFor } from "../placement/candidates.ts";
import { type MoveLimitPorts, MoveLimits, type MoveRefusal } from "./move-limits.ts";
import type { PlacingResult } from "./placing.ts";
import { breakingPlan, type Renewal, type RenewalPlan } from "./renewal.ts";
import type { SessionRecord } from "./session-table.ts";

export interface MovingSession {
  readonly renewal: Renewal;
  readonly record: SessionRecord;
  readonly app: RenderAppSpec;
}

export interface JudgedMove {
  /** As it was planned, or for a session that breaks away. */
  readonly plan: RenewalPlan;
  /** Asked of the pool that was chosen; undefined where the session may move there, and then it is counted. */
  readonly findHold: (pool: string) => MoveRefusal | undefined;
  readonly note: string;
  readonly history: MoveHistory;
}

export interface MovingPorts extends MoveLimitPorts {
  readonly ledger: Ledger;
}

export class SessionMoves {
  readonly #ports: MovingPorts;
  readonly #limits: MoveLimits;

  constructor(ports: MovingPorts) {
    this.#ports = ports;
    this.#limits = new MoveLimits(ports);
  }

  async judge(plan: RenewalPlan, session: MovingSession): Promise<JudgedMove> {
    const { shown, policy } = session.renewal;
    const history = historyAt(shown.pool, session.record.moves);
    if (plan.standing !== "running") {
      const rule: MoveRule = { kind: "hard-break", because: plan.standingReason };
      return { plan, history, note: noteOf(rule), findHold: (pool) => this.#takeUrgent(plan, pool) };
    }
    const terms = moveTermsOf(policy.rules.stickinessMs, policy.stability);
    const readings = await readPools(this.#ports.ledger, plan, session);
    return this.#judgeRunning(plan, session, { history, readings, terms });
  }

  /** The session's history once it is known what came of its renewal. */
  conclude({ history }: JudgedMove, result: PlacingResult): MoveHistory {
    const movedTo = result.kind === "placed" && result.answer.state !== "queued" ? result.answer.pool : undefined;
    const end = movedTo === undefined ? { isBetterElsewhere: result.kind === "held-back" } : { movedTo };
    return concludeRenewal(history, end, this.#ports.clock.nowMs());
  }

  #judgeRunning(
    plan: RenewalPlan,
    { renewal, app }: MovingSession,
    known: { readonly history: MoveHistory; readonly readings: readonly PoolReading[]; readonly terms: MoveTerms },
  ): JudgedMove {
    const { history, rule, wait } = judgeRenewal(known.history, known.readings, known.terms, this.#ports.clock.nowMs());
    const judged = { history, note: noteOf(rule) };
    if (rule.kind === "hard-break") {
      const findHold = (pool: string) =>
        wait === undefined ? this.#takeUrgent(plan, pool) : this.#limits.toConfirm(wait);
      return { ...judged, plan: breakingPlan(plan, renewal, app.classes), findHold };
    }
    const findHold = (pool: string) =>
      wait === undefined ? this.#limits.take(renewal.policy, pool) : { reason: wait };
    return { ...judged, plan, findHold };
  }

  /** A session that has lost its pool is counted, and waits for nobody. */
  #takeUrgent({ standing }: RenewalPlan, pool: string): MoveRefusal | undefined {
    const refusal = this.#limits.takeUrgent(pool);
    return standing === "lost" ? undefined : refusal;
  }
}

function noteOf(rule: MoveRule): string {
  return `rule: ${explainRule(rule)}`;
}

/** Of the class that the session runs in: its own pool, and those that take new sessions and hold the class. */
async function readPools(
  ledger: Ledger,
  { considered }: RenewalPlan,
  { renewal: { shown, policy }, record, app }: MovingSession,
): Promise<readonly PoolReading[]> {
  const renderClass = app.classes.find(({ name }) => name === shown.renderClass);
  const queries = considered.map(({ pool: { pool, excludedAgents } }) => {
    return { pool, renderClass: shown.renderClass, excludedAgents };
  });
  const capacities = await ledger.capacities(queries);
  const { constraints } = policy.rules;
  return considered.flatMap(({ pool, rtt }, index) => {
    const frameMsP95 = capacities[index]?.frameMsP95;
    const reading = { pool: pool.pool, rttMs: rtt.rttMs };
    const isOwn = pool.pool === shown.pool;
    if (renderClass === undefined || frameMsP95 === undefined) {
      return isOwn ? [{ ...reading, rttLimitMs: shown.budget.rttLimitMs }] : [];
    }
    if (!isOwn && !isOpenFor(pool, constraints)) return [];
    const fixed = { budgetMs: policy.budgetMs, device: record.device, app, renderClass };
    return [{ ...reading, rttLimitMs: deriveRttLimitMs(budgetPartsOf(fixed, frameMsP95)) }];
  });
}
