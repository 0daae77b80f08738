/** What sites were used, as operators read it. */
import { toUsageSum, USAGE_ROWS_MAX, usageListSchema, usageQuerySchema } from "#contracts/operator-api/usage.ts";
import { Failure } from "#domain/failure.ts";
import { HOUR_MS } from "#domain/usage/site-usage.ts";
import type { ApiServer } from "#platform/http/api-server.ts";
import type { Records } from "../records/records.ts";
import { authorise, type TokenDesk } from "./authorisation.ts";

/** Where no begin is asked for. */
const SHOWN_MS = { hour: 24 * HOUR_MS, day: 30 * 24 * HOUR_MS } as const;

export interface UsageRouteParts extends TokenDesk {
  readonly records: Pick<Records, "usage">;
}

export function addUsageRoute(server: ApiServer, parts: UsageRouteParts): void {
  const schema = {
    summary: "what sites were used: requests and bytes by hour or day, of all edges that this origin hears",
    querystring: usageQuerySchema,
    response: { 200: usageListSchema },
  };
  server.get("/v1/usage", { schema }, async (request) => {
    await authorise(parts, request.headers.authorization, "read");
    const { site, per, toMs = Math.floor(parts.clock.nowMs()) } = request.query;
    const { fromMs = Math.max(0, toMs - SHOWN_MS[per]) } = request.query;
    if (fromMs > toMs) throw new Failure("argument-invalid", "fromMs must be before toMs");
    const sums = parts.records.usage.read({ site, fromMs, toMs, per, rowsMax: USAGE_ROWS_MAX + 1 });
    if (sums.length > USAGE_ROWS_MAX) {
      const advice = "name a site, a shorter time, or per=day";
      throw new Failure("argument-invalid", `more than ${USAGE_ROWS_MAX} sums are asked for: ${advice}`);
    }
    return { items: sums.map(toUsageSum) };
  });
}
