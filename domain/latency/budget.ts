/** Derives how much of a session's latency budget is left for the network. Pure. */

export interface BudgetParts {
  readonly budgetMs: number;
  readonly renderEncodeMsP95: number;
  readonly decodeMs: number;
  readonly jitterMs: number;
  /** Time on the narrowest link for the bytes of one frame. */
  readonly serialisationMs: number;
}

/** What the parts leave; negative where the pool cannot keep the budget at any distance. */
export function deriveRttLimitMs(parts: BudgetParts): number {
  return parts.budgetMs - fixedMs(parts);
}

/** Remote-path latency to expect at this RTT: the RTT and every part that distance does not change. */
export function remotePathMs(parts: BudgetParts, rttMs: number): number {
  return rttMs + fixedMs(parts);
}

function fixedMs(parts: BudgetParts): number {
  return parts.renderEncodeMsP95 + parts.decodeMs + parts.jitterMs + parts.serialisationMs;
}
