/** Tells the count of demand what came of a session's wish. */
import { budgetPartsOf, deriveRttLimitMs } from "#domain/latency/budget.ts";
import type { DemandReports } from "../pricing/demand-counter.ts";
import type { PlacingRequest } from "./placing.ts";

export type WishOutcome =
  | { readonly state: "placed"; readonly pool: string }
  | { readonly state: "waiting" | "refused"; readonly pool?: undefined };

/** `decision` is the record of the class that the session would like best. */
export function reportWish(
  wishes: DemandReports,
  request: PlacingRequest,
  { state, pool }: WishOutcome,
  decision: Uint8Array | undefined,
): void {
  const { session, groups, coordinates, policy, device, app, running, because } = request;
  const [renderClass] = request.classes;
  if (renderClass === undefined) return;
  if (running !== undefined && pool === undefined) return;
  const parts = budgetPartsOf({ budgetMs: policy.budgetMs, device, app: app.spec, renderClass }, 0);
  wishes.attempted({
    ...{ session, state, pool, decision },
    client: { groups, coordinates },
    roomMs: deriveRttLimitMs(parts),
    renderClass: renderClass.name,
    isNew: because === "new",
  });
}
