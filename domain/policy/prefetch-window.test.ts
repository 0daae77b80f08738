import fc from "fast-check";
import t from "tap";
import {
  areOpen,
  describeWindow,
  isTimeZone,
  isWindowOpen,
  localTimeAt,
  nextOpenMs,
  type PrefetchWindow,
  TIME_ZONES_KEPT_MAX,
  WEEKDAYS,
} from "./prefetch-window.ts";

const MINUTE_MS = 60_000;
const ZONES = [
  "UTC",
  "Europe/Lisbon",
  "America/New_York",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
  "Pacific/Chatham",
  "America/Santiago",
  "Africa/Casablanca",
];
/** Days on which one of the zones changes its clock, and one on which none does. */
const DAYS_MS = [
  Date.UTC(2026, 2, 29),
  Date.UTC(2026, 9, 25),
  Date.UTC(2026, 2, 8),
  Date.UTC(2026, 10, 1),
  Date.UTC(2026, 3, 4),
  Date.UTC(2026, 9, 3),
  Date.UTC(2026, 3, 5),
  Date.UTC(2026, 8, 6),
  Date.UTC(2026, 11, 31),
];

/** The wall clock as Intl writes it out for people, asked for this one minute. */
function wallText(timeZone: string, atMs: number): { day: string; time: string } {
  const text = new Intl.DateTimeFormat("en-US", {
    ...{ timeZone, weekday: "long", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  }).format(atMs);
  return { day: text.slice(0, 3).toLowerCase(), time: text.slice(-5) };
}

/** Compares texts of times: `09:30` < `10:00`. */
function isOpenNaively({ days, from, to, timeZone = "UTC" }: PrefetchWindow, atMs: number): boolean {
  const { day, time } = wallText(timeZone, atMs);
  const names: readonly string[] = WEEKDAYS;
  const before = names[(names.indexOf(day) + 6) % 7] ?? "";
  const isOn = (name: string) => days === undefined || days.some((other) => other === name);
  if (from < to) return time >= from && time < to && isOn(day);
  return (time >= from && isOn(day)) || (time < to && isOn(before));
}

const time = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }))
  .map((parts) => parts.map((part) => String(part).padStart(2, "0")).join(":"));
const anyWindow = fc.record(
  {
    days: fc.uniqueArray(fc.constantFrom(...WEEKDAYS), { minLength: 1 }),
    ...{ from: time, to: fc.oneof(time, fc.constant("24:00")), timeZone: fc.constantFrom(...ZONES) },
  },
  { requiredKeys: ["from", "to", "timeZone"] },
);

t.test("a minute is in a window if and only if the clock on the wall says so, also where it changes", async (t) => {
  const seen = { open: 0, closed: 0 };
  const moment = fc
    .tuple(fc.constantFrom(...DAYS_MS), fc.integer({ min: -720, max: 2160 }), fc.nat(MINUTE_MS - 1))
    .map(([day, minutes, rest]) => day + minutes * MINUTE_MS + rest);
  const holds = fc.property(anyWindow, moment, (window, atMs) => {
    const isOpen = isWindowOpen(window, atMs);
    seen[isOpen ? "open" : "closed"] += 1;
    return isOpen === isOpenNaively(window, atMs);
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 1000 }));
  t.ok(seen.open > 50 && seen.closed > 50, JSON.stringify(seen));
});

t.test("each minute of days with changes is what the wall shows, in every zone", async (t) => {
  const wrong: string[] = [];
  for (const timeZone of ZONES) {
    const window = { from: "00:30", to: "02:45", timeZone };
    for (const day of DAYS_MS) {
      for (let minute = 0; minute < 1440; minute += 5) {
        const atMs = day + minute * MINUTE_MS;
        if (isWindowOpen(window, atMs) !== isOpenNaively(window, atMs)) wrong.push(`${timeZone} ${atMs}`);
      }
    }
  }
  t.same(wrong, []);
});

