/** What a change makes of policies and pools, and the policies whose guard-rails it has to keep. */
import type { ResourceInput } from "#contracts/operator-api/resources/parse.ts";
import type { NodeSpec } from "#domain/fleet/node.ts";
import type { Kind, Resource } from "#domain/resource.ts";
import { type FleetPools, fleetPools, type StatedPool } from "#domain/simulation/fleet-pools.ts";
import type { JudgedPolicy } from "#domain/simulation/guard-rails.ts";
import { dayAppOf, withReportedSizes } from "#domain/simulation/pool-reports.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { listResources } from "../log/resources.ts";
import type { ObservedNodes } from "../observed/observed-nodes.ts";
import type { TrialQuestion } from "./policy-trial.ts";
import type { PoolKnowledge } from "./pool-knowledge.ts";

/** All of a request, which is judged as a whole; or what is deleted. */
export interface RailedChange {
  readonly written: readonly ResourceInput[];
  readonly deleted: readonly { readonly kind: Kind; readonly name: string }[];
}

export interface Judged {
  /** The document that the refusal is told of; 0 for a deletion. */
  readonly document: number;
  readonly policy: JudgedPolicy;
  readonly isChanged: boolean;
}

export interface StatedChange {
  readonly question: TrialQuestion;
  /** As it is. */
  readonly fleet: FleetPools;
  readonly judged: readonly Judged[];
}

type Policy = Pick<Resource<"PlacementPolicy">, "spec"> & { readonly metadata: { readonly name: string } };

/** Undefined where nothing with guard-rails can come to be otherwise. */
export function stateChange(
  { log, observed }: { readonly log: ResourceLog; readonly observed: ObservedNodes },
  change: RailedChange,
  { reports }: PoolKnowledge,
): StatedChange | undefined {
  const stored: readonly Policy[] = listResources(log, "PlacementPolicy");
  const policies = afterwards(stored, change, "PlacementPolicy");
  const sized = withReportedSizes(appsAfter(log, change), [...reports.values()]);
  const fleetOf = (pools: readonly StatedPool[], nodes: readonly StoredNode[]) => {
    const isDead = (name: string) => observed.find(name)?.state?.state === "dead";
    const stated = nodes.map(({ metadata: { name }, spec }) => ({ name, ...spec, isDead: isDead(name) }));
    return fleetPools({ pools, nodes: stated, reports, apps: sized });
  };
  const storedPools: readonly StatedPool[] = listResources(log, "NodePool");
  const storedNodes: readonly StoredNode[] = listResources(log, "Node");
  const fleet = fleetOf(storedPools, storedNodes);
  const after = fleetOf(afterwards(storedPools, change, "NodePool"), afterwards(storedNodes, change, "Node"));
  const poolDocument = isSame(fleet, after) ? undefined : documentOfPools(change);
  const judged = listJudged(change, stored, poolDocument);
  if (judged.length === 0) return undefined;
  const [before, later] = [stored, policies].map((of) =>
    of.map(({ metadata, spec }) => ({ name: metadata.name, spec })),
  );
  // Where there was nothing to place on, the pools are no change for anybody: what is judged is the policies.
  const isFirst = !holdsAny(fleet, sized);
  const pools = { before: isFirst ? after.pools : fleet.pools, after: after.pools };
  const question = {
    apps: sized,
    before: { pools: pools.before, policies: before ?? [] },
    after: { pools: pools.after, policies: later ?? [] },
  };
  return { question, fleet: isFirst ? after : fleet, judged };
}

/** Whether any pool has a slot of a class of an app. */
export function holdsAny({ pools }: Pick<FleetPools, "pools">, apps: TrialQuestion["apps"]): boolean {
  const classes = new Set(apps.flatMap(({ spec }) => spec.classes.map(({ name }) => name)));
  return pools.some((pool) => pool.classes.some(({ renderClass, slots }) => slots > 0 && classes.has(renderClass)));
}

