/** When the next frame may start: the class's rate on average, whatever rate poses come at. Pure. */

/** Of a period: a pose that comes this early is rendered at once, so that jitter costs nothing. */
const EARLY_RATIO = 0.5;

/** `dueMs` is what this gave for the frame before; the result is what the next one is measured against. */
export function startOf(
  nowMs: number,
  dueMs: number,
  periodMs: number,
): { readonly waitMs: number; readonly dueMs: number } {
  const startMs = Math.max(nowMs, dueMs - periodMs * EARLY_RATIO);
  return { waitMs: startMs - nowMs, dueMs: Math.max(dueMs, startMs) + periodMs };
}
