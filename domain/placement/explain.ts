/** A placement decision as lines of text for a person. Pure. */
import type { ConsideredPool, PlacementDecision, PlacementOutcome, ScoreTerms } from "./decision.ts";

export function explainPlacement(decision: PlacementDecision): string[] {
  return [explainOutcome(decision.outcome), ...decision.considered.map(explainPool)];
}

function explainOutcome(outcome: PlacementOutcome): string {
  if ("pool" in outcome) {
    const margin = outcome.marginMs === undefined ? "no other to choose" : `ahead by ${format(outcome.marginMs)} ms`;
    return `${outcome.state}: ${outcome.pool}, ${margin}`;
  }
  if (outcome.bestAchievableMs === undefined) return `${outcome.state}: the policy permits no pool`;
  return `${outcome.state}: best achievable ${format(outcome.bestAchievableMs)} ms`;
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