interface StoredNode {
  readonly metadata: { readonly name: string };
  readonly spec: NodeSpec;
}

/** As they will be on both sides. */
function appsAfter(log: ResourceLog, change: RailedChange) {
  return afterwards(listResources(log, "RenderApp"), change, "RenderApp").map(dayAppOf);
}

/** What is stored and neither written nor deleted, with what is written. */
function afterwards<K extends ResourceInput["kind"], T extends { readonly metadata: { readonly name: string } }>(
  stored: readonly T[],
  { written, deleted }: RailedChange,
  kind: K,
): readonly (T | Extract<ResourceInput, { kind: K }>)[] {
  const isOfKind = (input: ResourceInput): input is Extract<ResourceInput, { kind: K }> => input.kind === kind;
  const inputs = written.filter(isOfKind);
  const gone = deleted.flatMap((each) => (each.kind === kind ? [each.name] : []));
  const names = new Set([...inputs.map(({ metadata }) => metadata.name), ...gone]);
  return [...stored.filter(({ metadata }) => !names.has(metadata.name)), ...inputs];
}

/** What of pools counts in a simulation: their places, labels, slots and whether they take sessions. */
function isSame(before: FleetPools, after: FleetPools): boolean {
  const said = ({ pools }: FleetPools) => pools.map((pool) => JSON.stringify(pool)).sort();
  return JSON.stringify(said(before)) === JSON.stringify(said(after));
}

/** The first of what says which pools there are and what they hold. */
function documentOfPools({ written }: RailedChange): number {
  return Math.max(
    0,
    written.findIndex(({ kind }) => kind === "NodePool" || kind === "Node"),
  );
}

interface PolicyChange extends JudgedPolicy {
  readonly document: number;
}

/**
 * Each policy with guard-rails that is changed or deleted, or has an app of one that is: which policy applies hangs on
 * all of an app's, and a new one before it would take its sessions. And all of them, where pools are changed.
 */
function listJudged(
  change: RailedChange,
  stored: readonly Policy[],
  poolDocument: number | undefined,
): readonly Judged[] {
  const changes = changesOf(change, stored);
  const changed = new Set(changes.map(({ name }) => name));
  const others = stored.flatMap(({ metadata: { name }, spec: { apps, guardRails } }): PolicyChange[] => {
    const shared = changes.find((each) => each.apps.some((app) => apps.includes(app)));
    const document = shared?.document ?? poolDocument;
    if (changed.has(name) || document === undefined) return [];
    return [{ document, name, apps, rails: guardRails === undefined ? [] : [guardRails] }];
  });
  return [...changes, ...others].flatMap(({ document, ...policy }) =>
    policy.rails.length === 0 ? [] : [{ document, policy, isChanged: changed.has(policy.name) }],
  );
}

function changesOf({ written, deleted }: RailedChange, stored: readonly Policy[]): readonly PolicyChange[] {
  const specOf = (name: string) => stored.find(({ metadata }) => metadata.name === name)?.spec;
  const writes = written.flatMap((input, document): PolicyChange[] => {
    if (input.kind !== "PlacementPolicy") return [];
    const { name } = input.metadata;
    const before = specOf(name);
    if (JSON.stringify(before) === JSON.stringify(input.spec)) return [];
    return [{ document, name, ...partsOf([before, input.spec]) }];
  });
  const deletions = deleted.flatMap(({ kind, name }): PolicyChange[] =>
    kind === "PlacementPolicy" ? [{ document: 0, name, ...partsOf([specOf(name)]) }] : [],
  );
  return [...writes, ...deletions];
}

function partsOf(specs: readonly (Policy["spec"] | undefined)[]): Pick<JudgedPolicy, "apps" | "rails"> {
  return {
    apps: [...new Set(specs.flatMap((spec) => spec?.apps ?? []))],
    rails: specs.flatMap((spec) => spec?.guardRails ?? []),
  };
}
