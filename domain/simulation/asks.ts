/** What sessions of each client group, app and tier ask of a decision: found once and not for each arrival. Pure. */
import { budgetPartsOf, type DeviceTimes, deviceTimes } from "../latency/budget.ts";
import { fibreRttMsBetween } from "../latency/distance-model.ts";
import {
  type CellPools,
  type CellRtt,
  type PlacementView,
  planCellPools,
  type SessionAsk,
} from "../placement/cell-pools.ts";
import { planClassTries } from "../placement/class-tries.ts";
import { NOWHERE } from "../placement/decision-frame.ts";
import { rulesWithSpread } from "../placement/policy-limits.ts";
import { type AppliedPolicy, selectPolicy } from "../placement/policy-selection.ts";
import { type PoolTable, type TabledRules, tableRules } from "../placement/pool-table.ts";
import { TIERS } from "../policy/placement-policy.ts";
import type { NamedPolicy } from "../policy/policy-match.ts";
import type { ClientGroup, Day, DayApp } from "./day.ts";
import type { Occupancy } from "./occupancy.ts";

export interface SimulatedTry {
  /** Place in the day's classes. */
  readonly classAt: number;
  /** Not the app's first class. */
  readonly isLaterClass: boolean;
  readonly view: PlacementView;
  readonly ask: SessionAsk;
}

export interface GroupAsk {
  readonly policy: AppliedPolicy;
  readonly app: string;
  readonly cell: CellPools;
  /** None where no pool holds a class of the app. */
  readonly tries: readonly SimulatedTry[];
}

/** A client that has not measured itself. */
const DEVICE = deviceTimes({});

export class Asks {
  readonly #day: Day;
  readonly #policies: readonly NamedPolicy[];
  readonly #classes: readonly string[];
  readonly #occupancy: Occupancy;
  /** By group, app and tier. */
  readonly #asks = new Map<number, GroupAsk>();
  /** By place: groups of one place share what is near. */
  readonly #cells = new Map<unknown, CellPools>();
  readonly #rules = new Map<string, TabledRules>();

  constructor(day: Day, of: { policies: readonly NamedPolicy[]; classes: readonly string[]; occupancy: Occupancy }) {
    this.#day = day;
    this.#policies = of.policies;
    this.#classes = of.classes;
    this.#occupancy = of.occupancy;
  }

  find(group: number, app: number, tier: number): GroupAsk {
    const at = (group * this.#day.apps.length + app) * TIERS.length + tier;
    const known = this.#asks.get(at);
    if (known !== undefined) return known;
    const made = this.#make(group, app, tier);
    if (this.#day.groups[group]?.isOneSession !== true) this.#asks.set(at, made);
    return made;
  }

  #make(groupAt: number, appAt: number, tierAt: number): GroupAsk {
    const group = this.#day.groups[groupAt];
    const app = this.#day.apps[appAt];
    const tier = TIERS[tierAt];
    if (group === undefined || app === undefined || tier === undefined)
      throw new RangeError("an arrival is of the day");
    const { country, tenant, asn, address, device = DEVICE } = group;
    const policy = selectPolicy(this.#policies, app.name, tier, { country, tenant, asn, address, device });
    const tries = this.#triesOf(app, policy, device);
    const table = this.#occupancy.tableOf(this.#classes[0] ?? "");
    const cell = table === undefined ? new Float32Array() : this.#cellOf(group, table);
    return { policy, app: app.name, cell, tries };
  }

  #triesOf({ spec }: DayApp, policy: AppliedPolicy, device: DeviceTimes): SimulatedTry[] {
    const held = spec.classes.filter(({ name }) =>
      this.#occupancy.tableOf(name)?.slotsTotal.some((slots) => slots > 0),
    );
    const tries = planClassTries(held, policy.rules.onNoFit);
    // Of a single class the first try is a part of the second, which looks within the limit first.
    const needed = held.length === 1 ? tries.slice(-1) : tries;
    return needed.flatMap(({ renderClass, onNoFit }) => {
      const table = this.#occupancy.tableOf(renderClass.name);
      if (table === undefined) return [];
      const { decodeMs, jitterMs, serialisationMs, budgetMs } = budgetPartsOf(
        { budgetMs: policy.budgetMs, device, app: spec, renderClass },
        0,
      );
      return {
        classAt: this.#classes.indexOf(renderClass.name),
        isLaterClass: renderClass !== held[0],
        view: { table, rules: { ...this.#rulesOf(table, policy), onNoFit } },
        ask: { budgetMs, decodeMs, jitterMs, serialisationMs, currentPool: NOWHERE },
      };
    });
  }

  /** By the pools' labels, which every class's table has alike. */
  #rulesOf(table: PoolTable, policy: AppliedPolicy): TabledRules {
    const name = policy.name ?? "";
    const known = this.#rules.get(name);
    if (known !== undefined) return known;
    const made = tableRules(table, rulesWithSpread(policy), policy.revision);
    this.#rules.set(name, made);
    return made;
  }

  #cellOf(group: ClientGroup, table: PoolTable): CellPools {
    const place = group.rttMs ?? group.coordinates;
    const known = this.#cells.get(place);
    if (known !== undefined) return known;
    const made = planCellPools(table, rttOf(group, table));
    if (group.isOneSession !== true) this.#cells.set(place, made);
    return made;
  }
}

/** Geography where nothing was measured. */
function rttOf({ coordinates, rttMs, estimateMs }: ClientGroup, { names, coordinates: places }: PoolTable): CellRtt {
  const knownOf = (pool: number) => rttMs?.get(names[pool] ?? "");
  const placeOf = (pool: number) => places[pool] ?? coordinates;
  const geographyMsOf = (pool: number) => fibreRttMsBetween(coordinates, placeOf(pool));
  return {
    geographyMsOf,
    rttMsOf: (pool) => knownOf(pool) ?? estimateMs?.(placeOf(pool)) ?? geographyMsOf(pool),
    sourceOf: (pool) => (knownOf(pool) === undefined ? "geography" : "history"),
  };
}
