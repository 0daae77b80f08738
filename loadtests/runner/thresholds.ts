/** Reads k6's exported summary: each threshold, what was measured, and whether it was met. Pure. */

export interface Threshold {
  readonly metric: string;
  /** As the script has it: `p(95)<150`. */
  readonly condition: string;
  readonly value: number;
  readonly limit: number;
  readonly isMet: boolean;
}

const CONDITION = /^(?<statistic>[a-z]+(?:\([\d.]+\))?)\s*(?:<=|>=|==|<|>)\s*(?<limit>[\d.]+)$/;

/** Throws where the summary has no thresholds: a run that judged nothing is not a pass. */
export function readThresholds(summary: unknown): readonly Threshold[] {
  const metrics = fieldsOf(fieldsOf(summary)["metrics"]);
  const thresholds = Object.entries(metrics).flatMap(([metric, value]) => thresholdsOf(metric, fieldsOf(value)));
  if (thresholds.length === 0) throw new Error("k6's summary judges no threshold");
  return thresholds;
}

function thresholdsOf(metric: string, values: Readonly<Record<string, unknown>>): readonly Threshold[] {
  return Object.entries(fieldsOf(values["thresholds"])).map(([condition, isMissed]) => {
    const { statistic = "", limit = "" } = CONDITION.exec(condition)?.groups ?? {};
    // A rate is exported as `value`.
    const measured = values[statistic === "rate" ? "value" : statistic];
    const value = isMeasured(values) && typeof measured === "number" ? measured : Number.NaN;
    // k6 says whether it was missed, and that one without a single sample was not.
    return { metric, condition, value, limit: Number(limit), isMet: isMissed === false && !Number.isNaN(value) };
  });
}

function isMeasured({ count, passes, fails }: Readonly<Record<string, unknown>>): boolean {
  return [count, passes, fails].some((number) => typeof number === "number" && number > 0);
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

export function describeThreshold({ metric, condition, value, isMet }: Threshold): string {
  const measured = Number.isNaN(value) ? "nothing measured" : String(Math.round(value * 1_000) / 1_000);
  return `${isMet ? "met   " : "MISSED"}  ${metric}: ${condition}, measured ${measured}`;
}
