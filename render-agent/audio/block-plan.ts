/** Which block of sound is next and whether it is still worth making: one each 10 ms, late ones skipped. Pure. */
import { AUDIO_BLOCK_MS } from "#contracts/media/audio.ts";

/** While a picture is encoded nothing else is done: what that held up is made up for; later than this it is not heard. */
export const LATE_MS_MAX = 30;

export interface DueBlocks {
  /** Too late: nobody hears them. */
  readonly skipped: number;
  /** To be made now, one after the other. */
  readonly made: number;
}

/** `dueMs` is when the first block that was not made begins. */
export function planBlocks(nowMs: number, dueMs: number): DueBlocks {
  const lateMs = nowMs - dueMs;
  if (lateMs < 0) return { skipped: 0, made: 0 };
  const skipped = lateMs > LATE_MS_MAX ? Math.floor((lateMs - LATE_MS_MAX) / AUDIO_BLOCK_MS) + 1 : 0;
  return { skipped, made: Math.floor(lateMs / AUDIO_BLOCK_MS) + 1 - skipped };
}
