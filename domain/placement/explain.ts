/** A placement decision as lines of text for a person: what it found, of which a session's outcome is made, and each pool. Pure. */
import type { ConsideredPool, PlacementDecision, PlacementOutcome, ScoreTerms } from "./decision.ts";

export function explainPlacement(decision: PlacementDecision): string[] {
  return [explainFound(decision.outcome), ...decision.considered.map(explainPool)];
}

function explainFound(outcome: PlacementOutcome): string {
  if (!("pool" in outcome)) {
    const best = explainBest(outcome.bestAchievableMs);
    return outcome.bestAchievableMs === undefined ? best : `no pool within the limit; ${best}`;
  }
  const where = outcome.state === "placed" ? "within the limit" : "spare beyond the limit";
  return `${where}: ${outcome.pool}, ${explainMargin(outcome.marginMs)}`;
}

/** `undefined`: nothing else could be chosen. */
export function explainMargin(marginMs: number | undefined): string {
  return marginMs === undefined ? "no other to choose" : `ahead by ${format(marginMs)} ms`;
}

/** `undefined`: each pool fails a rule that is neither of distance nor of capacity. */
export function explainBest(bestAchievableMs: number | undefined): string {
  return bestAchievableMs === undefined ? "no pool may take it" : `best achievable ${format(bestAchievableMs)} ms`;
}

function explainPool(pool: ConsideredPool): string {
  const { candidate, rejection, terms, scoreMs } = pool;
  const rtt = `RTT ${format(candidate.rttMs)} ms (${candidate.rttSource}), limit ${format(pool.rttLimitMs)} ms`;
  const rejected = rejection === undefined ? "" : `; fails ${rejection.rule}: ${rejection.reason}`;
  const scored = terms === undefined || scoreMs === undefined ? "" : `; score ${format(scoreMs)} = ${explain(terms)}`;
  return `${candidate.pool}: ${rtt}${rejected}${scored}`;
}

function explain(terms: ScoreTerms): string {
  return [
    `rtt ${format(terms.rttMs)}`,
    `price ${format(terms.priceMs)}`,
    `fill ${format(terms.fillMs)}`,
    `preference ${format(terms.preferenceMs)}`,
    `stickiness ${format(terms.stickinessMs)}`,
  ].join(" + ");
}

function format(value: number): string {
  return value.toFixed(1);
}
