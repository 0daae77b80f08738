/** Whether prices ever lose against the rule without them: model B over loads, capacities and places of pools. */
import { seededRandom } from "#platform/random.ts";
import type { Row } from "#test/bench/report.ts";
import { plannedField, ratesOf, runChurn, SESSIONS, startPricing } from "./churn.ts";
import { type Cities, planEdges, readCities } from "./cities.ts";
import { normal, shuffle } from "./draws.ts";
import { type ModelRun, rowOf, seedsOf, summarise } from "./model.ts";
import { type Field, twoStep } from "./rules.ts";

const LOADS = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];
const PLACES = ["planned", "random"] as const;
const CAPACITIES = ["equal", "sized to demand", "by weight"] as const;
const LIMIT_MS = 30;
const LEAD_MIN = -0.3;
const SIZING_ERROR = 0.5;
/** Of each case: 54 of them. */
const SEEDS = 6;

export function neverWorse(run: ModelRun): Row[] {
  const cities = readCities(run.data);
  const rates = ratesOf(cities);
  const zeros = new Float64Array(planEdges(cities).length);
  const leads = new Map<string, number[]>();
  for (const places of PLACES) {
    for (const capacities of CAPACITIES) {
      for (const load of run.isSmoke ? [0.8] : LOADS) {
        const values = seedsOf(run, SEEDS).map((seed) => {
          const field = caseField(cities, { places, capacities, load, seed });
          const of = { field, rates, seed, limitMs: LIMIT_MS };
          const { priceMs, onTurn } = startPricing(field, { rates, seed: seed + 1000, limitMs: LIMIT_MS });
          const priced = runChurn({ ...of, rule: twoStep(field, { limitMs: LIMIT_MS, priceMs }), onTurn });
          const plain = runChurn({ ...of, rule: twoStep(field, { limitMs: LIMIT_MS, priceMs: () => zeros }) });
          return priced.within - plain.within;
        });
        const name = `${places}, ${capacities}, ${100 * load} %`;
        run.say(`  ${name}: ${summarise(values).mean.toFixed(2)} points ahead`);
        leads.set(name, values);
      }
    }
  }
  const worst = [...leads].sort(([, a], [, b]) => summarise(a).mean - summarise(b).mean)[0];
  if (worst === undefined) return [];
  const shared = { unit: "points", atLeast: true };
  return [
    rowOf(`prices_lead_at_worst (${worst[0]})`, { ...shared, values: worst[1], target: LEAD_MIN }),
    rowOf("prices_lead_on_average", { ...shared, values: [...leads.values()].flat() }),
  ];
}

interface Case {
  readonly places: (typeof PLACES)[number];
  readonly capacities: (typeof CAPACITIES)[number];
  readonly load: number;
  readonly seed: number;
}

function caseField(cities: Cities, { places, capacities, load, seed }: Case): Field {
  const random = seededRandom(seed + 2000);
  const planned = planEdges(cities);
  const any = shuffle(
    random,
    Array.from({ length: cities.count }, (_, city) => city),
  );
  const edges = places === "planned" ? planned : any.slice(0, planned.length);
  const bare = plannedField(cities, new Int32Array(edges.length), edges);
  const shares = edges.map((edge, pool) => {
    if (capacities === "equal") return 1;
    if (capacities === "by weight") return cities.weights[edge] ?? 0;
    const nearest = Array.from({ length: cities.count }, (_, city) => city).filter(
      (city) => bare.nearest[city * edges.length] === pool,
    );
    const demand = nearest.reduce((sum, city) => sum + (cities.weights[city] ?? 0), 0);
    return demand * Math.exp(SIZING_ERROR * normal(random));
  });
  const sum = shares.reduce((total, share) => total + share, 0);
  return { ...bare, capacity: Int32Array.from(shares, (share) => Math.round(((SESSIONS / load) * share) / sum)) };
}
