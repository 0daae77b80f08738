/** Counts a run of http-cache-tests by kind and judges it. Pure. */

export interface TestOutcome {
  readonly id: string;
  readonly kind: string;
  /** Why it failed; absent where it passed. */
  readonly failure?: string;
}

export interface Expectations {
  /** How many tests there are of the kinds that count: fewer means that not all of them ran. */
  readonly required: number;
  readonly optimal: number;
  readonly allowedToFail: ReadonlySet<string>;
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
 * Tests of both versions that contradict the RFCs. The first wants a 304 although the stored response, of now, is newer
 * than the date asked about (RFC 9111 section 4.3.2 compares with its Date). "complete" wants two parts combined that
 * have no strong validator (RFC 9110 section 15.3.7.3). The others send five bytes as "bytes 4-9/10" and want them back
 * as that.
 */
export const AGAINST_THE_RFCS = [
  "conditional-lm-fresh-no-lm",
  "partial-store-partial-complete",
  "partial-store-partial-reuse-partial",
  "partial-store-partial-reuse-partial-byterange",
  "partial-store-partial-reuse-partial-absent",
  "partial-store-partial-reuse-partial-suffix",
];

/**
 * Required tests of 0.4.5 that no cache can pass along with the repository's current suite, which requires the opposite.
 * An Age that is invalid made a response stale, and now is ignored; of several the first counts (RFC 9111 section 5.1).
 * Where stale is forbidden and the upstream closes the connection, the answer had to bear a field that only the upstream
 * adds, and it never answers; now any error will do.
 */
export const SUPERSEDED = [
  "age-parse-nonnumeric",
  "age-parse-negative",
  "age-parse-float",
  "age-parse-prefix-twoline",
  "age-parse-dup-0",
  "age-parse-dup-0-twoline",
  "age-parse-dup-old",
  "stale-close-must-revalidate",
  "stale-close-proxy-revalidate",
  "stale-close-no-cache",
  "stale-close-s-maxage=2",
];

/** A `check` only reports how a cache behaves, it is neither right nor wrong. */
const KINDS = ["required", "optimal", "check"] as const;

export function judge(outcomes: readonly TestOutcome[], expected: Expectations): Verdict {
  const counts = KINDS.map((kind) => countOf(kind, outcomes));
  const failed = outcomes.filter(({ failure }) => failure !== undefined);
  const wrong = failed.filter(({ id, kind }) => kind !== "check" && !expected.allowedToFail.has(id));
  const missing = counts.flatMap(({ kind, total }) => {
    const floor = kind === "required" || kind === "optimal" ? expected[kind] : 0;
    return total < floor ? [`${total} ${kind} tests ran, expected ${floor}`] : [];
  });
  return { counts, failed, faults: [...missing, ...wrong.map(({ id, kind }) => `${kind} test ${id} fails`)] };
}

function countOf(kind: string, outcomes: readonly TestOutcome[]): KindCount {
  const all = outcomes.filter((outcome) => outcome.kind === kind);
  return { kind, passed: all.filter(({ failure }) => failure === undefined).length, total: all.length };
}
