/** Worlds for simulations: pools and policies with their expressions compiled. */

import type { WrittenPlacementPolicy } from "#domain/policy/placement-policy.ts";
import type { DayPool } from "#domain/simulation/day.ts";
import type { World } from "#domain/simulation/simulate-day.ts";
import { compilePolicy, compilePoolExpressions } from "./policies.ts";

export interface WrittenPolicy {
  readonly name: string;
  readonly spec: WrittenPlacementPolicy;
}

export function compileWorld(pools: readonly DayPool[], policies: readonly WrittenPolicy[], load = 1): World {
  return {
    ...{ pools, load },
    policies: policies.map(({ name, spec }) => compilePolicy(name, spec)),
    expressions: compilePoolExpressions(policies.map(({ spec }) => spec)),
  };
}
