/** Time that runs faster, the same in every process and in the scripts, so that promises end within a run. */
import { systemClock } from "#platform/clock.ts";

export interface Scale {
  /** Where both times agree, in milliseconds since the epoch. */
  readonly startMs: number;
  readonly factor: number;
}

/** The fast time now. */
export function fastMs({ startMs, factor }: Scale): number {
  return startMs + (systemClock.nowMs() - startMs) * factor;
}

/** For `ledgerScripts`: the server's own time, made faster. */
export function fastLua({ startMs, factor }: Scale): string {
  return `
local time = redis.call('TIME')
local now = math.floor(${startMs} + (time[1] * 1000 + time[2] / 1000 - ${startMs}) * ${factor})`;
}

/** What a ledger and its connection need of a clock. */
export function fastClock({ factor }: Scale) {
  return {
    monotonicMs: () => systemClock.monotonicMs() * factor,
    timer: (ms: number, run: () => void) => systemClock.timer(ms / factor, run),
  };
}
