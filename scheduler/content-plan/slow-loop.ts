/** The slow loop of the replica that holds the lease: plans, and writes what differs by compare-and-swap. */
import { isDeepStrictEqual } from "node:util";
import { API_VERSION, type Resource } from "#domain/resource.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import { planAssignments } from "./assignments.ts";
import type { FillStanding } from "./planned-fills.ts";
import { SitePlan, type SitePlanPorts } from "./site-plan.ts";
import { planSteeringTables } from "./steering-tables.ts";

const TURN_MS = 2000;
/** Edges and agents need no newer table while they are not cut off, and each one is a revision for its pool. */
export const STEERING_TABLE_MS_MIN = 60_000;
/** Of one turn; the rest goes at the next. */
export const WRITES_MAX = 64;
/** A write of which nothing was heard is tried again. */
const WRITE_MS_MAX = 10_000;
const WRITES_REMEMBERED_MAX = 10_000;

type Planned = "Assignment" | "SteeringTable";

export interface SlowLoopPorts extends SitePlanPorts {
  /** False where the link does not stand. */
  readonly write: (request: number, resource: object, expectedResourceVersion: number) => boolean;
  readonly events: {
    planWritten(kind: Planned, pool: string, outcome: string): void;
    fillsPlanned(standing: FillStanding): void;
  };
}

export interface WriteResult {
  readonly request: number;
  readonly accepted: boolean;
  /** Of what was written, where it was accepted. */
  readonly resourceVersion: number;
  readonly code: string;
}

interface Write {
  readonly kind: Planned;
  readonly pool: string;
}

export class SlowLoop implements Disposable {
  readonly #ports: SlowLoopPorts;
  readonly #turns: Disposable;
  /** By request number. */
  readonly #writes: BoundedMap<number, Write>;
  /** By `Kind/pool`, the version that has to come before it is planned again: infinite until the origin says which. */
  readonly #pending: BoundedMap<string, number>;
  readonly #tableWrittenMs: BoundedMap<string, true>;
  readonly #sites: SitePlan;
  #isActive = false;
  #lastRequest = 0;

  constructor(ports: SlowLoopPorts) {
    this.#ports = ports;
    const { clock } = ports;
    this.#sites = new SitePlan(ports);
    const bounded = (ms: number) => ({ entriesMax: WRITES_REMEMBERED_MAX, lifetime: { ms, clock } });
    this.#writes = new BoundedMap(bounded(WRITE_MS_MAX));
    this.#pending = new BoundedMap(bounded(WRITE_MS_MAX));
    this.#tableWrittenMs = new BoundedMap(bounded(STEERING_TABLE_MS_MIN));
    this.#turns = clock.every(TURN_MS, () => this.turn());
  }

  /** With the lease, and once all that is observed has been told. */
  setActive(isActive: boolean): void {
    this.#isActive = isActive;
    this.#pending.clear();
    this.#sites.reset();
    if (isActive) this.turn();
  }

  /** What was accepted comes back as a batch; until then the plan would differ from what is held. */
  decided({ request, accepted, resourceVersion, code }: WriteResult): void {
    const write = this.#writes.peek(request);
    if (write === undefined) return;
    this.#writes.delete(request);
    if (accepted) this.#pending.set(keyOf(write), resourceVersion);
    else this.#pending.delete(keyOf(write));
    this.#ports.events.planWritten(write.kind, write.pool, accepted ? "accepted" : code);
  }

  turn(): void {
    if (!this.#isActive) return;
    const { fleet } = this.#ports;
    const { view } = fleet;
    let room = WRITES_MAX;
    const write = (kind: Planned, spec: { readonly pool: string }, current: Resource<Planned> | undefined): void => {
      const version = current?.metadata.resourceVersion ?? 0;
      const isPending = version < (this.#pending.peek(keyOf({ kind, pool: spec.pool })) ?? 0);
      const isTooSoon = kind === "SteeringTable" && this.#tableWrittenMs.has(spec.pool);
      if (room <= 0 || isPending || isTooSoon || isDeepStrictEqual(current?.spec, spec)) return;
      if (this.#write(kind, spec, version)) room -= 1;
    };
    const holders = this.#sites.turn();
    this.#ports.events.fillsPlanned(this.#sites.fills);
    for (const spec of planAssignments(view, holders)) {
      write("Assignment", spec, view.assignments.get(spec.pool));
    }
    for (const spec of planSteeringTables(fleet.listPools())) {
      // An empty table is worth nothing to who starts from it.
      if (spec.edges.length > 0) write("SteeringTable", spec, view.steeringTables.get(spec.pool));
    }
  }

  [Symbol.dispose](): void {
    this.#turns[Symbol.dispose]();
  }

  #write(kind: Planned, spec: { readonly pool: string }, expected: number): boolean {
    const { pool } = spec;
    this.#lastRequest += 1;
    const resource = { apiVersion: API_VERSION, kind, metadata: { name: pool }, spec };
    if (!this.#ports.write(this.#lastRequest, resource, expected)) return false;
    this.#writes.set(this.#lastRequest, { kind, pool });
    this.#pending.set(keyOf({ kind, pool }), Number.POSITIVE_INFINITY);
    if (kind === "SteeringTable") this.#tableWrittenMs.set(pool, true);
    return true;
  }
}

function keyOf({ kind, pool }: Write): string {
  return `${kind}/${pool}`;
}
