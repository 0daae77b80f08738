/** Drives the fleet's roll-out: looks at what edges prove and what crashes them, and writes each step into the log. */
import { Failure, isFailure } from "#domain/failure.ts";
import type { NodeStatus } from "#domain/fleet/node.ts";
import { ROLLOUT_NAME, type RolloutPolicySpec, type RolloutSpec } from "#domain/fleet/rollout.ts";
import { API_VERSION, type Resource } from "#domain/resource.ts";
import type { Clock } from "#platform/clock.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import type { Distribution } from "../node-rpc/distribution.ts";
import { keyOf } from "../node-rpc/pool-set.ts";
import type { ObservedNodes } from "../observed/observed-nodes.ts";
import type { RolloutEvents } from "./events.ts";
import {
  allLetOut,
  type EdgeSeen,
  judgeWave,
  planRollout,
  type RolloutFacts,
  type WaveVerdict,
} from "./plan-rollout.ts";

const LOOK_MS = 1000;
/** Origins of one log that see the same want the same step, and one of them writes it: the others look again. */
const STEP_ATTEMPTS_MAX = 3;
/** A page shows so many names of each wave, and says how many there are. */
const NAMES_SHOWN_MAX = 20;

export interface RolloutDriverParts {
  readonly log: ResourceLog;
  readonly distribution: Distribution;
  readonly observed: ObservedNodes;
  readonly clock: Clock;
  readonly events: RolloutEvents;
}

/** What an operator is told of it. */
export interface RolloutReport {
  readonly phase: "idle" | "rolling" | "halted";
  readonly because: string;
  readonly waves: readonly {
    readonly pools: readonly string[];
    /** How many resources it has not the newest version of, and some of them. */
    readonly heldBack: number;
    readonly resources: readonly string[];
    readonly verdict: WaveVerdict["kind"] | "last";
  }[];
}

export class RolloutDriver implements Disposable {
  readonly #parts: RolloutDriverParts;
  readonly #startedMs: number;
  readonly #looking: Disposable;
  #isLooking = false;

  constructor(parts: RolloutDriverParts) {
    this.#parts = parts;
    this.#startedMs = parts.clock.monotonicMs();
    this.#looking = parts.clock.every(LOOK_MS, () => void this.look());
  }

  /** A policy is in force before the next change is written; until the signal is aborted. */
  async follow(signal: AbortSignal): Promise<void> {
    const { log } = this.#parts;
    for await (const event of log.watch(log.revision(), signal)) if (event.kind === "bookmark") await this.look();
  }

