/** Lines of an app's console: so many a second, and of the others how many there were. */
import type { Clock } from "#platform/clock.ts";
import type { AppLine } from "./app-messages.ts";

const LINES_PER_SECOND_MAX = 20;
const LINE_CHARACTERS_MAX = 500;
const WINDOW_MS = 1_000;

export function createLineLimit(clock: Pick<Clock, "monotonicMs">, pass: (line: AppLine) => void) {
  let beganMs = clock.monotonicMs();
  let count = 0;
  return {
    add({ level, text }: AppLine): void {
      if (clock.monotonicMs() - beganMs >= WINDOW_MS) {
        const dropped = count - LINES_PER_SECOND_MAX;
        beganMs = clock.monotonicMs();
        count = 0;
        if (dropped > 0) pass({ level: "warn", text: `${dropped} more lines were dropped` });
      }
      count += 1;
      if (count <= LINES_PER_SECOND_MAX) pass({ level, text: text.slice(0, LINE_CHARACTERS_MAX) });
    },
  };
}