/** Minutes of a day of UTC, from `day`, in which it is open, as ranges of times of UTC. */
function openRanges(window: PrefetchWindow, day: string): string {
  const startMs = Date.parse(`${day}T00:00:00Z`);
  const minutes = Array.from({ length: 1440 }, (_, minute) => isWindowOpen(window, startMs + minute * MINUTE_MS));
  const clock = (minute: number) => new Date(startMs + minute * MINUTE_MS).toISOString().slice(11, 16);
  const edges = minutes.flatMap((isOpen, minute) => (isOpen !== (minutes[minute - 1] ?? false) ? [clock(minute)] : []));
  return edges.join(" ");
}

t.test("summer time: an hour that is left out is in no window, one that comes twice is in it twice", async (t) => {
  const lisbon = (from: string, to: string) => ({ from, to, timeZone: "Europe/Lisbon" });
  t.equal(openRanges(lisbon("01:15", "01:45"), "2026-03-28"), "01:15 01:45", "winter");
  t.equal(openRanges(lisbon("01:15", "01:45"), "2026-03-29"), "", "the clock goes from 01:00 to 02:00");
  t.equal(
    openRanges(lisbon("00:30", "03:00"), "2026-03-29"),
    "00:30 02:00 23:30",
    "an hour shorter; the next night is of summer",
  );
  t.equal(openRanges(lisbon("01:15", "01:45"), "2026-03-30"), "00:15 00:45", "summer");
  t.equal(openRanges(lisbon("01:15", "01:45"), "2026-10-25"), "00:15 00:45 01:15 01:45", "02:00 is 01:00 again");
});

t.test("what is after midnight belongs to the day before; 24:00 is the end of the day", async (t) => {
  const friday: PrefetchWindow = { days: ["fri"], from: "22:00", to: "05:00" };
  t.equal(openRanges(friday, "2026-11-27"), "22:00", "a Friday");
  t.equal(openRanges(friday, "2026-11-28"), "00:00 05:00");
  t.equal(openRanges(friday, "2026-11-29"), "");
  t.equal(openRanges({ from: "00:00", to: "24:00" }, "2026-11-29"), "00:00");
  t.equal(openRanges({ from: "23:00", to: "00:00" }, "2026-11-29"), "23:00");
});

t.test("the next opening is of all lists together; a time zone that is not known is never open", async (t) => {
  const night = [{ from: "01:00", to: "05:00" }];
  const fromMs = Date.UTC(2026, 10, 27, 12, 0, 30);
  const week = { fromMs, withinMs: 7 * 86_400_000 };
  t.equal(nextOpenMs([], week), fromMs);
  t.equal(nextOpenMs([night], week), Date.UTC(2026, 10, 28, 1));
  const both = [night, [{ from: "04:00", to: "06:00", timeZone: "Europe/Berlin" }]];
  t.equal(nextOpenMs(both, week), Date.UTC(2026, 10, 28, 3));
  t.ok(areOpen(both, Date.UTC(2026, 10, 28, 4, 59)));
  t.notOk(areOpen(both, Date.UTC(2026, 10, 28, 5)));
  t.equal(nextOpenMs([night, [{ from: "05:00", to: "06:00" }]], week), undefined);
  t.notOk(isTimeZone("Europe/Atlantis"));
  t.notOk(isWindowOpen({ from: "00:00", to: "24:00", timeZone: "Europe/Atlantis" }, fromMs));
  t.equal(describeWindow({ days: ["sat", "sun"], from: "01:00", to: "05:00" }), "sat,sun 01:00–05:00 UTC");
});

t.test("names of time zones that were asked for are not all kept, and told the same all the while", async (t) => {
  for (let count = 0; count < 3 * TIME_ZONES_KEPT_MAX; count += 1) t.notOk(isTimeZone(`Nowhere/Number_${count}`));
  t.same(localTimeAt("Asia/Kathmandu", Date.UTC(2026, 10, 27, 18, 20)), { weekday: 5, minuteOfDay: 5 });
});
