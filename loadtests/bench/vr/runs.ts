/** One run: a new session in a new page, from its start to its last picture; and several sessions at once until one is refused. */
import { systemClock } from "#platform/clock.ts";
import type { RunningChromium } from "#test/chromium/chromium.ts";
import { psnrDb } from "#test/render-agent/psnr.ts";
import { ViewerPage } from "./browser.ts";
import { LEVEL_OF_DETAIL, type Size } from "./cases.ts";
import { lookAtMachine, proportionalMb, sessionPids, startCpuSeconds, startShares } from "./machine.ts";
import { findValue, type Measure, measureStart, measureWindow } from "./measures.ts";
import type { ShownPicture, WindowRecord } from "./records.ts";
import { APP, type Refusal } from "./services.ts";
import type { Truth } from "./truth.ts";
import type { VrWorld } from "./world.ts";

const IDLE_RATIO_MIN = 0.85;
const STEAL_RATIO_MAX = 0.05;
/** The session's place is filled by another process, which takes a core for as long. */
const SETTLE_MS = 3_000;
const RETRY_MS = 5_000;
/** An agent with more is not what is measured here. */
const SESSIONS_MAX = 16;

export interface Scenery {
  readonly world: VrWorld;
  readonly browser: RunningChromium;
  readonly truth: Truth;
  readonly size: Size;
  readonly seconds: number;
  /** Compared with the truth; none of a detail that the agent does not tell. */
  readonly pictures: number;
  readonly say: (text: string) => void;
}

export interface Run {
  readonly measures: readonly Measure[];
  /** Enough idle before it, and little stolen meanwhile. */
  readonly isQuiet: boolean;
  readonly idleRatio: number;
  readonly stealRatio: number;
}

/** Again, for at most so many tries, while the machine is busy with other things; the last try stands as it is. */
export async function runQuietly(scenery: Scenery, triesMax: number): Promise<Run> {
  const { say } = scenery;
  for (let tries = 1; ; tries += 1) {
    const isLast = tries >= triesMax;
    const { idleRatio } = await lookAtMachine();
    const isIdle = idleRatio >= IDLE_RATIO_MIN;
    if (isIdle || isLast) {
      const { measures, stealRatio } = await runOnce(scenery);
      const isQuiet = isIdle && stealRatio <= STEAL_RATIO_MAX;
      if (!isQuiet) say(`  not quiet: idle ${percent(idleRatio)} before it, stolen ${percent(stealRatio)}`);
      if (isQuiet || isLast) return { measures, isQuiet, idleRatio, stealRatio };
    } else say(`  idle ${percent(idleRatio)}: looked at again`);
    await systemClock.sleep(RETRY_MS);
  }
}

const percent = (ratio: number): string => `${(100 * ratio).toFixed(1)} %`;

async function runOnce(scenery: Scenery) {
  const { world, browser, size, seconds } = scenery;
  await using page = await ViewerPage.open(browser, world.services.pageUrl);
  const shares = startShares();
  const refusalsBefore = world.services.refusals.length;
  const session = await page.open({ apiUrl: world.apiUrl, app: APP });
  const start = await page.started(session, () => world.services.refusals.length > refusalsBefore);
  if (start === undefined) throw new Error(`a session was refused: ${JSON.stringify(world.services.refusals.at(-1))}`);
  await systemClock.sleep(SETTLE_MS);
  const watched = await watch(page, [session], seconds);
  const { stealRatio } = shares();
  const inWindow = measureWindow(watched.records[0] ?? nothing(), size);
  if (inWindow === undefined) throw new Error(`no frame in ${seconds} s: ${await page.state(session)}`);
  const likeness = await compare(scenery, page, session);
  await page.leave(session);
  await untilNoSession(world);
  const chosen = world.detail === undefined ? [] : [{ name: LEVEL_OF_DETAIL, unit: "ratio", value: world.detail }];
  return { measures: [...inWindow, ...chosen, ...watched.costs, ...likeness, ...measureStart(start)], stealRatio };
}

const nothing = (): WindowRecord => ({ fromMs: 0, toMs: 0, frames: [], poses: [], drawings: [] });

