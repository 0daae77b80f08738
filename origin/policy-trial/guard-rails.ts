/** Refuses changes of policies and pools that break guard-rails, by a simulated day over the fleet as it is. */
import type { ApplyResult } from "#contracts/operator-api/operator.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import { judgeRails } from "#domain/simulation/guard-rails.ts";
import { listResources } from "../log/resources.ts";
import type { PolicyTrial } from "./policy-trial.ts";
import { type KnowledgeParts, keepReports, type PoolKnowledge, readPoolKnowledge } from "./pool-knowledge.ts";
import { holdsAny, type Judged, type RailedChange, type StatedChange, stateChange } from "./railed-change.ts";

export interface RailParts extends KnowledgeParts {
  readonly trial: PolicyTrial;
}

export type RailWarnings = readonly ApplyResult["warnings"][number][];

export interface RailCheck {
  /** What could not be judged, and what was judged by what is not of now. */
  readonly warnings: RailWarnings;
  /** What would be refused, each with the document that it is of; the message has the numbers. */
  readonly breaches: RailWarnings;
}

const NOTHING: RailCheck = { warnings: [], breaches: [] };
/** Of what can come to stand against guard-rails. */
const JUDGED_KINDS: readonly string[] = ["PlacementPolicy", "NodePool", "Node"];
/** A message names no more pools. */
const POOLS_SHOWN_MAX = 5;

/**
 * Nothing is simulated where no policy is changed or deleted that has guard-rails, or an app of one that has, and no
 * pool that counts. Throws `unavailable` where nothing was ever known of what pools hold and where the simulation fails,
 * unless `force`.
 */
export async function checkGuardRails(
  parts: RailParts,
  change: RailedChange,
  { force }: { readonly force: boolean },
): Promise<RailCheck> {
  if (![...change.written, ...change.deleted].some(({ kind }) => JUDGED_KINDS.includes(kind))) return NOTHING;
  if (!hasRails(parts, change)) return NOTHING;
  const knowledge = readPoolKnowledge(parts);
  keepReports(parts);
  const stated = stateChange(parts, change, knowledge);
  if (stated === undefined) return NOTHING;
  const { fleet, question, judged } = stated;
  const warn = (message: string): RailCheck => ({ ...NOTHING, warnings: warningsOf(judged, message) });
  if (fleet.silentAgents.length > 0 && fleet.emptyPools.length === fleet.pools.length) {
    const message = `guard-rails cannot be judged: none of ${fleet.silentAgents.length} agents has ever reported to this origin`;
    if (force) return warn(message);
    throw new Failure("unavailable", `${message}. Try again once they have, or force it`, { retryable: true });
  }
  if (!holdsAny(question.before, question.apps)) {
    return warn("guard-rails are not judged: no pool has a slot of a class of any RenderApp");
  }
  const comparison = await parts.trial(question).catch(failureOfTrial);
  if (isFailure(comparison)) {
    const message = `guard-rails could not be judged: ${comparison.message}`;
    if (force) return warn(message);
    throw new Failure("unavailable", `${message}. Nothing was applied: try again, or force it`, { retryable: true });
  }
  const verdicts = judged.map((each) => ({ ...each, ...judgeRails(comparison, each.policy) }));
  const aged = describeAge(stated, knowledge);
  const notes = verdicts.flatMap(({ document, isChanged, notes: of }) =>
    isChanged ? of.map((message) => ({ document, pointer: "/spec/guardRails", message })) : [],
  );
  return {
    breaches: distinctBreaches(verdicts, aged === undefined ? "" : ` (${aged})`),
    warnings: [...notes, ...(aged === undefined ? [] : warningsOf(judged, `guard-rails were judged, and ${aged}`))],
  };
}

function hasRails({ log }: RailParts, { written }: RailedChange): boolean {
  const stored = listResources(log, "PlacementPolicy");
  return [...stored, ...written].some((each) => each.kind === "PlacementPolicy" && each.spec.guardRails !== undefined);
}

function warningsOf(judged: readonly Judged[], message: string): RailWarnings {
  return [...new Set(judged.map(({ document }) => document))].map((document) => ({
    ...{ document, pointer: "/spec/guardRails", message },
  }));
}

/** Policies of the same apps have the same numbers: the first that says them is the changed one. */
function distinctBreaches(verdicts: readonly (Judged & ReturnType<typeof judgeRails>)[], suffix: string): RailWarnings {
  const breaches = verdicts.flatMap(({ document, policy, breaches: of }) =>
    of.map(({ rail, message }) => ({ document, pointer: `/spec/guardRails/${rail}`, message, policy: policy.name })),
  );
  return [...Map.groupBy(breaches, ({ document, message }) => `${document} ${message}`).values()].flatMap(([first]) => {
    if (first === undefined) return [];
    const { policy, message, ...where } = first;
    return [{ ...where, message: `guard-rail of ${policy}: ${message}${suffix}` }];
  });
}

/** Of which pools the slots are not those of now; undefined where all are. */
function describeAge({ question }: StatedChange, { remembered }: PoolKnowledge): string | undefined {
  const pools = new Set([...question.before.pools, ...question.after.pools].map(({ name }) => name));
  const aged = remembered.filter(({ pool }) => pools.has(pool)).toSorted((a, b) => b.ageMs - a.ageMs);
  if (aged.length === 0) return undefined;
  const shown = aged.slice(0, POOLS_SHOWN_MAX).map(({ pool, ageMs }) => `${pool} ${durationText(ageMs)} ago`);
  const more = aged.length > shown.length ? ` and ${aged.length - shown.length} more` : "";
  return `slots are as last reported of ${shown.join(", ")}${more}`;
}

function durationText(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 1) return "less than a minute";
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2 * 1440 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`;
}

/** Another one that runs is no failure of this one: it is soon over. */
function failureOfTrial(error: unknown): Failure {
  if (isFailure(error) && error.code === "unavailable") return error;
  throw error;
}
