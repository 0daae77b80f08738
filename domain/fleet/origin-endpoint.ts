/** Where nodes reach one of the origins that share a log; which of them a node knows. Pure. */
import type { AnyResource } from "../resource.ts";

export interface OriginEndpointSpec {
  /** `host:port`, each a listener of the same origin. */
  readonly enrolment: string;
  readonly nodeRpc: string;
  readonly delivery: string;
}

/** Of a node's configuration, and as many again of the log: a replicated log has three or five origins. */
export const ORIGIN_ENDPOINTS_MAX = 16;

/** Those of the node's own configuration first, then those that the set names; of two with one `nodeRpc` the first. */
export function knownOrigins<E extends Pick<OriginEndpointSpec, "nodeRpc">>(
  configured: readonly E[],
  resources: Iterable<AnyResource>,
): readonly (E | OriginEndpointSpec)[] {
  const known = new Map<string, E | OriginEndpointSpec>();
  const learn = (endpoint: E | OriginEndpointSpec): void => {
    if (!known.has(endpoint.nodeRpc)) known.set(endpoint.nodeRpc, endpoint);
  };
  for (const endpoint of configured.slice(0, ORIGIN_ENDPOINTS_MAX)) learn(endpoint);
  let listed = 0;
  for (const resource of resources) {
    if (resource.kind !== "OriginEndpoint") continue;
    listed += 1;
    if (listed > ORIGIN_ENDPOINTS_MAX) break;
    learn(resource.spec);
  }
  return [...known.values()];
}
