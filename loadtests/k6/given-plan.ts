/** The plan that the runner wrote, and the options that every scenario shares. */
import type { Options } from "k6/options";
import { type LoadPlan, PLAN_VARIABLE } from "../plan.ts";

export const plan: LoadPlan = JSON.parse(open(__ENV[PLAN_VARIABLE] ?? "the runner sets it: npm run loadtest"));

/** The names of sites and nodes that end in `.localhost` lead here, whatever the machine's resolver says (RFC 6761). */
export const sharedOptions: Options = {
  hosts: { "*.localhost": "127.0.0.1" },
  systemTags: ["scenario", "name", "status", "error_code", "expected_response"],
  summaryTrendStats: ["count", "min", "med", "avg", "p(90)", "p(95)", "p(99)", "max"],
};

/** Iterations per second for `seconds`, with as many users as two cores bear. */
export function steadyRate(exec: string, perSecond: number, seconds: number, startSeconds = 0) {
  return {
    executor: "constant-arrival-rate",
    exec,
    rate: perSecond,
    timeUnit: "1s",
    duration: `${seconds}s`,
    startTime: `${startSeconds}s`,
    preAllocatedVUs: Math.max(2, Math.ceil(perSecond / 2)),
    maxVUs: Math.max(4, perSecond * 3),
    gracefulStop: "10s",
  } as const;
}
