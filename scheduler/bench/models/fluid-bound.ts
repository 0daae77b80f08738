/** What no rule can exceed: the fluid linear programme, solved exactly by HiGHS. */
import { createRequire } from "node:module";
import type { Field } from "./rules.ts";

const BEYOND_LIMIT_MS = 200;
const REFUSED_MS = 500;

interface Highs {
  solve(model: string): {
    readonly Status: string;
    readonly Columns: Readonly<Record<string, { readonly Primal?: number }>>;
  };
}

/** Its module is CommonJS and says nothing of its types. */
async function loadHighs(): Promise<Highs> {
  const load: () => Promise<Highs> = createRequire(import.meta.url)("highs");
  return await load();
}

/** Percent of the demand within the limit where round trips, 200 ms more beyond the limit, and 500 for a refusal are least in sum. */
export async function fluidBound(
  field: Field,
  demand: Float64Array,
  { limitMs, capacity = field.capacity }: { readonly limitMs: number; readonly capacity?: ArrayLike<number> },
): Promise<number> {
  const highs = await loadHighs();
  const isWithin = (index: number) => (field.rttMs[index] ?? 0) <= limitMs;
  const cost = (index: number) => (field.rttMs[index] ?? 0) + (isWithin(index) ? 0 : BEYOND_LIMIT_MS);
  const pairs = Array.from(field.rttMs, (_, index) => index);
  const cells = Array.from(demand, (_, cell) => cell);
  const all = Array.from({ length: field.pools }, (_, pool) => pool);
  const model = [
    "Minimize",
    ` cost: ${[...pairs.map((index) => `${cost(index)} x${index}`), ...cells.map((cell) => `${REFUSED_MS} r${cell}`)].join(" + ")}`,
    "Subject To",
    ...cells.map((cell) => {
      const terms = all.map((pool) => `x${cell * field.pools + pool}`).join(" + ");
      return ` d${cell}: ${terms} + r${cell} = ${demand[cell] ?? 0}`;
    }),
    ...all.map(
      (pool) =>
        ` c${pool}: ${cells.map((cell) => `x${cell * field.pools + pool}`).join(" + ")} <= ${capacity[pool] ?? 0}`,
    ),
    "End",
  ].join("\n");
  const { Status, Columns } = highs.solve(model);
  if (Status !== "Optimal") throw new TypeError(`the fluid programme is ${Status}`);
  const within = pairs.reduce((sum, index) => sum + (isWithin(index) ? (Columns[`x${index}`]?.Primal ?? 0) : 0), 0);
  return (100 * within) / demand.reduce((sum, value) => sum + value, 0);
}
