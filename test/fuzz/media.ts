/** Fuzzes all that comes to a session from outside, by messages of a grammar and what becomes of them; each case is replayed by its number. */
import { type Random, seededRandom } from "#platform/random.ts";
import { MEDIA_FRAGMENTS } from "./media-fragments.ts";
import { MEDIA_MESSAGES } from "./media-messages.ts";
import { MEDIA_SOUND } from "./media-sound.ts";
import { OFFERS } from "./offers.ts";
import { signallingTargets } from "./signalling.ts";
import type { FuzzTarget, Outcome } from "./target.ts";

export interface MediaFuzzOptions {
  readonly cases: number;
  readonly seed: number;
  /** Number of the first case; 0 unless said. */
  readonly from?: number;
  /** Now and then, with how many cases are done. */
  readonly onProgress?: (cases: number) => void;
}

export interface MediaFuzzOutcome {
  readonly cases: number;
  /** By target: how many were taken, and how many refused by name. */
  readonly counts: ReadonlyMap<string, Readonly<Record<Outcome, number>>>;
  readonly faults: readonly string[];
}

/** After more the first ones say enough. */
const FAULTS_MAX = 20;
const FAULT_CHARACTERS_MAX = 600;
/** A case of one seed is another case of another seed. */
const SEED_STRIDE = 0x85eb_ca6b;
const PROGRESS_CASES = 100_000;
/** What all that was read so far may leave behind, garbage included: cases are small, and nothing of them is kept. */
const HELD_BYTES_MAX = 512 * 1024 * 1024;

export async function fuzzMedia({ cases, seed, from = 0, onProgress }: MediaFuzzOptions): Promise<MediaFuzzOutcome> {
  const targets = [...MEDIA_MESSAGES, ...MEDIA_FRAGMENTS, ...MEDIA_SOUND, ...(await signallingTargets()), ...OFFERS];
  const choose = byShare(targets);
  const counts = new Map(targets.map(({ name }) => [name, { taken: 0, refused: 0 }]));
  const faults: string[] = [];
  for (let number = from; number < from + cases && faults.length < FAULTS_MAX; number += 1) {
    const random = seededRandom((Math.imul(seed, SEED_STRIDE) + number) >>> 0);
    const { name, run } = choose(random);
    try {
      const outcome = run(random);
      const count = counts.get(name);
      if (count !== undefined) count[typeof outcome === "string" ? outcome : await outcome] += 1;
    } catch (error) {
      const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
      faults.push(`--seed ${seed} --case ${number} (${name}): ${said.slice(0, FAULT_CHARACTERS_MAX)}`);
    }
    if ((number + 1) % PROGRESS_CASES > 0) continue;
    onProgress?.(number + 1 - from);
    const { heapUsed, external } = process.memoryUsage();
    if (heapUsed + external > HELD_BYTES_MAX)
      faults.push(`--seed ${seed}: ${heapUsed + external} bytes are held after case ${number}`);
  }
  return { cases, counts, faults };
}

function byShare(targets: readonly FuzzTarget[]): (random: Random) => FuzzTarget {
  const table = targets.flatMap((target) => Array<FuzzTarget>(target.share).fill(target));
  return (random) => {
    const chosen = table[random.integer(table.length)];
    if (chosen === undefined) throw new Error("every number is somebody's");
    return chosen;
  };
}
