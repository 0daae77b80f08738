/** One simulated run: faults by a seed, invariants after each step, then peace, in which everything must come right. */
import { FAULT_KINDS, type FaultKind, planFaults, startFaults } from "./faults.ts";
import type { Check } from "./invariants/check.ts";
import { isCurrent } from "./invariants/converges.ts";
import { unsettled } from "./invariants/ways-settle.ts";
import { checksOf, END_INVARIANTS, STEP_INVARIANTS, type Violation, violationsOf } from "./invariants.ts";
import { startWorkload, writeLast } from "./workload.ts";
import { World, type WorldOptions } from "./world.ts";

const FAULTS_SPAN_MS_MIN = 15_000;
const FAULTS_SPAN_MS_MAX = 45_000;
/** Until each edge holds its pool's set. */
const FIRST_SYNC_MS = 500;
/** Every connected edge is current by then. */
const CONVERGED_MS_MAX = 60_000;
/** Then each hears the origin by whom it is to hear it: after at most 30 s it looks for a relay, which it may have to do twice. */
const SETTLED_MS_MAX = 90_000;
/** In peace nothing goes down: longer than the silence after which a link is given up. */
const QUIET_MS = 11_000;
/** Ends a run that does not move on. */
const STEPS_MAX = 200_000;

export interface SimulationOptions extends WorldOptions {
  /** The kinds a seed chooses from. */
  readonly faults?: readonly FaultKind[];
  /** What is done besides, at the start. */
  readonly begin?: (world: World) => void;
}

export interface SimulationResult {
  readonly seed: number;
  /** Of the first step at which any invariant was broken. */
  readonly violations: readonly Violation[];
  readonly steps: number;
  readonly virtualMs: number;
  /** Equal for two runs of one seed on one commit. */
  readonly trace: string;
}

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { seed, faults = FAULT_KINDS } = options;
  using world = new World(options);
  const run = new Run(world);
  world.start();
  if (world.hasRelays) {
    await run.until(FIRST_SYNC_MS, () => false);
    world.restartEdges();
  }
  options.begin?.(world);
  const spanMs = FAULTS_SPAN_MS_MIN + world.random.ratio() * (FAULTS_SPAN_MS_MAX - FAULTS_SPAN_MS_MIN);
  const plan = planFaults(world.random, faults, spanMs);
  {
    using _faults = startFaults(world, plan);
    using _work = startWorkload(world);
    await run.until(spanMs, () => false);
  }
  makePeace(world);
  await run.until(CONVERGED_MS_MAX, () => isAtRest(world));
  await run.until(SETTLED_MS_MAX, () => unsettled(world) === undefined);
  await run.until(QUIET_MS, () => false);
  run.checkEnd();
  for (const { invariant, what } of run.violations) world.tell(`BROKEN ${invariant}: ${what}`);
  return { seed, violations: run.violations, steps: run.steps, virtualMs: world.nowMs, trace: world.trace.digest() };
}

class Run {
  readonly #world: World;
  readonly #checks: ReadonlyMap<string, Check> = checksOf(STEP_INVARIANTS);
  violations: readonly Violation[] = [];
  steps = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Ends early at the first violation. */
  async until(ms: number, isEnough: () => boolean): Promise<void> {
    const { time } = this.#world;
    const untilMs = time.monotonicMs() + ms;
    await time.settle();
    while (this.violations.length === 0 && !isEnough() && (await time.runNext(untilMs))) {
      this.steps += 1;
      if (this.steps > STEPS_MAX) throw new Error(`seed does not come to an end within ${STEPS_MAX} steps`);
      this.violations = violationsOf(this.#checks, this.#world);
    }
  }

  checkEnd(): void {
    if (this.violations.length === 0) this.violations = violationsOf(checksOf(END_INVARIANTS), this.#world);
  }
}

/** All that is broken has been mended; what is down is started, and something is written that all must hear of. */
function makePeace(world: World): void {
  world.tell("peace");
  for (const machine of [world.origin, ...world.edges]) {
    machine.disk.heal();
    if (machine.running === undefined) machine.start();
  }
  writeLast(world);
}

function isAtRest(world: World): boolean {
  for (const connection of world.network.connections) if (!connection.deadEnds().next().done) return false;
  return world.edges.every((edge) => edge.isUp && isCurrent(world, edge.applied) && edge.running?.reports.size === 0);
}
