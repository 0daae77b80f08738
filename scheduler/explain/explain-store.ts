/** Keeps the last decisions, bounded, in memory before the log on disk, and prints each for a person: outcome, winner and by how much, candidates, first failing rule, terms. */
import type { Coordinates } from "#domain/geography.ts";
import {
  explainBest,
  explainCounterfactuals,
  explainLimits,
  explainMargin,
  explainPlacement,
  explainVersions,
} from "#domain/placement/explain.ts";
import { PoolIds } from "#domain/placement/pool-ids.ts";
import type { LabelRequirement } from "#domain/policy/placement-policy.ts";
import type { PolicyClient } from "#domain/policy/policy-match.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import type { AskedSteering } from "../decision-log/content-codec.ts";
import type { FoundDecision } from "../decision-log/segment-reader.ts";
import type { DecisionStep } from "../placement/session-decision.ts";

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

/** What came of the whole decision; milliseconds as in `PlacementOutcome`. */
export type RecordedOutcome =
  | {
      readonly state: "placed" | "degraded";
      readonly pool: string;
      readonly renderClass: string;
      readonly marginMs: number | undefined;
    }
  /** Its own pool is still the best. */
  | { readonly state: "kept"; readonly because: "best"; readonly pool: string; readonly marginMs: number | undefined }
  /** It goes on where it is, fitting or not. */
  | {
      readonly state: "kept";
      readonly because: "no-fit";
      readonly pool: string;
      readonly bestAchievableMs: number | undefined;
    }
  /** It goes on where it is for now: its policy moves sessions less often, or not so soon. */
  | {
      readonly state: "kept";
      readonly because: "held-back";
      readonly pool: string;
      readonly better: string;
      readonly reason: string;
    }
  | { readonly state: "queued" | "rejected"; readonly bestAchievableMs: number | undefined };

/** What another policy could ask of who asks, beside app, tier and device; of an address no more than its network. */
export interface RecordedAsker extends Pick<PolicyClient, "tenant" | "country" | "asn"> {
  readonly network?: string | undefined;
}

export interface SessionDecisionRecord extends Recorded {
  readonly kind: "session";
  readonly session: string;
  readonly attempt: number;
  readonly app: string;
  readonly tier: string;
  readonly because: string;
  readonly asker: RecordedAsker;
  /** Undefined where the client's place is unknown. */
  readonly coordinates?: Coordinates | undefined;
  readonly outcome: RecordedOutcome;
  /** One for each render class that was tried, in that order; the last one decided. */
  readonly steps: readonly DecisionStep[];
  /** Of the policy as it was; its records name them by number. */
  readonly constraints: readonly LabelRequirement[];
}

