/** Refuses changes of policies that break their guard-rails, by a simulated day over the fleet as it is. */
import type { ApplyResult } from "#contracts/operator-api/operator.ts";
import type { ResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Resource } from "#domain/resource.ts";
import type { DayApp } from "#domain/simulation/day.ts";
import { fleetPools, type StatedPool } from "#domain/simulation/fleet-pools.ts";
import { type JudgedPolicy, judgeRails } from "#domain/simulation/guard-rails.ts";
import type { WrittenPolicy } from "#platform/cel/worlds.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { listResources } from "../log/resources.ts";
import type { ObservedNodes } from "../observed/observed-nodes.ts";
import type { PolicyTrial } from "./policy-trial.ts";

export interface RailParts {
  readonly log: ResourceLog;
  readonly observed: ObservedNodes;
  readonly trial: PolicyTrial;
}

export type RailWarnings = ApplyResult["warnings"];

export interface RailCheck {
  /** What could not be judged. */
  readonly warnings: RailWarnings;
  /** What would be refused, each with the document that it is of; the message has the numbers. */
  readonly breaches: RailWarnings;
}

const NOTHING: RailCheck = { warnings: [], breaches: [] };

/**
 * Nothing is simulated where no policy is changed that has guard-rails, or an app of one that has. Throws `unavailable`
 * while agents are yet to report and where the simulation fails, unless `force`.
 */
export async function checkGuardRails(
  parts: RailParts,
  inputs: readonly ResourceInput[],
  { force }: { readonly force: boolean },
): Promise<RailCheck> {
  const stored = listResources(parts.log, "PlacementPolicy");
  const judged = listJudged(inputs, stored);
  if (judged.length === 0) return NOTHING;
  const warn = (message: string): RailCheck => ({
    ...NOTHING,
    warnings: [...new Set(judged.map(({ document }) => document))].map((document) => ({
      ...{ document, pointer: "/spec/guardRails", message },
    })),
  });
  const { fleet, question } = statedChange(parts, inputs, stored);
  if (fleet.silentAgents.length > 0 && fleet.emptyPools.length === fleet.pools.length) {
    const message = `guard-rails cannot be judged: none of ${fleet.silentAgents.length} agents has reported since the origin was started`;
    if (force) return warn(message);
    throw new Failure("unavailable", `${message}. Try again in some seconds, or force it`, { retryable: true });
  }
  const classes = new Set(question.apps.flatMap(({ spec }) => spec.classes.map(({ name }) => name)));
  const isHeld = fleet.pools.some((pool) =>
    pool.classes.some(({ renderClass, slots }) => slots > 0 && classes.has(renderClass)),
  );
  if (!isHeld) return warn("guard-rails are not judged: no pool has a slot of a class of any RenderApp");
  const comparison = await parts.trial(question).catch(failureOfTrial);
  if (isFailure(comparison)) {
    const message = `guard-rails could not be judged: ${comparison.message}`;
    if (force) return warn(message);
    throw new Failure("unavailable", `${message}. Nothing was applied: try again, or force it`, { retryable: true });
  }
  const verdicts = judged.map((each) => ({ ...each, ...judgeRails(comparison, each.policy) }));
  const breaches = verdicts.flatMap(({ document, policy, breaches: of }) =>
    of.map(({ rail, message }) => ({ document, pointer: `/spec/guardRails/${rail}`, message, policy: policy.name })),
  );
  return {
    // Policies of the same apps have the same numbers: the first that says them is the changed one.
    breaches: [...Map.groupBy(breaches, ({ document, message }) => `${document} ${message}`).values()].flatMap(
      ([first]) => {
        if (first === undefined) return [];
        const { policy, message, ...where } = first;
        return [{ ...where, message: `guard-rail of ${policy}: ${message}` }];
      },
    ),
    warnings: verdicts.flatMap(({ document, isChanged, notes }) =>
      isChanged ? notes.map((message) => ({ document, pointer: "/spec/guardRails", message })) : [],
    ),
  };
}

type PolicyInput = Extract<ResourceInput, { kind: "PlacementPolicy" }>;

/** Another one that runs is no failure of this one: it is soon over. */
function failureOfTrial(error: unknown): Failure {
  if (isFailure(error) && error.code === "unavailable") return error;
  throw error;
}

