/** Counts a run of http-cache-tests by kind and judges it. Pure. */

export interface TestOutcome {
  readonly id: string;
  readonly kind: string;
  /** Why it failed; absent where it passed. */
  readonly failure?: string;
}

/** How many tests there are of the kinds that count: fewer means that not all of them ran. */
export interface Floors {
  readonly required: number;
  readonly optimal: number;
}

interface KindCount {
  readonly kind: string;
  readonly passed: number;
  readonly total: number;
}

export interface Verdict {
  readonly counts: readonly KindCount[];
  readonly failed: readonly TestOutcome[];
  /** What is wrong; empty if the run is good. */
  readonly faults: readonly string[];
}

/**
 * Tests that contradict the RFCs. The first wants a 304 although the stored response, of now, is newer than the date
 * asked about (RFC 9111 section 4.3.2 compares with its Date). "complete" wants two parts combined that have no strong
 * validator (RFC 9110 section 15.3.7.3). The others send five bytes as "bytes 4-9/10" and want them back as that.
 */
const ALLOWED_TO_FAIL: ReadonlySet<string> = new Set([
  "conditional-lm-fresh-no-lm",
  "partial-store-partial-complete",
  "partial-store-partial-reuse-partial",
  "partial-store-partial-reuse-partial-byterange",
  "partial-store-partial-reuse-partial-absent",
  "partial-store-partial-reuse-partial-suffix",
]);

/** A `check` only reports how a cache behaves, it is neither right nor wrong. */
const KINDS = ["required", "optimal", "check"] as const;

export function isAllowedToFail(id: string): boolean {
  return ALLOWED_TO_FAIL.has(id);
}

export function judge(outcomes: readonly TestOutcome[], floors: Floors): Verdict {
  const counts = KINDS.map((kind) => countOf(kind, outcomes));
  const failed = outcomes.filter(({ failure }) => failure !== undefined);
  const wrong = failed.filter(({ id, kind }) => kind !== "check" && !isAllowedToFail(id));
  const missing = counts.flatMap(({ kind, total }) => {
    const floor = kind === "required" || kind === "optimal" ? floors[kind] : 0;
    return total < floor ? [`${total} ${kind} tests ran, expected ${floor}`] : [];
  });
  return { counts, failed, faults: [...missing, ...wrong.map(({ id, kind }) => `${kind} test ${id} fails`)] };
}

function countOf(kind: string, outcomes: readonly TestOutcome[]): KindCount {
  const all = outcomes.filter((outcome) => outcome.kind === kind);
  return { kind, passed: all.filter(({ failure }) => failure === undefined).length, total: all.length };
}
