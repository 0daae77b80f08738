/** Starts the child on a store again and again, kills it at instants that the seed gives, and judges what each start finds. */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { systemClock } from "#platform/clock.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { openResponseStore } from "../../store/response-store.ts";
import { Ledger, type Said, type Verdict } from "./ledger.ts";

/** Lines of the child's before it is killed, at most; then so much longer. */
const LINES_BEFORE = 400;
const DELAY_MS = 4;
/** One in so many is killed while it opens the store. */
const EARLY_EVERY = 12;
const EARLY_MS = 250;
const ROUND_TICKS = 1_000_000;
const SETTLED_MS = 60_000;

export interface Phase {
  readonly name: string;
  readonly kills: number;
  readonly objects: number;
  readonly diskBytes: number;
  readonly mayEvict: boolean;
}

export interface Tally {
  readonly verdicts: Record<Verdict, number>;
  kills: number;
  /** Starts that ended otherwise than by the kill. */
  broke: number;
  hits: number;
  stored: number;
  /** Bodies at the end without a row, or rows without a body. */
  strays: number;
}

export interface Killing {
  readonly folder: string;
  readonly seed: number;
  /** How a child is started, its own options to follow. */
  readonly command: readonly string[];
  readonly onProgress: (line: string) => void;
}

export function emptyTally(): Tally {
  const verdicts = { "as-told": 0, lost: 0, "wrong-bytes": 0, "came-back": 0, "not-softened": 0 };
  return { verdicts, kills: 0, broke: 0, hits: 0, stored: 0, strays: 0 };
}

export async function killOften(phase: Phase, killing: Killing): Promise<Tally> {
  const random = seededRandom(killing.seed);
  const ledger = new Ledger(phase);
  const tally = emptyTally();
  for (let round = 0; round < phase.kills && tally.broke === 0; round += 1) {
    const plan = { seed: random.integer(2 ** 31), base: (round + 1) * ROUND_TICKS, ...instantOf(random) };
    await oneRound(phase, killing, { plan, ledger, tally });
    if ((round + 1) % 50 === 0) killing.onProgress(`${phase.name}: ${round + 1} kills, ${JSON.stringify(tally)}`);
  }
  tally.strays = await straysOf(phase, killing);
  return tally;
}

interface Instant {
  /** Said after the child is ready; `undefined` for a kill that does not wait for that. */
  readonly lines: number | undefined;
  readonly delayMs: number;
}

function instantOf(random: Random): Instant {
  const isEarly = random.integer(EARLY_EVERY) === 0;
  const lines = 1 + random.integer(LINES_BEFORE);
  const ratio = random.ratio();
  return { lines: isEarly ? undefined : lines, delayMs: ratio * (isEarly ? EARLY_MS : DELAY_MS) };
}

interface Round {
  readonly plan: Instant & { readonly seed: number; readonly base: number };
  readonly ledger: Ledger;
  readonly tally: Tally;
}

async function oneRound(phase: Phase, killing: Killing, { plan, ledger, tally }: Round): Promise<void> {
  const [program = "", ...words] = killing.command;
  const numbers = { seed: plan.seed, base: plan.base, objects: phase.objects, "disk-bytes": phase.diskBytes };
  const own = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(program, [...words, "--folder", killing.folder, ...own], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = Promise.withResolvers<string | undefined>();
  child.once("close", (code, signal) => ended.resolve(signal === "SIGKILL" ? undefined : `it ended with ${code}`));
  const errors: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => void (errors.length < 20 && errors.push(line)));
  let left = plan.lines;
  let isReady = false;
  const kill = () => void systemClock.timer(plan.delayMs, () => child.kill("SIGKILL"));
  if (left === undefined) kill();
  for await (const line of createInterface({ input: child.stdout })) {
    const said = saidOf(line);
    if (said === undefined) continue;
    if (said === "ready") isReady = true;
    else judge(said, { ledger, tally }, killing.onProgress);
    if (!isReady || left === undefined) continue;
    left -= 1;
    if (left === 0) kill();
  }
  const broke = await ended.promise;
  tally.kills += 1;
  if (broke === undefined) return;
  tally.broke += 1;
  killing.onProgress(`${broke}: ${errors.join("\n")}`);
}

function judge(
  said: Said,
  { ledger, tally }: Pick<Round, "ledger" | "tally">,
  onProgress: (line: string) => void,
): void {
  const expected = said.kind === "found" ? ledger.describe(said.number) : "";
  const verdict = ledger.take(said);
  if (said.kind === "done") tally.stored += 1;
  if (said.kind !== "found" || verdict === undefined) return;
  tally.verdicts[verdict] += 1;
  if (verdict !== "as-told") onProgress(`kill ${tally.kills}, ${verdict}: ${JSON.stringify(said)}, known ${expected}`);
  if (said.found !== undefined) tally.hits += 1;
}

/** The child writes whole lines; the last one may be cut. */
function saidOf(line: string): Said | "ready" | undefined {
  try {
    const said: Said | { readonly kind: "ready" } = JSON.parse(line);
    return said.kind === "ready" ? "ready" : said;
  } catch {
    return undefined;
  }
}

/** Opened once more, and left to remove what no row names. */
async function straysOf({ diskBytes }: Phase, { folder }: Killing): Promise<number> {
  const fail = (failure: Error) => {
    throw failure;
  };
  await using store = await openResponseStore({
    folder,
    diskBytesMax: diskBytes,
    memoryBytesMax: 1,
    clock: systemClock,
    random: seededRandom(1),
    events: { lost: fail, notStored: fail, evicted: () => undefined, used: () => undefined },
  });
  const beginMs = systemClock.monotonicMs();
  const difference = () => Math.abs(filesIn(folder) - store.usage().objects);
  while (difference() > 0 && systemClock.monotonicMs() - beginMs < SETTLED_MS) await systemClock.sleep(100);
  return difference();
}

function filesIn(folder: string): number {
  return readdirSync(join(folder, "bodies"), { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
    .length;
}
