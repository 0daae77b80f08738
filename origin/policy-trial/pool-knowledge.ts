/** What the origin knows of what pools hold: by what edges report, and where they do not yet, by what they said last. */
import { isFailure } from "#domain/failure.ts";
import { mergeReports, type PoolReport } from "#domain/simulation/pool-reports.ts";
import type { Clock } from "#platform/clock.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { listResources } from "../log/resources.ts";
import type { ObservedNodes } from "../observed/observed-nodes.ts";
import type { KeptReports } from "../records/kept-reports.ts";

/** What a pool holds changes by the hour; an origin that is killed loses no more of it than this. */
export const REPORTS_KEPT_EVERY_MS = 30_000;

export interface KnowledgeParts {
  readonly log: ResourceLog;
  readonly observed: ObservedNodes;
  readonly records: { readonly reports: KeptReports };
  readonly clock: Clock;
}

export interface PoolKnowledge {
  /** By pool. */
  readonly reports: ReadonlyMap<string, PoolReport>;
  /** Pools whose agents are as they were last reported, before this origin was started or all of them fell silent. */
  readonly remembered: readonly { readonly pool: string; readonly ageMs: number }[];
}

/** Keeps what is known from time to time, and at the end. What could not be kept is kept the next time. */
export function startKeepingReports(
  parts: KnowledgeParts & { readonly events: { housekeepingFailed(error: unknown): void } },
): Disposable {
  const keep = () => {
    try {
      keepReports(parts);
    } catch (error) {
      if (!isFailure(error)) throw error;
      parts.events.housekeepingFailed(error);
    }
  };
  const keeping = parts.clock.every(REPORTS_KEPT_EVERY_MS, keep);
  return {
    [Symbol.dispose]() {
      keeping[Symbol.dispose]();
      keep();
    },
  };
}

export function keepReports({ log, observed, records, clock }: KnowledgeParts): void {
  const told = [...liveReports(log, observed)].filter(([, { agents }]) => agents.length > 0);
  const pools = new Set(listResources(log, "NodePool").map(({ metadata }) => metadata.name));
  records.reports.keep(new Map(told), pools, clock.nowMs());
}

/**
 * A pool none of whose agents is heard of is taken as it was last: it starts, or is away, and who took it out of service
 * for good has deleted its nodes.
 */
export function readPoolKnowledge({ log, observed, records, clock }: KnowledgeParts): PoolKnowledge {
  const reports = new Map(liveReports(log, observed));
  const remembered: PoolKnowledge["remembered"][number][] = [];
  for (const [pool, { report, seenAtMs }] of records.reports.list()) {
    const live = reports.get(pool);
    if (live !== undefined && live.agents.length > 0) continue;
    reports.set(pool, { ...report, ...live, agents: report.agents });
    remembered.push({ pool, ageMs: Math.max(0, clock.nowMs() - seenAtMs) });
  }
  return { reports, remembered };
}

function liveReports(log: ResourceLog, observed: ObservedNodes): ReadonlyMap<string, PoolReport> {
  const scenes = new Set(listResources(log, "RenderApp").map(({ spec }) => spec.bundle.site));
  const told = observed.list().flatMap(({ pool, status }) => (status === undefined ? [] : [{ pool, status }]));
  const byPool = Map.groupBy(told, ({ pool }) => pool);
  return new Map(
    [...byPool].map(([pool, edges]) => {
      const report = mergeReports(edges.map(({ status }) => status));
      return [pool, { ...report, sites: report.sites.filter(({ site }) => scenes.has(site)) }];
    }),
  );
}
