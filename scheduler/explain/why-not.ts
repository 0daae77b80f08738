/** Puts together why a session is not in a pool, from the record of its decision and what is known of the pool now. Pure. */
import type { Coordinates } from "#domain/geography.ts";
import { fibreRttMsBetween } from "#domain/latency/distance-model.ts";
import { farthestByGeographyMs } from "#domain/placement/explain.ts";
import { type Beside, explainWhyNot, type WhyNot } from "#domain/placement/why-not.ts";
import type { FoundDecision } from "../decision-log/segment-reader.ts";
import { explainOutcome, type RecordedOutcome, type SessionDecisionRecord, subjectOf } from "./explain-store.ts";

export interface WhyNotAnswer {
  readonly decision: string;
  readonly pool: string;
  readonly verdict: "chosen" | "filtered" | "outscored" | "not-considered";
  /** The first that it failed, where it is `filtered`. */
  readonly rule?: string;
  /** What would have to be otherwise for it to win; all of these. */
  readonly changes: readonly string[];
  readonly lines: readonly string[];
}

export interface AskedPool {
  readonly name: string;
  /** Undefined where there is no such pool any more. */
  readonly coordinates: Coordinates | undefined;
}

export function answerWhyNot(
  record: SessionDecisionRecord,
  { poolName }: FoundDecision,
  pool: AskedPool,
): WhyNotAnswer {
  const words = { poolName, constraints: record.constraints };
  const steps = record.steps.map(({ renderClass, mayExceedLimit, record: packed }) => {
    const beyond = mayExceedLimit ? ", beyond the limit where slots are spare" : "";
    return { title: `render class ${renderClass}${beyond}`, why: explainWhyNot(packed, pool.name, words) };
  });
  const notes = record.notes.filter((note) => note.startsWith(`${pool.name}: `)).map((note) => `note: ${note}`);
  const head = [`decision ${record.id}: ${subjectOf(record)}`, explainOutcome(record.outcome)];
  const known = steps.filter(({ why }) => why.kind !== "absent");
  const last = known.at(-1)?.why;
  const asked = { decision: record.id, pool: pool.name };
  if (last === undefined || last.kind === "absent") {
    // What is noted of it is why; the general rule is for pools of which nothing is.
    const reasons = notes.length > 0 ? notes : explainAbsence(record, pool);
    const lines = [...head, `${pool.name} was not considered`, ...reasons];
    return { ...asked, verdict: "not-considered", changes: [], lines };
  }
  // Earlier classes in a line each; in full where it was looked at last.
  const before = known.slice(0, -1).flatMap(({ title, why }) => ("found" in why ? [`${title}: ${why.found}`] : []));
  const lines = [...head, ...before, titleOf(known), ...linesOf(last, pool.name), ...notes];
  if (last.kind === "chosen") return { ...asked, verdict: "chosen", changes: [], lines };
  if (isWhereItIs(record.outcome, pool.name)) {
    const line = `${pool.name} is where the session is, and stays`;
    return {
      ...asked,
      verdict: "chosen",
      changes: [],
      lines: [...head, ...before, titleOf(known), last.found, line, ...notes],
    };
  }
  const { failed, changes } = last;
  if (failed === undefined) return { ...asked, verdict: "outscored", changes, lines };
  return { ...asked, verdict: "filtered", rule: failed.rule, changes, lines };
}

function titleOf(steps: readonly { readonly title: string }[]): string {
  return steps.at(-1)?.title ?? "";
}

/** Also where the core would have refused it today: who is there goes on. */
function isWhereItIs(outcome: RecordedOutcome, pool: string): boolean {
  return outcome.state === "kept" && outcome.pool === pool;
}

function linesOf(why: Exclude<WhyNot, { kind: "absent" }>, pool: string): string[] {
  if (why.kind === "chosen") return [why.found, `${pool} is what the core chose`];
  const { found, failed, beside, changes, result } = why;
  const terms = beside?.terms.map(({ term, ms, chosenMs }) => {
    return `${term}: ${format(ms)} beside ${format(chosenMs)}, ${signed(ms - chosenMs)} ms`;
  });
  return [
    found,
    ...(failed === undefined ? [] : [`first rule that it fails: ${failed.rule}: ${failed.reason}`]),
    ...(beside === undefined ? [] : [describeBeside(beside), ...(terms ?? [])]),
    `with ${changes.join("; and ")}: ${result}`,
  ];
}

function describeBeside({ pool, behindMs, contention }: Beside): string {
  const behind =
    behindMs < 0 ? `ahead of ${pool} by ${format(-behindMs)} ms` : `behind ${pool} by ${format(behindMs)} ms`;
  if (contention === undefined) return `${behind}:`;
  const { expected, chosenExpected } = contention;
  const each = `${format(expected)} expected for each free slot beside ${format(chosenExpected)}`;
  return `${behind}, which is as near, with ${each}:`;
}

function explainAbsence({ steps, coordinates }: SessionDecisionRecord, pool: AskedPool): string[] {
  if (steps.length === 0) return ["no pool that was considered holds a render class of the app"];
  const rule =
    "up to six pools that may take the session, three by history and the others by geography, and as many that may not";
  const considered = `considered are ${rule}`;
  if (coordinates === undefined || pool.coordinates === undefined) return [considered];
  const ownMs = fibreRttMsBetween(coordinates, pool.coordinates);
  const farthestMs = Math.max(...steps.map(({ record }) => farthestByGeographyMs(record)));
  const where = `by geography it is ${format(ownMs)} ms away`;
  if (!Number.isFinite(farthestMs)) return [considered, where];
  const beside =
    ownMs > farthestMs
      ? `farther than each of those considered (${format(farthestMs)} ms at most), and history puts it before none of them`
      : `no farther than those considered (${format(farthestMs)} ms at most): others came first, or it was not there yet`;
  return [considered, `${where}, ${beside}`];
}

function signed(ms: number): string {
  return ms < 0 ? format(ms) : `+${format(ms)}`;
}

function format(ms: number): string {
  return ms.toFixed(1);
}
