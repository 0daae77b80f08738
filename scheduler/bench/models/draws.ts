/** Draws from the distributions that the models name. Deterministic: of one `Random`, in the order of the calls. */
import type { Random } from "#platform/random.ts";

/** Standard normal (Box and Muller 1958). */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.ratio())) * Math.cos(2 * Math.PI * random.ratio());
}

export function uniform(random: Random, from: number, to: number): number {
  return from + (to - from) * random.ratio();
}

/** Exponential with this mean. */
export function exponential(random: Random, mean: number): number {
  return -mean * Math.log(1 - random.ratio());
}

/** Knuth's product of uniforms up to a mean of 30, a rounded normal beyond. */
export function poisson(random: Random, mean: number): number {
  if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random.ratio(); product > limit; product *= random.ratio()) count += 1;
  return count;
}

/** In place (Fisher and Yates, in Durstenfeld's form). */
export function shuffle<Numbers extends { readonly length: number; [index: number]: number }>(
  random: Random,
  items: Numbers,
): Numbers {
  const numbers: { [index: number]: number } = items;
  for (let last = items.length - 1; last > 0; last -= 1) {
    const other = random.integer(last + 1);
    const held = numbers[last] ?? 0;
    numbers[last] = numbers[other] ?? 0;
    numbers[other] = held;
  }
  return items;
}

/** An index with a chance proportional to its weight; O(log n) with `cumulate`. */
export function drawIndex(random: Random, cumulated: Float64Array): number {
  const aim = random.ratio() * (cumulated.at(-1) ?? 0);
  let low = 0;
  let high = cumulated.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((cumulated[middle] ?? 0) > aim) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function cumulate(weights: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(weights.length);
  let sum = 0;
  for (let index = 0; index < weights.length; index += 1) {
    sum += weights[index] ?? 0;
    sums[index] = sum;
  }
  return sums;
}
