/** What no schema can say: a spec whose parts contradict each other. Pure. */

import type { SignedUrls, SiteSpec } from "../content/site.ts";
import type { OriginEndpointSpec } from "../fleet/origin-endpoint.ts";
import type { RolloutPolicySpec } from "../fleet/rollout.ts";
import { plainPath } from "../http/plain-path.ts";
import { parseHostName } from "../ids.ts";
import type { AnyResource } from "../resource.ts";
import type { Fault } from "../schema-faults.ts";
import type { RenderAppSpec } from "../session/render-app.ts";
import { contentPolicyFaults } from "./content-contradictions.ts";
import { placementPolicyFaults } from "./placement-contradictions.ts";

const PORT_MAX = 65_535;

/** A kind with its spec, all that is needed to find contradictions. */
export type KindAndSpec = { [R in AnyResource as R["kind"]]: Pick<R, "kind" | "spec"> }[AnyResource["kind"]];

export function findContradictions(resource: KindAndSpec): readonly Fault[] {
  switch (resource.kind) {
    case "Site":
      return siteFaults(resource.spec);
    case "PlacementPolicy":
      return placementPolicyFaults(resource.spec);
    case "ContentPolicy":
      return contentPolicyFaults(resource.spec);
    case "RenderApp":
      return renderAppFaults(resource.spec);
    case "OriginEndpoint":
      return originEndpointFaults(resource.spec);
    case "RolloutPolicy":
      return rolloutPolicyFaults(resource.spec);
    default:
      return [];
  }
}

function siteFaults(spec: SiteSpec): Fault[] {
  const faults: Fault[] = [];
  if ((spec.publish === undefined) === (spec.pull === undefined)) {
    faults.push({ pointer: "/spec", message: "spec must have exactly one of publish and pull" });
  }
  spec.hostnames.forEach((name, index) => {
    if (parseHostName(name) !== name) {
      faults.push({
        pointer: `/spec/hostnames/${index}`,
        message: `spec.hostnames[${index}] must be a lower-case host name without port, got ${JSON.stringify(name)}`,
      });
    }
  });
  if (spec.pull !== undefined) faults.push(...upstreamFaults(spec.pull.upstream));
  if (spec.signedUrls !== undefined) faults.push(...signedUrlFaults(spec.signedUrls));
  return faults;
}

/** A path that no request is compared with as it is written would be open. */
function signedUrlFaults({ keys, paths }: SignedUrls): Fault[] {
  const ids = keys.map(({ keyId }) => keyId);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  const faults = paths.flatMap((path, index): Fault[] => {
    if (plainPath(path.replace(/\*$/, "")) !== undefined) return [];
    const message = `spec.signedUrls.paths[${index}] must be written as in a URL, without dot or empty segments, got ${JSON.stringify(path)}`;
    return [{ pointer: `/spec/signedUrls/paths/${index}`, message }];
  });
  if (twice === undefined) return faults;
  const message = `spec.signedUrls.keys must have different ids, got ${twice} twice`;
  return [...faults, { pointer: "/spec/signedUrls/keys", message }];
}

/** Scheme, host and port only: a path here would silently be dropped or doubled. */
function upstreamFaults(upstream: string): Fault[] {
  if (/^https?:\/\/[^/?#@\s]+$/.test(upstream)) return [];
  return [
    {
      pointer: "/spec/pull/upstream",
      message: `spec.pull.upstream must be http:// or https:// with a host and no path, got ${JSON.stringify(upstream)}`,
    },
  ];
}

function renderAppFaults(spec: RenderAppSpec): Fault[] {
  const names = spec.classes.map((renderClass) => renderClass.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return [];
  return [{ pointer: "/spec/classes", message: `spec.classes must have different names, got ${twice} twice` }];
}

function originEndpointFaults(spec: OriginEndpointSpec): Fault[] {
  return Object.entries(spec).flatMap(([listener, address]: [string, string]): Fault[] => {
    const port = Number(address.slice(address.lastIndexOf(":") + 1));
    if (port >= 1 && port <= PORT_MAX) return [];
    const message = `spec.${listener} must have a port of 1..${PORT_MAX}, got ${JSON.stringify(address)}`;
    return [{ pointer: `/spec/${listener}`, message }];
  });
}

function rolloutPolicyFaults({ waves }: RolloutPolicySpec): Fault[] {
  const names = waves.flatMap(({ pools }) => pools);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return [];
  return [{ pointer: "/spec/waves", message: `spec.waves must name a pool once, got ${twice} twice` }];
}
