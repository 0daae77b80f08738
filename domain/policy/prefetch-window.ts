/** Windows of time in which planned copies may begin, by the wall clock of a time zone. Pure. */

export const WINDOW_START_PATTERN = "^([01]\\d|2[0-3]):[0-5]\\d$";
export const WINDOW_END_PATTERN = "^(([01]\\d|2[0-3]):[0-5]\\d|24:00)$";

/** In the order of Intl's short names of the days in English, Monday first. */
export const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Weekday = (typeof WEEKDAYS)[number];

export const TIME_ZONE_DEFAULT = "UTC";
/** Time zones whose clock is kept at hand; a formatter takes 30 µs to make and some kilobytes to keep. */
export const TIME_ZONES_KEPT_MAX = 64;
/** Offsets from UTC have changed at whole quarters of an hour only, anywhere, since 2012. */
const SLOT_MS = 900_000;
const MINUTE_MS = 60_000;
const DAYS = WEEKDAYS.length;
const DAY_NAMES: readonly string[] = WEEKDAYS;

export interface PrefetchWindow {
  /** Those on which it begins; every day where not given. */
  readonly days?: readonly Weekday[];
  /** `HH:MM`, included. */
  readonly from: string;
  /** `HH:MM`, not included, 24:00 at the latest; of the next day where it is before `from`. */
  readonly to: string;
  /** IANA; UTC where not given. */
  readonly timeZone?: string;
}

export interface LocalTime {
  /** Index in `WEEKDAYS`. */
  readonly weekday: number;
  readonly minuteOfDay: number;
}

interface ZoneClock {
  readonly format: Intl.DateTimeFormat;
  slotMs: number;
  atSlot: LocalTime;
}

/** By name as it was given; undefined where this program's time zones do not have it. */
const CLOCKS = new Map<string, ZoneClock | undefined>();

/** What a clock on the wall shows; undefined in a time zone that is not known here. */
export function localTimeAt(timeZone: string, atMs: number): LocalTime | undefined {
  const clock = clockOf(timeZone);
  if (clock === undefined) return undefined;
  const slotMs = Math.floor(atMs / SLOT_MS) * SLOT_MS;
  if (clock.slotMs !== slotMs) {
    clock.atSlot = readClock(clock.format, slotMs);
    clock.slotMs = slotMs;
  }
  const minuteOfDay = clock.atSlot.minuteOfDay + Math.floor((atMs - slotMs) / MINUTE_MS);
  const isNextDay = minuteOfDay >= 1440;
  return {
    weekday: isNextDay ? (clock.atSlot.weekday + 1) % DAYS : clock.atSlot.weekday,
    minuteOfDay: isNextDay ? minuteOfDay - 1440 : minuteOfDay,
  };
}

export function isTimeZone(name: string): boolean {
  return clockOf(name) !== undefined;
}

/**
 * Whether the wall clock reads a time in the window. A time that a change to summer time leaves out is in none; an hour
 * that comes twice is in it twice. What is after midnight belongs to the day before.
 */
export function isWindowOpen(window: PrefetchWindow, atMs: number): boolean {
  const local = localTimeAt(window.timeZone ?? TIME_ZONE_DEFAULT, atMs);
  if (local === undefined) return false;
  const { weekday, minuteOfDay } = local;
  const [from, to] = [minutesOf(window.from), minutesOf(window.to)];
  if (from < to) return from <= minuteOfDay && minuteOfDay < to && beginsOn(window, weekday);
  if (minuteOfDay >= from) return beginsOn(window, weekday);
  return minuteOfDay < to && beginsOn(window, (weekday + DAYS - 1) % DAYS);
}

/** Each list has a window that is open. */
export function areOpen(lists: readonly (readonly PrefetchWindow[])[], atMs: number): boolean {
  return lists.every((windows) => windows.some((window) => isWindowOpen(window, atMs)));
}

/** The first minute from `fromMs` on, within a span, in which they are open; undefined where there is none. */
export function nextOpenMs(
  lists: readonly (readonly PrefetchWindow[])[],
  { fromMs, withinMs }: { readonly fromMs: number; readonly withinMs: number },
): number | undefined {
  for (let atMs = fromMs; atMs < fromMs + withinMs; atMs = (Math.floor(atMs / MINUTE_MS) + 1) * MINUTE_MS) {
    if (areOpen(lists, atMs)) return atMs;
  }
  return undefined;
}

/** `mon,tue 01:00–05:00 Europe/Lisbon`. */
export function describeWindow({ days, from, to, timeZone = TIME_ZONE_DEFAULT }: PrefetchWindow): string {
  return `${days === undefined ? "daily" : days.join(",")} ${from}–${to} ${timeZone}`;
}

function beginsOn({ days }: PrefetchWindow, weekday: number): boolean {
  const day = WEEKDAYS[weekday];
  return days === undefined || (day !== undefined && days.includes(day));
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
}

function clockOf(timeZone: string): ZoneClock | undefined {
  if (CLOCKS.has(timeZone)) return CLOCKS.get(timeZone);
  if (CLOCKS.size >= TIME_ZONES_KEPT_MAX) CLOCKS.clear();
  const clock = openClock(timeZone);
  CLOCKS.set(timeZone, clock);
  return clock;
}

function openClock(timeZone: string): ZoneClock | undefined {
  try {
    const parts = { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
    const format = new Intl.DateTimeFormat("en-GB", { ...parts, timeZone });
    return { format, slotMs: 0, atSlot: readClock(format, 0) };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function readClock(format: Intl.DateTimeFormat, atMs: number): LocalTime {
  const parts = new Map(format.formatToParts(atMs).map(({ type, value }) => [type, value]));
  const day = parts.get("weekday")?.toLowerCase() ?? "";
  const hours = Number(parts.get("hour"));
  return {
    weekday: DAY_NAMES.indexOf(day),
    minuteOfDay: hours * 60 + Number(parts.get("minute")),
  };
}
