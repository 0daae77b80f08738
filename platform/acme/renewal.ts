/** When a certificate is ordered: at once where there is none, else at two thirds of its life, and again after failures. Pure. */

/** RFC 8555 has no word on it; what is left is time for an authority that is away for weeks. */
const RENEW_AT_RATIO = 2 / 3;
/** Certificates made together are not renewed together. */
const JITTER_RATIO = 1 / 20;
/** Public authorities allow five failures of a name an hour. */
const RETRY_MS_MIN = 15 * 60_000;
const RETRY_MS_MAX = 6 * 3_600_000;
const RETRY_DOUBLINGS_MAX = 5;

export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface RenewalFacts {
  /** Of the certificate that is in force. */
  readonly current?: Validity;
  /** In [0, 1), the same for a certificate as long as it is in force. */
  readonly jitter: number;
  /** Orders that failed since the last that did not. */
  readonly failures: number;
  readonly lastFailedMs?: number;
}

export type RenewalDecision =
  | { readonly kind: "order"; readonly because: "absent" | "due" | "expired" }
  | { readonly kind: "wait"; readonly untilMs: number };

export function decideRenewal(facts: RenewalFacts, nowMs: number): RenewalDecision {
  const { current } = facts;
  const dueMs = current === undefined ? nowMs : renewalMs(current, facts.jitter);
  const untilMs = Math.max(dueMs, retryMs(facts));
  if (nowMs < untilMs) return { kind: "wait", untilMs };
  if (current === undefined) return { kind: "order", because: "absent" };
  return { kind: "order", because: nowMs < current.notAfterMs ? "due" : "expired" };
}

function renewalMs({ notBeforeMs, notAfterMs }: Validity, jitter: number): number {
  return Math.ceil(notBeforeMs + (notAfterMs - notBeforeMs) * (RENEW_AT_RATIO + jitter * JITTER_RATIO));
}

/** Not before; doubles with each failure, and half of it is jitter. */
function retryMs({ failures, lastFailedMs, jitter }: RenewalFacts): number {
  if (failures === 0 || lastFailedMs === undefined) return 0;
  const fullMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(RETRY_DOUBLINGS_MAX, failures - 1));
  return lastFailedMs + fullMs * (0.5 + jitter / 2);
}