  /** One at a time: a step that is being written is the next look's beginning. */
  async look(): Promise<void> {
    const { distribution, events } = this.#parts;
    distribution.advance();
    if (this.#isLooking || (this.#policy === undefined && distribution.heldBack.rollout === undefined)) return;
    this.#isLooking = true;
    try {
      await this.#decided(() => this.#carryOut(this.#facts()));
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.rolloutFailed(error);
    } finally {
      this.#isLooking = false;
    }
  }

  /** Every pool gets all that is held back; an operator's word. Throws `not-found` where nothing rolls out in waves. */
  async letOut(): Promise<number> {
    return await this.#decided(async () => {
      const policy = this.#policy;
      if (policy === undefined)
        throw new Failure("not-found", "there is no RolloutPolicy: every pool gets all at once");
      this.#parts.distribution.advance();
      return await this.#write(allLetOut(policy));
    });
  }

  /** `undefined` where nothing rolls out in waves. */
  report(): RolloutReport | undefined {
    this.#parts.distribution.advance();
    const { rollout, waves } = this.#parts.distribution.heldBack;
    if (rollout === undefined) return undefined;
    const { edges } = this.#facts();
    const verdicts = rollout.waves.map((_, index) => judgeWave(rollout, index, edges));
    const isHeld = waves.some((held) => held.size > 0);
    const halted = rollout.waves.find((wave) => wave.halted !== undefined)?.halted;
    return {
      phase: halted !== undefined ? "halted" : isHeld ? "rolling" : "idle",
      because: halted !== undefined ? `${halted.node}: ${halted.message}` : isHeld ? awaitedIn(verdicts) : "",
      waves: rollout.waves.map(({ pools }, index) => {
        const held = [...(waves[index]?.keys() ?? [])];
        const isLast = index === rollout.waves.length - 1;
        const verdict = isLast ? "last" : (verdicts[index]?.kind ?? "empty");
        return { pools, heldBack: held.length, resources: held.slice(0, NAMES_SHOWN_MAX), verdict };
      }),
    };
  }

  [Symbol.dispose](): void {
    this.#looking[Symbol.dispose]();
  }

  get #policy(): RolloutPolicySpec | undefined {
    const row = this.#parts.distribution.rows.get(keyOf({ kind: "RolloutPolicy", name: ROLLOUT_NAME }));
    return row?.resource?.kind === "RolloutPolicy" ? row.resource.spec : undefined;
  }

  get #resource(): Resource<"Rollout"> | undefined {
    const row = this.#parts.distribution.rows.get(keyOf({ kind: "Rollout", name: ROLLOUT_NAME }));
    return row?.resource?.kind === "Rollout" ? row.resource : undefined;
  }

  /** Of the row that was decided on. */
  get #expected(): { readonly expectedRevision: number } {
    return { expectedRevision: this.#resource?.metadata.resourceVersion ?? 0 };
  }

  /** What another origin has written meanwhile may be all that was to be done, or asks for something else. */
  async #decided<T>(step: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await step();
      } catch (error) {
        if (!isFailure(error) || error.code !== "resource-conflict" || attempt >= STEP_ATTEMPTS_MAX) throw error;
        this.#parts.distribution.advance();
      }
    }
  }

  async #carryOut(facts: RolloutFacts): Promise<void> {
    const { log, distribution, events } = this.#parts;
    const plan = planRollout(facts);
    switch (plan.kind) {
      case "none":
        break;
      case "end":
        await log.write([{ kind: "Rollout", name: ROLLOUT_NAME, ...this.#expected, render: () => undefined }]);
        break;
      case "write":
        await this.#write(plan.specAt);
        this.#tellStep(facts.rollout);
    }
    distribution.advance();
    const { rollout, waves } = distribution.heldBack;
    const isHalted = rollout?.waves.some(({ halted }) => halted !== undefined) === true;
    events.rolloutSeen(Math.max(0, ...waves.map((held) => held.size)), isHalted);
  }

  #tellStep(before: RolloutSpec | undefined): void {
    const { distribution, events } = this.#parts;
    distribution.advance();
    const after = distribution.heldBack.rollout;
    if (after === undefined) return;
    events.rolloutMoved(after.waves);
    after.waves.forEach(({ halted }, index) => {
      if (halted !== undefined && before?.waves[index]?.halted?.node !== halted.node) events.rolloutHalted(halted);
    });
  }

  async #write(specAt: (revision: number) => RolloutSpec): Promise<number> {
    const { log, clock } = this.#parts;
    const current = this.#resource?.metadata;
    const own = { name: ROLLOUT_NAME, labels: {}, generation: (current?.generation ?? 0) + 1 };
    const createdAtMs = current?.createdAtMs ?? clock.nowMs();
    const render = (revision: number): string => {
      const metadata = { ...own, resourceVersion: revision, createdAtMs };
      return JSON.stringify({ apiVersion: API_VERSION, kind: "Rollout", metadata, spec: specAt(revision) });
    };
    const [row] = await log.write([{ kind: "Rollout", name: ROLLOUT_NAME, ...this.#expected, render }]);
    return row?.revision ?? log.revision();
  }

  #facts(): RolloutFacts {
    const { log, distribution } = this.#parts;
    const { rollout, waves } = distribution.heldBack;
    return {
      policy: this.#policy,
      rollout,
      revision: distribution.revision,
      compactedRevision: log.compactedRevision(),
      edges: this.#edges(),
      heldFrom: waves.map((held) => {
        const from = [...held.values()].map((row) => row.from);
        return from.length === 0 ? undefined : from.reduce((a, b) => Math.min(a, b));
      }),
    };
  }

  #edges(): readonly EdgeSeen[] {
    const { distribution, observed, clock, log } = this.#parts;
    const sinceStartMs = clock.monotonicMs() - this.#startedMs;
    return [...distribution.rows.values()].flatMap(({ resource }) => {
      if (resource?.kind !== "Node" || resource.spec.role !== "edge" || resource.spec.draining) return [];
      const { name: node } = resource.metadata;
      const seen = observed.find(node);
      const status = seen?.status;
      return [
        {
          node,
          pool: resource.spec.pool,
          linkUp: seen?.linkUp === true,
          linkMs: seen === undefined ? sinceStartMs : clock.nowMs() - seen.linkSinceMs,
          hasSpoken: status !== undefined,
          appliedRevision: status?.appliedRevision ?? 0,
          provenRevision: status?.epoch === log.epoch ? (status.provenRevision ?? 0) : 0,
          quarantine: quarantineIn(status),
        },
      ];
    });
  }
}

function quarantineIn(status: NodeStatus | undefined): string | undefined {
  const synced = status?.conditions.find(({ type }) => type === "Synced");
  return synced?.status === false && synced.reason === "Quarantined" ? synced.message : undefined;
}

function awaitedIn(verdicts: readonly WaveVerdict[]): string {
  const awaited = verdicts.slice(0, -1).flatMap((verdict, index) => {
    if (verdict.kind === "proven")
      return [`wave ${index + 1} has proven revision ${verdict.revision} (${verdict.node})`];
    return verdict.kind === "away" ? [`no edge of wave ${index + 1} is connected`] : [];
  });
  return awaited.join("; ");
}
