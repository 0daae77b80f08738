/** What no schema can say: a spec whose parts contradict each other. Pure. */

import type { SignedUrls, SiteSpec } from "../content/site.ts";
import type { OriginEndpointSpec } from "../fleet/origin-endpoint.ts";
import type { RolloutPolicySpec } from "../fleet/rollout.ts";
import { plainPath } from "../http/plain-path.ts";
import { parseHostName } from "../ids.ts";
import type { AnyResource } from "../resource.ts";
import type { Fault } from "../schema-faults.ts";
import type { RenderAppSpec } from "../session/render-app.ts";
import { CONTENT_POLICY_RULES } from "./content-contradictions.ts";
import { PLACEMENT_POLICY_RULES } from "./placement-contradictions.ts";
import { judgeRules, rulesOf } from "./spec-rules.ts";

const PORT_MAX = 65_535;

/** A kind with its spec, all that is needed to find contradictions. */
export type KindAndSpec = { [R in AnyResource as R["kind"]]: Pick<R, "kind" | "spec"> }[AnyResource["kind"]];

/** Of a spec that is wrong elsewhere: those of its fields that are as the schema has them. */
export type KindAndParts = {
  [R in AnyResource as R["kind"]]: Pick<R, "kind"> & { readonly spec: Partial<R["spec"]> };
}[AnyResource["kind"]];

/** What needs a faulty field to be judged is not said. */
export function findContradictions(resource: KindAndParts, faulty: ReadonlySet<string> = new Set()): readonly Fault[] {
  switch (resource.kind) {
    case "Site":
      return judgeRules(SITE_RULES, resource.spec, faulty);
    case "PlacementPolicy":
      return judgeRules(PLACEMENT_POLICY_RULES, resource.spec, faulty);
    case "ContentPolicy":
      return judgeRules(CONTENT_POLICY_RULES, resource.spec, faulty);
    case "RenderApp":
      return judgeRules(RENDER_APP_RULES, resource.spec, faulty);
    case "OriginEndpoint":
      return judgeRules(ORIGIN_ENDPOINT_RULES, resource.spec, faulty);
    case "RolloutPolicy":
      return judgeRules(ROLLOUT_POLICY_RULES, resource.spec, faulty);
    default:
      return [];
  }
}

const ofSite = rulesOf<SiteSpec>();
const SITE_RULES = [
  ofSite(["publish", "pull"], sourceFaults),
  ofSite(["hostnames"], hostnameFaults),
  ofSite(["pull"], ({ pull }) => (pull === undefined ? [] : upstreamFaults(pull.upstream))),
  ofSite(["signedUrls"], ({ signedUrls }) => (signedUrls === undefined ? [] : signedUrlFaults(signedUrls))),
];
const RENDER_APP_RULES = [rulesOf<RenderAppSpec>()(["classes"], classFaults)];
const ofEndpoint = rulesOf<OriginEndpointSpec>();
const ORIGIN_ENDPOINT_RULES = [
  ofEndpoint(["enrolment"], ({ enrolment }) => portFaults("enrolment", enrolment)),
  ofEndpoint(["nodeRpc"], ({ nodeRpc }) => portFaults("nodeRpc", nodeRpc)),
  ofEndpoint(["delivery"], ({ delivery }) => portFaults("delivery", delivery)),
];
const ROLLOUT_POLICY_RULES = [rulesOf<RolloutPolicySpec>()(["waves"], waveFaults)];

function sourceFaults({ publish, pull }: Pick<SiteSpec, "publish" | "pull">): Fault[] {
  if ((publish === undefined) !== (pull === undefined)) return [];
  return [{ pointer: "/spec", message: "spec must have exactly one of publish and pull" }];
}

function hostnameFaults({ hostnames }: Pick<SiteSpec, "hostnames">): Fault[] {
  return hostnames.flatMap((name, index): Fault[] => {
    if (parseHostName(name) === name) return [];
    const message = `spec.hostnames[${index}] must be a lower-case host name without port, got ${JSON.stringify(name)}`;
    return [{ pointer: `/spec/hostnames/${index}`, message }];
  });
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

function classFaults({ classes }: Pick<RenderAppSpec, "classes">): Fault[] {
  const names = classes.map((renderClass) => renderClass.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return [];
  return [{ pointer: "/spec/classes", message: `spec.classes must have different names, got ${twice} twice` }];
}

function portFaults(listener: keyof OriginEndpointSpec, address: string): Fault[] {
  const port = Number(address.slice(address.lastIndexOf(":") + 1));
  if (port >= 1 && port <= PORT_MAX) return [];
  const message = `spec.${listener} must have a port of 1..${PORT_MAX}, got ${JSON.stringify(address)}`;
  return [{ pointer: `/spec/${listener}`, message }];
}

function waveFaults({ waves }: RolloutPolicySpec): Fault[] {
  const names = waves.flatMap(({ pools }) => pools);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return [];
  return [{ pointer: "/spec/waves", message: `spec.waves must name a pool once, got ${twice} twice` }];
}
