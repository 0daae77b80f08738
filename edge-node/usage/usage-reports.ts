/** Writes down what sites were used, every so often and at the end of an hour: durable in the queue of reports, or kept. */
import { isFailure } from "#domain/failure.ts";
import {
  addCounts,
  HOUR_MS,
  hourOf,
  STATUS_COUNTS,
  type UsageCounts,
  type UsageRecord,
} from "#domain/usage/site-usage.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import type { ReportQueue } from "../reports/report-queue.ts";
import { countsOf, type SiteTallies } from "./site-tallies.ts";

/** Some four milliseconds of the thread that serves. */
const RECORDS_AT_ONCE = 50;
/** Between so many and the next: a thousand sites are written within a second. */
const PAUSE_MS = 50;
/** Site-hours that the disk has refused and that are tried again. */
export const USAGE_HELD_MAX = 10_000;

export interface UsageReportsOptions {
  readonly tallies: SiteTallies;
  readonly reports: Pick<ReportQueue, "push" | "commit">;
  /** Of this process: with a number it names each record. */
  readonly incarnation: string;
  /** The origin's time: an hour is the same one at all edges. */
  readonly nowMs: () => number;
  readonly clock: Pick<Clock, "timer" | "every">;
  readonly random: Pick<Random, "ratio">;
  /** What a kill may lose. */
  readonly everyMs: number;
  readonly events: {
    storageFailed(error: unknown): void;
    /** Requests whose count could not be kept. */
    usageLost(requests: number): void;
  };
}

export class UsageReports implements Disposable {
  readonly #options: UsageReportsOptions;
  readonly #timers = new DisposableStack();
  /** Counted, and not durable yet: by site and hour, the oldest first. */
  readonly #held = new Map<string, UsageRecord>();
  /** What was held when the writing began, and its turn has not come. */
  #writing: UsageRecord[] = [];
  #pause: Disposable | undefined;
  #openHourMs: number;
  #hourEnd: Disposable | undefined;
  #written = 0;
  #isOver = false;

  constructor(options: UsageReportsOptions) {
    const { clock, random, everyMs } = options;
    this.#options = options;
    this.#openHourMs = hourOf(options.nowMs());
    // At an instant of its own: edges that start together do not report together.
    this.#timers.use(
      clock.timer(Math.ceil(random.ratio() * everyMs), () => {
        this.write();
        this.#timers.use(clock.every(everyMs, () => this.write()));
      }),
    );
    this.#awaitHourEnd();
  }

  /** What the timers do. What is refused meanwhile has to wait for the next time. */
  write(): void {
    this.#endHour();
    if (this.#writing.length > 0) return;
    this.#writing = this.#takeHeld();
    this.#writeSome();
  }

  /** The queue, which is disposed of later, makes the last durable. */
  [Symbol.dispose](): void {
    this.#timers[Symbol.dispose]();
    this.#endHour();
    this.#hourEnd?.[Symbol.dispose]();
    this.#pause?.[Symbol.dispose]();
    this.#isOver = true;
    for (const [index, record] of [...this.#writing, ...this.#takeHeld()].entries()) {
      if (index > 0 && index % RECORDS_AT_ONCE === 0) this.#options.reports.commit();
      this.#push(record);
    }
  }

  #takeHeld(): UsageRecord[] {
    const held = [...this.#held.values()];
    this.#held.clear();
    return held;
  }

  #writeSome(): void {
    for (const record of this.#writing.splice(0, RECORDS_AT_ONCE)) this.#push(record);
    if (this.#writing.length === 0) return;
    this.#pause = this.#options.clock.timer(PAUSE_MS, () => this.#writeSome());
  }

  /** What was counted is of the hour that it began in. */
  #closeHour(): void {
    const { tallies, nowMs } = this.#options;
    for (const [site, tallied] of tallies.take())
      this.#hold({ site, hourMs: this.#openHourMs, counts: countsOf(tallied) });
    this.#openHourMs = hourOf(nowMs());
  }

  #awaitHourEnd(): void {
    const { clock, nowMs, everyMs } = this.#options;
    this.#hourEnd?.[Symbol.dispose]();
    const leftMs = this.#openHourMs + HOUR_MS - nowMs();
    this.#hourEnd = leftMs <= everyMs ? clock.timer(Math.ceil(leftMs), () => this.#endHour()) : undefined;
  }

  /** A timer may be early by a part of a millisecond: then it is awaited again. */
  #endHour(): void {
    this.#closeHour();
    this.#awaitHourEnd();
  }

  #push(record: UsageRecord): void {
    const { reports, incarnation, events } = this.#options;
    this.#written += 1;
    const id = `usage/${incarnation}/${this.#written}`;
    const subject = `${record.site}/${record.hourMs}`;
    reports.push({ kind: "usage", value: record, subject, id }).catch((error: unknown) => {
      if (!isFailure(error)) throw error;
      events.storageFailed(error);
      if (this.#isOver) events.usageLost(requestsOf(record.counts));
      else this.#hold(record);
    });
  }

  #hold(record: UsageRecord): void {
    const key = `${record.site}/${record.hourMs}`;
    const counts = addCounts(record.counts, this.#held.get(key)?.counts ?? {});
    this.#held.set(key, { ...record, counts });
    if (this.#held.size <= USAGE_HELD_MAX) return;
    const [oldest] = this.#held;
    if (oldest === undefined) return;
    this.#held.delete(oldest[0]);
    this.#options.events.usageLost(requestsOf(oldest[1].counts));
  }
}

function requestsOf(counts: UsageCounts): number {
  return STATUS_COUNTS.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
}
