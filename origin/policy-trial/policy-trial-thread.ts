/** The thread of a trial: one comparison, and it ends. */
import { parentPort } from "node:worker_threads";
import { compareDays } from "#domain/simulation/compare-days.ts";
import { makeSyntheticDay } from "#domain/simulation/synthetic-day.ts";
import { compileWorld } from "#platform/cel/worlds.ts";
import { seededRandom } from "#platform/random.ts";
import type { TrialAnswer, TrialQuestion, TrialSide } from "./policy-trial.ts";

/** The same change is judged by the same day. */
const SEED = 1;
/** Half a second of a core. */
const TRIAL_ARRIVALS_MAX = 50_000;

parentPort?.once("message", ({ apps, before, after }: TrialQuestion) => {
  const [was, is] = [compileWorld(before.pools, before.policies), compileWorld(after.pools, after.policies)];
  const changed = changedNames(before.policies, after.policies);
  // The day has clients of no more than the first: what is not judged for want of them must be what stays as it is.
  const policies = [...is.policies, ...was.policies].sort(
    (a, b) => Number(changed.has(b.name)) - Number(changed.has(a.name)),
  );
  const parts = { pools: before.pools, apps, policies, arrivalsMax: TRIAL_ARRIVALS_MAX };
  const day = makeSyntheticDay(parts, seededRandom(SEED));
  parentPort?.postMessage(compareDays(day, was, is) satisfies TrialAnswer);
});

function changedNames(before: TrialSide["policies"], after: TrialSide["policies"]): ReadonlySet<string> {
  const said = (policies: TrialSide["policies"]) => new Set(policies.map((policy) => JSON.stringify(policy)));
  const [was, is] = [said(before), said(after)];
  const isKept = (policy: TrialSide["policies"][number]) => {
    const written = JSON.stringify(policy);
    return was.has(written) && is.has(written);
  };
  return new Set([...before, ...after].filter((policy) => !isKept(policy)).map(({ name }) => name));
}
