/** Edges that tell every replica what their agents have, with reports lost and times of silence. */
import type { Random } from "#platform/random.ts";
import type { PoolAgents } from "./agents.ts";
import type { Replica } from "./replicas.ts";

/** In fast milliseconds. */
const REPORT_MS = 4_000;
const LOST_RATIO = 0.15;
const SILENCE_RATIO = 0.03;
const SILENCE_MS = 14_000;
const EDGES_PER_POOL = 2;

interface Edge {
  readonly pool: PoolAgents;
  readonly index: number;
  dueMs: number;
  /** The next report waits until every replica has told the last, or lost it. */
  untold: number;
}

export class Edges {
  readonly #edges: readonly Edge[];
  readonly #replicas: readonly Replica[];
  readonly #random: Random;
  told = 0;
  /** No report is lost any more. */
  isReliable = false;

  constructor(pools: readonly PoolAgents[], replicas: readonly Replica[], random: Random, nowMs: number) {
    this.#edges = pools.flatMap((pool) =>
      Array.from({ length: EDGES_PER_POOL }, (_, index) => {
        return { pool, index, dueMs: nowMs + random.ratio() * REPORT_MS, untold: 0 };
      }),
    );
    this.#replicas = replicas;
    this.#random = random;
  }

  turn(nowMs: number): void {
    for (const edge of this.#edges) {
      edge.pool.tell(edge.index, nowMs);
      if (edge.dueMs > nowMs || edge.untold > 0) continue;
      const isSilent = !this.isReliable && this.#random.ratio() < SILENCE_RATIO;
      edge.dueMs = nowMs + (isSilent ? SILENCE_MS : REPORT_MS);
      if (isSilent || (!this.isReliable && this.#random.ratio() < LOST_RATIO)) continue;
      this.#tell(edge, nowMs);
    }
  }

  #tell(edge: Edge, sentAtMs: number): void {
    const report = edge.pool.report(edge.index, sentAtMs);
    this.told += 1;
    for (const replica of this.#replicas) {
      if (!replica.isReady) continue;
      edge.untold += 1;
      replica.order({ kind: "report", sentAtMs, report }, () => {
        edge.untold -= 1;
      });
    }
  }
}