interface Judged {
  /** The document that the refusal is told of. */
  readonly document: number;
  readonly policy: JudgedPolicy;
  readonly isChanged: boolean;
}

/**
 * Each policy with guard-rails that is changed, or has an app of one that is: which policy applies hangs on all of an
 * app's, and a new one before it would take its sessions.
 */
function listJudged(
  inputs: readonly ResourceInput[],
  stored: readonly Resource<"PlacementPolicy">[],
): readonly Judged[] {
  const changes = inputs.flatMap((input, document) => {
    if (input.kind !== "PlacementPolicy") return [];
    const before = stored.find(({ metadata }) => metadata.name === input.metadata.name)?.spec;
    return JSON.stringify(before) === JSON.stringify(input.spec) ? [] : [{ document, ...changeOf(input, before) }];
  });
  const changed = new Set(changes.map(({ name }) => name));
  const others = stored.flatMap(({ metadata: { name }, spec: { apps, guardRails } }) => {
    const change = changes.find((each) => each.apps.some((app) => apps.includes(app)));
    if (changed.has(name) || change === undefined) return [];
    return [{ document: change.document, name, apps, rails: guardRails === undefined ? [] : [guardRails] }];
  });
  return [...changes, ...others].flatMap(({ document, ...policy }) =>
    policy.rails.length === 0 ? [] : [{ document, policy, isChanged: changed.has(policy.name) }],
  );
}

function changeOf({ metadata, spec }: PolicyInput, before: PolicyInput["spec"] | undefined): JudgedPolicy {
  return {
    name: metadata.name,
    apps: [...new Set([...(before?.apps ?? []), ...spec.apps])],
    rails: [before?.guardRails, spec.guardRails].flatMap((each) => each ?? []),
  };
}

function statedChange(
  { log, observed }: RailParts,
  inputs: readonly ResourceInput[],
  stored: readonly Resource<"PlacementPolicy">[],
) {
  const writtenPools = inputs.flatMap((input) => (input.kind === "NodePool" ? [input] : []));
  const writtenApps = inputs.flatMap((input) => (input.kind === "RenderApp" ? [input] : []));
  const written = inputs.flatMap((input) => (input.kind === "PlacementPolicy" ? [input] : []));
  const apps = afterwards(listResources(log, "RenderApp").map(appOf), writtenApps.map(appOf), ({ name }) => name);
  const nodes = listResources(log, "Node").map(({ metadata, spec }) => ({
    ...{ name: metadata.name, ...spec },
    isDead: observed.find(metadata.name)?.state?.state === "dead",
  }));
  const reported = observed.list().flatMap(({ status }) => status?.agents ?? []);
  const agents = [...new Map(reported.map((agent) => [agent.agent, agent])).values()];
  const poolsBefore: readonly StatedPool[] = listResources(log, "NodePool");
  const poolsAfter = afterwards(poolsBefore, writtenPools, ({ metadata }) => metadata.name);
  const fleetOf = (pools: readonly StatedPool[]) => fleetPools({ pools, nodes, agents, apps });
  const after = fleetOf(poolsAfter);
  // The pools as they will be on both sides: what is judged is the policy.
  const policies = stored.map(policyOf);
  const question = {
    apps,
    before: { pools: after.pools, policies },
    after: { pools: after.pools, policies: afterwards(policies, written.map(policyOf), ({ name }) => name) },
  };
  return { fleet: after, question };
}

function appOf({
  metadata,
  spec,
}: Pick<Resource<"RenderApp">, "spec"> & { readonly metadata: { readonly name: string } }): DayApp {
  return { name: metadata.name, spec };
}

function policyOf(
  of: Pick<Resource<"PlacementPolicy">, "spec"> & { readonly metadata: { readonly name: string } },
): WrittenPolicy {
  return { name: of.metadata.name, spec: of.spec };
}

/** What is stored and not written, with what is. */
function afterwards<T>(stored: readonly T[], written: readonly T[], nameOf: (item: T) => string): readonly T[] {
  const names = new Set(written.map(nameOf));
  return [...stored.filter((item) => !names.has(nameOf(item))), ...written];
}
