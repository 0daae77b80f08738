/** Applies operators' documents to the log, all or none; every fault of every document at once. */
import type { ApplyResult } from "#contracts/operator-api/operator.ts";
import { parseResourceInput, type ResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { PURGE_AHEAD_MS_MAX } from "#domain/content/purge.ts";
import { Failure } from "#domain/failure.ts";
import { WRITER_BY_KIND } from "#domain/resource.ts";
import type { Fault } from "#domain/schema-faults.ts";
import { expressionFaults } from "#platform/cel/expressions.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { findResource, listResources, planWrite } from "../log/resources.ts";
import type { RailCheck, RailWarnings } from "../policy-trial/guard-rails.ts";
import { changedPointers } from "./changed-pointers.ts";
import { hostnameFaults, type NamedSite } from "./hostname-faults.ts";
import { keepRails } from "./keep-rails.ts";
import { policyWarnings } from "./policy-warnings.ts";

type DocumentFault = Fault & { readonly document: number };

export interface ApplyOptions {
  readonly dryRun: boolean;
  readonly nowMs: number;
  /** What a simulation of all the documents says of guard-rails; undefined where nobody can say. */
  readonly checkRails?: (inputs: readonly ResourceInput[]) => Promise<RailCheck>;
  /** Applies although guard-rails are broken, which is then told to `onForced`. */
  readonly force?: boolean;
  readonly onForced?: (breaches: RailWarnings) => void;
}

/** Throws `resource-invalid` or `guard-rails-broken` with `faults`, or `resource-conflict`. */
export async function applyDocuments(
  log: ResourceLog,
  documents: readonly unknown[],
  options: ApplyOptions,
): Promise<ApplyResult> {
  const inputs = parseDocuments(log, documents, options.nowMs);
  const plans = inputs.map((input) => ({
    input,
    before: findResource(log, input.kind, input.metadata.name),
    plan: planWrite(log, input, options.nowMs),
  }));
  const check = (await options.checkRails?.(inputs)) ?? { breaches: [], warnings: [] };
  const whereOf = ({ document }: RailWarnings[number]) => `document ${document}: `;
  const railWarnings = keepRails(check, { ...options, whereOf });
  const writes = plans.flatMap(({ plan }) => plan.write ?? []);
  const rows = options.dryRun || writes.length === 0 ? [] : await log.write(writes);
  const versions = new Map(rows.map((row) => [`${row.kind}/${row.name}`, row.revision]));
  return {
    revision: log.revision(),
    dryRun: options.dryRun,
    warnings: [...policyWarnings(log, inputs), ...railWarnings],
    results: plans.map(({ input, before, plan }) => ({
      kind: input.kind,
      name: input.metadata.name,
      action: plan.action,
      resourceVersion: versions.get(`${input.kind}/${input.metadata.name}`) ?? before?.metadata.resourceVersion ?? 0,
      changed: changedPointers(
        { spec: before?.spec, metadata: { labels: before?.metadata.labels } },
        { spec: input.spec, metadata: { labels: input.metadata.labels } },
      ),
    })),
  };
}

function parseDocuments(log: ResourceLog, documents: readonly unknown[], nowMs: number): readonly ResourceInput[] {
  const inputs: ResourceInput[] = [];
  const faults: DocumentFault[] = [];
  const sites: (NamedSite & { readonly document: number })[] = [];
  const seen = new Set<string>();
  for (const [document, value] of documents.entries()) {
    const parsed = parseResourceInput(value, { nowMs });
    const said = parsed.kind === "valid" ? parsed.input : parsed.sound;
    const found = [
      ...(parsed.kind === "invalid"
        ? parsed.faults
        : [...faultsOfWriting(log, parsed.input, seen), ...faultsOfTime(parsed.input, nowMs)]),
      ...(said?.kind === "PlacementPolicy" ? expressionFaults(said.spec) : []),
    ];
    faults.push(...found.map((fault) => ({ document, ...fault })));
    if (parsed.kind === "invalid") continue;
    const input = withPeerAddress(log, parsed.input);
    inputs.push(input);
    if (input.kind === "Site") sites.push({ document, name: input.metadata.name, spec: input.spec });
  }
  faults.push(...faultsOfHostnames(log, sites));
  if (faults.length === 0) return inputs;
  const message = faults.map((fault) => `document ${fault.document}: ${fault.message}`).join("\n");
  throw new Failure("resource-invalid", message, { detail: { faults } });
}

function faultsOfHostnames(
  log: ResourceLog,
  sites: readonly (NamedSite & { readonly document: number })[],
): readonly DocumentFault[] {
  if (sites.length === 0) return [];
  const stored = listResources(log, "Site").map(({ metadata, spec }) => ({ name: metadata.name, spec }));
  const faults = hostnameFaults(sites, stored);
  return sites.flatMap(({ document }, at) => (faults[at] ?? []).map((fault) => ({ document, ...fault })));
}

function faultsOfWriting(log: ResourceLog, input: ResourceInput, seen: Set<string>): readonly Fault[] {
  const key = `${input.kind}/${input.metadata.name}`;
  if (seen.has(key)) return [{ pointer: "/metadata/name", message: `${key} is in this request twice` }];
  seen.add(key);
  if (input.kind === "Node") return faultsOfNode(log, input);
  const writer = WRITER_BY_KIND[input.kind];
  if (writer === "operator") return [];
  return [{ pointer: "/kind", message: `kind ${input.kind} is written by the ${writer}, not by operators` }];
}

function faultsOfTime(input: ResourceInput, nowMs: number): readonly Fault[] {
  const latestMs = nowMs + PURGE_AHEAD_MS_MAX;
  if (input.kind !== "Purge" || input.spec.atMs <= latestMs) return [];
  const message = `spec.atMs must be at most ${latestMs}, ${PURGE_AHEAD_MS_MAX / 1000} s from now by the origin's clock, got ${input.spec.atMs}: leave it out to mean now`;
  return [{ pointer: "/spec/atMs", message }];
}

/** Where an edge listens to others is its own word, whatever the document has of it. */
function withPeerAddress(log: ResourceLog, input: ResourceInput): ResourceInput {
  if (input.kind !== "Node") return input;
  const current = findResource(log, "Node", input.metadata.name)?.spec.peerAddress;
  const { peerAddress: _, ...others } = input.spec;
  return { ...input, spec: { ...others, ...(current === undefined ? {} : { peerAddress: current }) } };
}

/** Enrolment makes nodes; operators label, cordon and drain them. */
function faultsOfNode(log: ResourceLog, input: ResourceInput & { readonly kind: "Node" }): readonly Fault[] {
  const current = findResource(log, "Node", input.metadata.name);
  if (current === undefined) {
    return [{ pointer: "/metadata/name", message: `Node ${input.metadata.name} has not joined: make it a join token` }];
  }
  const fields = (["role", "pool"] as const).filter((field) => current.spec[field] !== input.spec[field]);
  return fields.map((field) => ({
    pointer: `/spec/${field}`,
    message: `spec.${field} of a node that joined stays ${current.spec[field]}, got ${input.spec[field]}: join it again`,
  }));
}
