/** Keeps the last decisions, bounded, and prints each for a person: candidates, first failing rule, terms, winner and by how much. */
import type { ConsideredPool, PlacementDecision } from "#domain/placement/decision.ts";
import { explainPlacement } from "#domain/placement/explain.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";

/** Of sessions and of content each, some kilobytes each; the oldest is forgotten. */
export const DECISIONS_MAX = 5_000;

interface Recorded {
  readonly id: string;
  readonly atMs: number;
  /** The client group or address that was decided for. */
  readonly client: string;
  /** The policy that applied; undefined where none names the app or site. */
  readonly policy: string | undefined;
  /** What the terms do not show: why a pool was left out, which answers were not believed. */
  readonly notes: readonly string[];
}

export interface SessionDecisionRecord extends Recorded {
  readonly kind: "session";
  readonly session: string;
  readonly attempt: number;
  readonly app: string;
  readonly tier: string;
  readonly because: string;
  /** One for each render class that was tried, in that order; the last one decided. */
  readonly steps: readonly { readonly renderClass: string; readonly decision: PlacementDecision }[];
}

export interface ContentCandidate {
  /** As a person knows it: `near-1 (near)`. */
  readonly name: string;
  readonly rttMs: number | undefined;
  readonly rttSource: string;
  /** The first rule that it fails; undefined where it may be chosen. */
  readonly rejection: { readonly rule: string; readonly reason: string } | undefined;
  /** Milliseconds by term; their sum is the score, the lowest wins. Undefined where it could not be chosen. */
  readonly terms: Readonly<Record<string, number>> | undefined;
}

export interface ContentDecisionRecord extends Recorded {
  readonly kind: "content";
  readonly site: string;
  readonly candidates: readonly ContentCandidate[];
}

export type DecisionRecord = SessionDecisionRecord | ContentDecisionRecord;

export interface ExplainedDecision {
  readonly decision: string;
  readonly lines: readonly string[];
}

export interface ExplainStore {
  record(record: DecisionRecord): void;
  /** Undefined where it is unknown or forgotten. */
  explain(decision: string): ExplainedDecision | undefined;
  /** The last decision of a session. */
  explainSession(session: string): ExplainedDecision | undefined;
}

export function createExplainStore(entriesMax: number = DECISIONS_MAX): ExplainStore {
  // Apart, for content is steered a thousand times as often.
  const records = {
    session: new BoundedMap<string, DecisionRecord>({ entriesMax }),
    content: new BoundedMap<string, DecisionRecord>({ entriesMax }),
  };
  const lastBySession = new BoundedMap<string, string>({ entriesMax });
  const explain = (decision: string): ExplainedDecision | undefined => {
    const record = records.session.peek(decision) ?? records.content.peek(decision);
    return record === undefined ? undefined : { decision, lines: explainDecision(record) };
  };
  return {
    record(record) {
      records[record.kind].set(record.id, record);
      if (record.kind === "session") lastBySession.set(record.session, record.id);
    },
    explain,
    explainSession(session) {
      const decision = lastBySession.peek(session);
      return decision === undefined ? undefined : explain(decision);
    },
  };
}

/** Pure. */
export function explainDecision(record: DecisionRecord): string[] {
  const policy = record.policy === undefined ? "no policy, defaults" : `policy ${record.policy}`;
  const at = new Date(record.atMs).toISOString();
  const lines = record.kind === "session" ? explainSession(record) : explainContent(record.candidates);
  return [`decision ${record.id} at ${at}: ${subjectOf(record)}`, `for ${record.client}; ${policy}`, ...lines].concat(
    record.notes.map((note) => `note: ${note}`),
  );
}

function subjectOf(record: DecisionRecord): string {
  if (record.kind === "content") return `content of site ${record.site}`;
  return `session ${record.session}, attempt ${record.attempt}, app ${record.app}, tier ${record.tier}, ${record.because}`;
}

function explainSession({ steps }: SessionDecisionRecord): string[] {
  if (steps.length === 0) return ["rejected: no pool holds a render class of the app"];
  return steps.flatMap(({ renderClass, decision }) => [
    `render class ${renderClass}`,
    ...explainPlacement(decision),
    ...decision.considered.map(explainLimit),
  ]);
}

function explainLimit({ candidate: { pool, parts }, rttLimitMs }: ConsideredPool): string {
  const { budgetMs, renderEncodeMsP95, decodeMs, jitterMs, serialisationMs } = parts;
  const taken = `render+encode ${format(renderEncodeMsP95)} - decode ${format(decodeMs)} - jitter ${format(jitterMs)}`;
  return `limit of ${pool}: ${format(rttLimitMs)} = budget ${format(budgetMs)} - ${taken} - serialisation ${format(serialisationMs)}`;
}

function explainContent(candidates: readonly ContentCandidate[]): string[] {
  const scored = candidates.flatMap((candidate) => {
    const scoreMs = scoreOf(candidate);
    return scoreMs === undefined ? [] : [{ name: candidate.name, scoreMs }];
  });
  scored.sort((a, b) => a.scoreMs - b.scoreMs);
  const [winner, second] = scored;
  const margin =
    winner === undefined || second === undefined
      ? "no other to choose"
      : `ahead by ${format(second.scoreMs - winner.scoreMs)} ms`;
  const outcome = winner === undefined ? "rejected: no edge can be chosen" : `steered: ${winner.name}, ${margin}`;
  return [outcome, ...candidates.map(explainCandidate)];
}

function explainCandidate(candidate: ContentCandidate): string {
  const { name, rttMs, rttSource, rejection, terms } = candidate;
  const rtt = rttMs === undefined ? "RTT unknown" : `RTT ${format(rttMs)} ms (${rttSource})`;
  const rejected = rejection === undefined ? "" : `; fails ${rejection.rule}: ${rejection.reason}`;
  const scoreMs = scoreOf(candidate);
  if (scoreMs === undefined || terms === undefined) return `${name}: ${rtt}${rejected}`;
  const sum = Object.entries(terms).map(([term, ms]) => `${term} ${format(ms)}`);
  return `${name}: ${rtt}${rejected}; score ${format(scoreMs)} = ${sum.join(" + ")}`;
}

function scoreOf({ terms }: ContentCandidate): number | undefined {
  return terms === undefined ? undefined : Object.values(terms).reduce((sum, ms) => sum + ms, 0);
}

function format(ms: number): string {
  return ms.toFixed(1);
}