/** What sessions cost meanwhile, by the operating system's accounting. */
async function watch(page: ViewerPage, sessions: readonly number[], seconds: number) {
  const pids = sessionPids();
  const cpu = startCpuSeconds(pids);
  const records = await page.watch(sessions, seconds);
  const frames = records.reduce((sum, record) => sum + record.frames.length, 0);
  const cpuSeconds = cpu();
  const costs: readonly Measure[] = [
    { name: "CPU a session", unit: "cores", value: cpuSeconds / seconds / sessions.length },
    { name: "CPU a frame", unit: "ms", value: (1000 * cpuSeconds) / Math.max(1, frames) },
    { name: "memory of the largest session's process", unit: "MB", value: Math.max(0, ...pids.map(proportionalMb)) },
  ];
  return { records, costs };
}

/** What the canvas showed beside what is seen from where the head was, in the middle and at worst. */
async function compare(
  { world, truth, size, pictures }: Scenery,
  page: ViewerPage,
  session: number,
): Promise<Measure[]> {
  const { detail } = world;
  if (detail === undefined || pictures === 0) return [];
  const shown = await page.pictures(session, pictures);
  const { eyeWidthPixels, eyeHeightPixels } = size;
  const heads = shown.map(({ head }) => head);
  const truths = await truth.render({ heads, detail, eyeWidthPixels, eyeHeightPixels });
  const likenessDb = shown.map((picture, at) => likenessOf(picture, truths[at], size)).toSorted((a, b) => a - b);
  return [
    { name: "PSNR of what was shown p50", unit: "dB", value: likenessDb[Math.floor(likenessDb.length / 2)] ?? 0 },
    { name: "PSNR of what was shown, least", unit: "dB", value: likenessDb[0] ?? 0 },
  ];
}

function likenessOf(picture: ShownPicture, truth: Uint8Array | undefined, size: Size): number {
  const isWhole = picture.widthPixels === size.eyeWidthPixels && picture.heightPixels === size.eyeHeightPixels;
  if (truth === undefined || !isWhole) return 0;
  return psnrDb(Buffer.from(picture.rgba, "base64"), truth);
}

const GONE_MS_MAX = 10_000;
const GONE_POLL_MS = 50;

/** The next session finds a machine without this one. */
async function untilNoSession(world: VrWorld): Promise<void> {
  const untilMs = systemClock.monotonicMs() + GONE_MS_MAX;
  while (world.sessions() > 0 && systemClock.monotonicMs() < untilMs) await systemClock.sleep(GONE_POLL_MS);
}

export interface Together {
  readonly measures: readonly Measure[];
  readonly refusal: Refusal | undefined;
}

/** One session after the other until the agent says no, then all watched at once. */
export async function runTogether({ world, browser, size, seconds }: Scenery): Promise<Together> {
  await using page = await ViewerPage.open(browser, world.services.pageUrl);
  const sessions: number[] = [];
  let refusal: Refusal | undefined;
  while (sessions.length < SESSIONS_MAX && refusal === undefined) {
    const before = world.services.refusals.length;
    const session = await page.open({ apiUrl: world.apiUrl, app: APP });
    const start = await page.started(session, () => world.services.refusals.length > before);
    if (start !== undefined) sessions.push(session);
    else {
      refusal = world.services.refusals[before];
      await page.leave(session);
    }
  }
  await systemClock.sleep(SETTLE_MS);
  const { records, costs } = await watch(page, sessions, seconds);
  const each = records.map((record) => measureWindow(record, size) ?? []);
  const all = (name: string): readonly number[] => each.map((measures) => findValue(measures, name) ?? Number.NaN);
  for (const session of sessions) await page.leave(session);
  await untilNoSession(world);
  const measures: readonly Measure[] = [
    { name: "sessions until the first refusal", unit: "count", value: sessions.length },
    { name: "sessions that calibration admits", unit: "count", value: world.slots() },
    { name: "pose to decoded p50 of the slowest", unit: "ms", value: Math.max(...all("pose to decoded p50")) },
    { name: "pose to decoded p95 of the slowest", unit: "ms", value: Math.max(...all("pose to decoded p95")) },
    { name: "frames shown of the worst", unit: "%", value: Math.min(...all("frames shown")) },
    ...costs,
  ];
  return { measures, refusal };
}