export interface EndedSession {
  readonly session: string;
  readonly atMs: number;
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

/** Where decisions are kept for longer than memory has room for them. */
export interface DecisionKeeper {
  appendSession(record: SessionDecisionRecord): void;
  appendEnded(ended: EndedSession): void;
  appendContent(record: ContentDecisionRecord, asked: AskedSteering): void;
  find(decision: string): Promise<FoundDecision | undefined>;
  findSession(session: string): Promise<FoundDecision | undefined>;
}

export interface ExplainStore {
  /** By which the records name pools. */
  readonly pools: PoolIds;
  recordSession(record: SessionDecisionRecord): void;
  /** Its decisions can be asked for as before. */
  recordEnded(ended: EndedSession): void;
  recordContent(record: ContentDecisionRecord, asked: AskedSteering): void;
  /** From memory. Undefined where it is unknown or forgotten. */
  explain(decision: string): ExplainedDecision | undefined;
  /** From memory: the last decision of a session. */
  explainSession(session: string): ExplainedDecision | undefined;
  /** From memory or the log. */
  find(decision: string): Promise<FoundDecision | undefined>;
  findSession(session: string): Promise<FoundDecision | undefined>;
}

export interface ExplainStoreOptions {
  readonly entriesMax?: number;
  readonly pools?: PoolIds;
  readonly log?: DecisionKeeper;
}

export function createExplainStore(options: ExplainStoreOptions = {}): ExplainStore {
  const { entriesMax = DECISIONS_MAX, pools = new PoolIds(), log } = options;
  const sessions = new BoundedMap<string, SessionDecisionRecord>({ entriesMax });
  // Apart, for content is steered a thousand times as often.
  const contents = new BoundedMap<string, ContentDecisionRecord>({ entriesMax });
  const lastBySession = new BoundedMap<string, string>({ entriesMax });
  const poolName = (id: number): string => pools.nameOf(id);
  const recall = (decision: string): FoundDecision | undefined => {
    const record = sessions.peek(decision) ?? contents.peek(decision);
    return record === undefined ? undefined : { record, poolName };
  };
  const recallSession = (session: string): FoundDecision | undefined => recall(lastBySession.peek(session) ?? "");
  return {
    pools,
    recordSession(record) {
      log?.appendSession(record);
      // A session that runs is kept again and again: only the last time is worth its room in memory.
      const before = sessions.peek(lastBySession.peek(record.session) ?? "");
      if (before?.outcome.state === "kept" && record.outcome.state === "kept") sessions.delete(before.id);
      lastBySession.set(record.session, record.id);
      sessions.set(record.id, record);
    },
    recordEnded: (ended) => log?.appendEnded(ended),
    recordContent(record, asked) {
      log?.appendContent(record, asked);
      contents.set(record.id, record);
    },
    explain: (decision) => explained(recall(decision)),
    explainSession: (session) => explained(recallSession(session)),
    find: async (decision) => recall(decision) ?? (await log?.find(decision)),
    findSession: async (session) => recallSession(session) ?? (await log?.findSession(session)),
  };
}

export function explained(found: FoundDecision | undefined): ExplainedDecision | undefined {
  if (found === undefined) return undefined;
  return { decision: found.record.id, lines: explainDecision(found.record, found.poolName) };
}

/** Pure. */
export function explainDecision(record: DecisionRecord, poolName: (id: number) => string): string[] {
  const policy = record.policy === undefined ? "no policy, defaults" : `policy ${record.policy}`;
  const at = new Date(record.atMs).toISOString();
  const lines = record.kind === "session" ? explainSession(record, poolName) : explainContent(record.candidates);
  return [`decision ${record.id} at ${at}: ${subjectOf(record)}`, `for ${record.client}; ${policy}`, ...lines].concat(
    record.notes.map((note) => `note: ${note}`),
  );
}

export function subjectOf(record: DecisionRecord): string {
  if (record.kind === "content") return `content of site ${record.site}`;
  return `session ${record.session}, attempt ${record.attempt}, app ${record.app}, tier ${record.tier}, ${record.because}`;
}

function explainSession(
  { outcome, steps, constraints }: SessionDecisionRecord,
  poolName: (id: number) => string,
): string[] {
  const words = { poolName, constraints };
  const blocks = steps.flatMap(({ renderClass, mayExceedLimit, record }) => [
    `render class ${renderClass}${mayExceedLimit ? ", beyond the limit where slots are spare" : ""}`,
    ...explainPlacement(record, words),
    ...explainLimits(record, words),
  ]);
  const last = steps.at(-1)?.record;
  if (last !== undefined) {
    blocks.push(...explainCounterfactuals(last, words).map((line) => `otherwise, ${line}`), explainVersions(last));
  }
  const isHeldNowhere = steps.length === 0 && outcome.state === "rejected";
  return [isHeldNowhere ? "rejected: no pool holds a render class of the app" : explainOutcome(outcome), ...blocks];
}

export function explainOutcome(outcome: RecordedOutcome): string {
  if (outcome.state === "kept") {
    const kept = `kept where it is: ${outcome.pool}`;
    if (outcome.because === "held-back") return `${kept}; ${outcome.better} is better, ${outcome.reason}`;
    if (outcome.because === "best") return `${kept}, ${explainMargin(outcome.marginMs)}`;
    return `${kept}; nothing better fits, ${explainBest(outcome.bestAchievableMs)}`;
  }
  if (!("pool" in outcome)) return `${outcome.state}: ${explainBest(outcome.bestAchievableMs)}`;
  return `${outcome.state}: ${outcome.pool}, ${explainMargin(outcome.marginMs)}; render class ${outcome.renderClass}`;
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
