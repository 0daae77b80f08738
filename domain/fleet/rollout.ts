/** How a change reaches one wave of pools after the other: what an operator orders, and what the origin keeps of it. Pure. */

/** The one roll-out that a fleet has, and its policy. */
export const ROLLOUT_NAME = "fleet";

export interface RolloutPolicySpec {
  /** In this order; all pools that are named in none come last. */
  readonly waves: readonly { readonly pools: readonly string[] }[];
}

/** A position that a wave was brought to, by the row of the log at which its pools got it. */
export interface RolloutStep {
  readonly position: number;
  readonly since: number;
}

export interface RolloutWave {
  /** Of the last wave none: it has all that the others have not. */
  readonly pools: readonly string[];
  /** Its pools have what rolls out as the log had it at this revision; the first wave has none, and the newest. */
  readonly position?: number;
  /** Not known to be proven, in order. */
  readonly steps: readonly RolloutStep[];
  /** Why nothing goes on to later waves. */
  readonly halted?: { readonly node: string; readonly message: string };
}

export interface RolloutSpec {
  readonly waves: readonly RolloutWave[];
}

/** Of a fleet without a roll-out every pool is in the first. */
export function waveOf(rollout: RolloutSpec | undefined, pool: string): number {
  if (rollout === undefined) return 0;
  const named = rollout.waves.findIndex(({ pools }) => pools.includes(pool));
  return named >= 0 ? named : rollout.waves.length - 1;
}

/** `undefined`: the pool has the newest of everything. */
export function positionOf(rollout: RolloutSpec | undefined, pool: string): number | undefined {
  return rollout?.waves[waveOf(rollout, pool)]?.position;
}

/** What waves have, and what they were brought to before. */
export function positionsIn(rollout: RolloutSpec | undefined): readonly number[] {
  return (rollout?.waves ?? []).flatMap(({ position, steps }) => {
    return position === undefined ? [] : [position, ...steps.map((step) => step.position)];
  });
}
