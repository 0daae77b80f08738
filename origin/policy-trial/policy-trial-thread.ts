/** The thread of a trial: one comparison, and it ends. */
import { parentPort } from "node:worker_threads";
import { compareDays } from "#domain/simulation/compare-days.ts";
import { makeSyntheticDay } from "#domain/simulation/synthetic-day.ts";
import { compileWorld } from "#platform/cel/worlds.ts";
import { seededRandom } from "#platform/random.ts";
import type { TrialAnswer, TrialQuestion } from "./policy-trial.ts";

/** The same change is judged by the same day. */
const SEED = 1;
/** Half a second of a core. */
const TRIAL_ARRIVALS_MAX = 50_000;

parentPort?.once("message", ({ apps, before, after }: TrialQuestion) => {
  const [was, is] = [compileWorld(before.pools, before.policies), compileWorld(after.pools, after.policies)];
  const policies = [...was.policies, ...is.policies];
  const parts = { pools: before.pools, apps, policies, arrivalsMax: TRIAL_ARRIVALS_MAX };
  const day = makeSyntheticDay(parts, seededRandom(SEED));
  parentPort?.postMessage(compareDays(day, was, is) satisfies TrialAnswer);
});
