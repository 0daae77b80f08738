/** Who answers what on the content listener of an edge-node. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Failure } from "#domain/failure.ts";
import type { SiteGates } from "../access/site-gates.ts";
import type { ContentRoutes } from "../content-listener.ts";
import type { DesiredSite } from "../desired-state/desired-view.ts";
import type { EdgeEvents } from "../events.ts";
import type { HitFinder, LaneRequest } from "../front/fast-lane.ts";
import type { PullSites } from "../pull-sites.ts";
import { sendProblem } from "./problems.ts";
import { PublishedHits } from "./published-hits.ts";
import type { PublishedParts } from "./published-site.ts";
import { servePublished } from "./published-site.ts";
import type { ReleaseKeeper } from "./release-keeper.ts";

export interface RouteParts extends Omit<PublishedParts, "events"> {
  readonly siteOf: (host: string | undefined) => DesiredSite | undefined;
  readonly keeper: Pick<ReleaseKeeper, "get">;
  readonly pulls: Pick<PullSites, "get">;
  readonly gates: Pick<SiteGates, "get">;
  readonly link: { readonly cutOffMs: number; readonly isUp: boolean };
  readonly events: PublishedParts["events"] & Pick<ContentRoutes["events"], "published" | "misdirected">;
  readonly edgeEvents: EdgeEvents;
}

/** Of a request that the fast lane may answer. */
type SiteOfRequest = (request: Pick<LaneRequest, "target" | "host">) => DesiredSite | undefined;

export function contentRoutes(
  parts: RouteParts,
  door: (incoming: IncomingMessage, response: ServerResponse) => boolean,
): ContentRoutes {
  const { keeper, pulls, link } = parts;
  // While cut off a policy, or steering, may have a word; what begins with a dot is the door's or of certificates.
  const siteOf: SiteOfRequest = ({ target, host }) =>
    link.isUp && !target.startsWith("/.") ? parts.siteOf(host) : undefined;
  return {
    door,
    siteOf: parts.siteOf,
    denial({ name, offline: { denyAfterSeconds } }) {
      if (denyAfterSeconds === undefined || link.cutOffMs <= denyAfterSeconds * 1000) return undefined;
      return new Failure("unavailable", `site ${name} is not served: cut off for more than ${denyAfterSeconds} s`);
    },
    admit: (site, incoming, response) => parts.gates.get(site).admit(incoming, response),
    async servePublished({ name, spec }, incoming, response) {
      const release = keeper.get(name);
      if (release !== undefined && spec.publish !== undefined) {
        return await servePublished(parts, { incoming, response, content: spec.publish, release });
      }
      sendProblem(response, new Failure("unavailable", `site ${name} has no release here yet`));
      return undefined;
    },
    async servePulled({ name }, incoming, response) {
      const flow = pulls.get(name);
      if (flow !== undefined) return await flow.handle(incoming, response);
      sendProblem(response, new Failure("unavailable", `site ${name} is not set up yet`));
      return "failed";
    },
    ...hitsOf(parts, siteOf),
    events: { ...parts.edgeEvents, ...parts.events },
  };
}

function hitsOf(
  { keeper, pulls, gates, memory }: RouteParts,
  siteOf: SiteOfRequest,
): Pick<ContentRoutes, "hits" | "lend"> {
  const published = new PublishedHits(memory);
  const find: HitFinder["find"] = (request, nowMs) => {
    const site = siteOf(request);
    if (site === undefined) return undefined;
    if (site.spec.pull !== undefined) return pulls.get(site.name)?.hits.find(request, nowMs);
    const release = keeper.get(site.name);
    if (release === undefined || site.spec.publish === undefined) return undefined;
    const gate = gates.get(site);
    if (gate.isSigned) return undefined;
    const hit = published.find(request, site.spec.publish, release.manifest);
    return hit !== undefined && gate.take(request.remoteAddress, request.fields) ? hit : undefined;
  };
  return {
    hits: { find },
    lend(request, nowMs) {
      const site = siteOf(request);
      const gate = site && gates.get(site);
      if (site === undefined || gate === undefined || gate.limiter !== undefined) return undefined;
      if (site.spec.pull !== undefined) return pulls.get(site.name)?.hits.find(request, nowMs);
      const release = keeper.get(site.name);
      return release === undefined || gate.isSigned
        ? undefined
        : published.lend(request, site, release.manifest, nowMs);
    },
  };
}
