/** Where a new session's client is sent to probe. */
import type { ProbeTarget } from "#contracts/operator-api/sessions.ts";
import type { AppliedPolicy } from "#domain/placement/policy-selection.ts";
import type { ShortlistClient } from "#domain/placement/shortlist.ts";
import type { RenderAppSpec } from "#domain/session/render-app.ts";
import type { Random } from "#platform/random.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { type ProbePlan, planProbes, type RttHistory } from "../placement/candidates.ts";
import { listOpenEdges, type PoolFacts } from "../placement/pool-facts.ts";
import type { ProbeTokens } from "./probe-tokens.ts";

export interface ProbeChoice {
  readonly client: ShortlistClient;
  readonly app: RenderAppSpec;
  readonly policy: AppliedPolicy;
  readonly history: RttHistory;
}

export async function chooseProbes(
  { ledger, facts }: { readonly ledger: Ledger; readonly facts: { listPools(): readonly PoolFacts[] } },
  { client, app, policy, history }: ProbeChoice,
): Promise<ProbePlan> {
  const pools = facts.listPools();
  const holdsApp = await findHolders(ledger, app, pools);
  return planProbes(client, pools, { constraints: policy.rules.constraints, history, holdsIt: holdsApp });
}

/** Whether any agent of a pool, as last reported, holds a class of the app. Costs pools times classes. */
export async function findHolders(
  ledger: Ledger,
  app: RenderAppSpec,
  pools: readonly PoolFacts[],
): Promise<(pool: PoolFacts) => boolean> {
  const queries = pools.flatMap(({ pool, excludedAgents }) =>
    app.classes.map(({ name }) => ({ pool, renderClass: name, excludedAgents })),
  );
  const capacities = await ledger.capacities(queries);
  const holders = new Set(queries.flatMap(({ pool }, at) => ((capacities[at]?.slotsTotal ?? 0) > 0 ? [pool] : [])));
  return ({ pool }) => holders.has(pool);
}

/** One edge of each pool, at random: a pool's edges share the probes. */
export function issueProbes(
  { probeTokens, random }: { readonly probeTokens: ProbeTokens; readonly random: Random },
  session: string,
  pools: readonly PoolFacts[],
): Promise<ProbeTarget[]> {
  const targets = pools.flatMap((pool) => {
    const edges = listOpenEdges(pool);
    const edge = edges[random.integer(Math.max(1, edges.length))];
    return edge === undefined ? [] : [{ pool: pool.pool, ...edge }];
  });
  return Promise.all(
    targets.map(({ node, pool, contentUrl }) => probeTokens.issue({ node, pool, session }, contentUrl)),
  );
}
