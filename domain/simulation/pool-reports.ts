/** What the edges of a pool have said of what it holds: agents with their slots, and releases of sites. Pure. */
import { isRenderable, roomBytesOf } from "../content/pool-store.ts";
import type { NodeStatus, SiteStatus, SlotCount } from "../fleet/node.ts";
import type { Labels } from "../placement/labels.ts";
import type { RenderAppSpec } from "../session/render-app.ts";
import type { DayApp } from "./day.ts";

/** Bytes of the release that a RenderApp's scene is a file of, where no edge has reported them. */
export const BUNDLE_BYTES_LABEL = "perigee.dev/bundle-bytes";

export interface ReportedAgent {
  readonly agent: string;
  readonly slots: readonly Pick<SlotCount, "renderClass" | "total" | "frameMsP95">[];
}

export interface ReportedSite {
  readonly site: string;
  /** Sessions can be rendered from it. */
  readonly isHeld: boolean;
  /** Of its release; absent where no manifest is known. */
  readonly releaseBytes?: number;
}

export interface PoolReport {
  readonly agents: readonly ReportedAgent[];
  readonly sites: readonly ReportedSite[];
  /** For releases; absent where no store is reported. */
  readonly roomBytes?: number;
}

/** What is read of an edge's status. */
export interface EdgeReport extends Pick<NodeStatus, "storeBytesMax"> {
  readonly agents: readonly ReportedAgent[];
  readonly sites: readonly SiteStatus[];
}

/** Every edge of a pool speaks for all of its agents; what one of them holds its siblings have from it. */
export function mergeReports(reports: readonly EdgeReport[]): PoolReport {
  const agents = new Map(reports.flatMap(({ agents: of }) => of.map((agent) => [agent.agent, agent])));
  const sites = Map.groupBy(
    reports.flatMap(({ sites: of }) => of),
    ({ site }) => site,
  );
  const roomBytes = roomBytesOf(reports.map(({ storeBytesMax }) => storeBytesMax));
  return {
    agents: [...agents.values()].map(({ agent, slots }) => ({
      agent,
      slots: slots.map(({ renderClass, total, frameMsP95 }) => ({ renderClass, total, frameMsP95 })),
    })),
    sites: [...sites].map(([site, statuses]) => ({
      ...{ site, isHeld: statuses.some(isRenderable) },
      ...sizeOf(statuses),
    })),
    ...(roomBytes === undefined ? {} : { roomBytes }),
  };
}

/** Some edges have another generation: the largest counts. */
function sizeOf(statuses: readonly Pick<SiteStatus, "releaseBytes">[]): { readonly releaseBytes?: number } {
  const sizes = statuses.flatMap(({ releaseBytes }) => releaseBytes ?? []);
  return sizes.length === 0 ? {} : { releaseBytes: Math.max(...sizes) };
}

/** With the size of its bundle as its label says. */
export function dayAppOf({ metadata, spec }: StatedApp): DayApp {
  const { [BUNDLE_BYTES_LABEL]: text = "" } = metadata.labels;
  const bytes = /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  return { name: metadata.name, spec, bundle: { site: spec.bundle.site, bytes } };
}

export interface StatedApp {
  readonly metadata: { readonly name: string; readonly labels: Labels };
  readonly spec: RenderAppSpec;
}

/** With the sizes that edges report, which go before what labels say. */
export function withReportedSizes(apps: readonly DayApp[], reports: readonly PoolReport[]): readonly DayApp[] {
  const reported = Map.groupBy(
    reports.flatMap(({ sites }) => sites),
    ({ site }) => site,
  );
  return apps.map((app) => {
    const { releaseBytes } = sizeOf(reported.get(app.bundle?.site ?? "") ?? []);
    return app.bundle === undefined || releaseBytes === undefined
      ? app
      : { ...app, bundle: { ...app.bundle, bytes: releaseBytes } };
  });
}
