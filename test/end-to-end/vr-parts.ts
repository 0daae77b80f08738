/** What a page says of how its session came up, and who holds it meanwhile, as the agents say themselves. */
import type { Page } from "playwright-core";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { COMING_UP_PARTS } from "#client/session/coming-up.ts";
import { systemClock } from "#platform/clock.ts";

const LOOK_MS = 50;
const ms = Type.Number();
const comingUpSchema = Type.Object({
  because: Type.Union([Type.Literal("created"), Type.Literal("lost")]),
  ...{ noticed: ms, placed: ms, offer: ms, lease: ms, media: ms, picture: ms },
  drawn: ms,
});

export const PARTS = [...COMING_UP_PARTS, "drawn"] as const;

export interface CameUp {
  readonly because: "created" | "lost";
  /** Until a picture was drawn. */
  readonly wholeMs: number;
  readonly partsMs: Readonly<Record<(typeof PARTS)[number], number>>;
}

/** The last time that pictures were missing and came. */
export async function readComingUp(page: Page): Promise<CameUp> {
  await page.waitForFunction("perigee.statistics().comingUp?.drawn !== undefined");
  const told: unknown = await page.evaluate("perigee.statistics().comingUp");
  const { because, ...partsMs } = Value.Parse(comingUpSchema, Value.Clean(comingUpSchema, told));
  return { because, wholeMs: PARTS.reduce((sum, part) => sum + partsMs[part], 0), partsMs };
}

export function describeComingUp({ because, wholeMs, partsMs }: CameUp): string {
  const shown = PARTS.map((part) => `${part} ${Math.round(partsMs[part])}`);
  return `${Math.round(wholeMs)} ms to a picture drawn (${because}): ${shown.join(", ")}`;
}

export interface Holders extends AsyncDisposable {
  /** The most sessions that all agents together said they hold, in one look. */
  readonly most: number;
  readonly looks: number;
}

/** Looks at the agents again and again, until it is disposed of. */
export function watchHolders(adminUrls: readonly string[]): Holders {
  const over = new AbortController();
  let [most, looks] = [0, 0];
  const look = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const held = await Promise.all(adminUrls.map(sessionsHeld));
      most = Math.max(
        most,
        held.reduce((sum, count) => sum + count, 0),
      );
      looks += 1;
      await systemClock.sleep(LOOK_MS, over.signal).catch(() => undefined);
    }
  };
  const looking = look();
  return {
    get most() {
      return most;
    },
    get looks() {
      return looks;
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await looking;
    },
  };
}

export function describeGaps({ longestMs, stoodMs }: Gaps): string {
  return `${Math.round(longestMs)} ms, and the page itself stood still for ${Math.round(stoodMs)} ms at most`;
}

/** Of one that is not there, none: what it held ended with it. */
async function sessionsHeld(adminUrl: string): Promise<number> {
  return Number(/^perigee_render_agent_sessions (\d+)$/m.exec(await metricsOf(adminUrl))?.[1] ?? 0);
}

/** An agent that still measures what it can hold has nothing to give. */
export async function hasSlots(adminUrl: string): Promise<boolean> {
  return /^perigee_render_agent_slots_total\{[^}]*\} [1-9]/m.test(await metricsOf(adminUrl));
}

function metricsOf(adminUrl: string): Promise<string> {
  return fetch(`${adminUrl}/metrics`).then(
    (answer) => answer.text(),
    () => "",
  );
}

const gapsSchema = Type.Object({ longestMs: ms, stoodMs: ms });
export type Gaps = Static<typeof gapsSchema>;

/** The longest gap between pictures from now on, and how long the page itself stood still at most, which is in it. */
export async function watchGaps(page: Page): Promise<() => Promise<Gaps>> {
  await page.evaluate(`(() => {
    window.gaps?.stop();
    let [lookedAtMs, stoodMs] = [performance.now(), 0];
    let [lastAtMs, longestMs, decoded, isOver] = [lookedAtMs, 0, perigee.framesDecoded(), false];
    const look = () => {
      if (isOver) return;
      const [nowMs, count] = [performance.now(), perigee.framesDecoded()];
      longestMs = Math.max(longestMs, nowMs - lastAtMs);
      stoodMs = Math.max(stoodMs, nowMs - lookedAtMs);
      lookedAtMs = nowMs;
      if (count > decoded) [lastAtMs, decoded] = [nowMs, count];
      setTimeout(look, 5);
    };
    look();
    window.gaps = { seen: () => ({ longestMs, stoodMs }), stop: () => { isOver = true; } };
  })()`);
  return async () => Value.Parse(gapsSchema, await page.evaluate("window.gaps.seen()"));
}
