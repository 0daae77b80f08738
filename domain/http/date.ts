/** HTTP dates (RFC 9110 section 5.6.7): all three formats are read, in whatever case. Pure. */

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const TIME = "(\\d{2}):(\\d{2}):(\\d{2})";

const IMF_FIXDATE = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\\d{2}) (\\w{3}) (\\d{4}) ${TIME} GMT$`, "i");
const RFC850_DATE = new RegExp(
  `^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\\d{2})-(\\w{3})-(\\d{2}) ${TIME} GMT$`,
  "i",
);
const ASCTIME_DATE = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\\w{3}) ([ \\d]\\d) ${TIME} (\\d{4})$`, "i");

/** A two-digit year more than this ahead is in the past (section 5.6.7). */
const YEARS_AHEAD_MAX = 50;

/** Epoch milliseconds; `undefined` for what is no date. `nowMs` decides the century of a two-digit year. */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  const fix = IMF_FIXDATE.exec(text);
  if (fix !== null) return epochOf(fix[3], fix[2], fix[1], fix.slice(4));
  const old = RFC850_DATE.exec(text);
  if (old !== null) return epochOf(String(fullYear(Number(old[3]), nowMs)), old[2], old[1], old.slice(4));
  const asc = ASCTIME_DATE.exec(text);
  return asc === null ? undefined : epochOf(asc[6], asc[1], asc[2], asc.slice(3, 6));
}

function fullYear(twoDigits: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + YEARS_AHEAD_MAX ? year - 100 : year;
}

function epochOf(year = "", month = "", day = "", time: readonly string[] = []): number | undefined {
  const monthIndex = MONTHS.indexOf(month.toLowerCase());
  const [hours = 0, minutes = 0, seconds = 0] = time.map(Number);
  if (monthIndex < 0 || hours > 23 || minutes > 59 || seconds > 60) return undefined;
  const dayNumber = Number(day);
  const ms = Date.UTC(Number(year), monthIndex, dayNumber, hours, minutes, seconds);
  const isRealDay = new Date(Date.UTC(Number(year), monthIndex, dayNumber)).getUTCDate() === dayNumber;
  return isRealDay ? ms : undefined;
}

export function formatHttpDate(epochMs: number): string {
  return new Date(epochMs).toUTCString();
}
