/** `perigee usage`: what sites were used, by hour or day. */
import { type Command, Option } from "commander";
import { fieldOf, itemsOf, printValue, renderTable, resultOption, textOf } from "../output.ts";
import { apiOf, type CommandSession } from "./session.ts";
import { timeOf } from "./time-option.ts";

interface UsageOptions {
  readonly site?: string;
  readonly from?: string;
  readonly to?: string;
  readonly per: "hour" | "day";
  readonly output: string;
}

export function addUsage(program: Command, session: CommandSession): void {
  program
    .command("usage")
    .description("requests and bytes of each site by hour or day, of all edges; an edge reports once a minute")
    .option("--site <name>", "one site")
    .option("--from <time>", "a date or a time, of UTC where it names no zone; a day ago, or 30 with --per day")
    .option("--to <time>", "not included; now")
    .addOption(new Option("--per <period>", "hour, or day of UTC").choices(["hour", "day"]).default("hour"))
    .addOption(resultOption())
    .addHelpText(
      "after",
      "\nHIT is the share of requests that waited for nobody. Bytes are of content.\n\nExamples:\n  perigee usage --site shop\n  perigee usage --per day --from 2026-11-01 --to 2026-12-01 -o json",
    )
    .action(async (options: UsageOptions, command: Command) => {
      const answer = await apiOf(command, session).origin({ method: "GET", path: pathOf(options) });
      if (options.output === "json") printValue(session.output, "json", answer);
      else session.output.line(renderTable(HEADS, itemsOf(answer).map(cellsOf)));
    });
}

const HEADS = ["FROM", "SITE", "REQUESTS", "HIT", "4XX", "5XX", "SENT", "FROM UPSTREAM", "FROM EDGES", "FROM ORIGIN"];

function pathOf({ site, from, to, per }: UsageOptions): string {
  const query = new URLSearchParams({ per });
  if (site !== undefined) query.set("site", site);
  if (from !== undefined) query.set("fromMs", String(timeOf(from, "--from")));
  if (to !== undefined) query.set("toMs", String(timeOf(to, "--to")));
  return `/v1/usage?${query}`;
}

function cellsOf(item: unknown): readonly string[] {
  const of = (...path: readonly string[]) => textOf(fieldOf(item, ...path) ?? 0);
  const fromMs = fieldOf(item, "fromMs");
  return [
    typeof fromMs === "number" ? new Date(fromMs).toISOString().slice(0, 16) : "",
    of("site"),
    of("requests"),
    hitRatio(item),
    of("byStatus", "4xx"),
    of("byStatus", "5xx"),
    ...["sentBytes", "upstreamBytes", "peerBytes", "originBytes"].map((name) => of(name)),
  ];
}

function hitRatio(item: unknown): string {
  const [requests, hits, stale] = [["requests"], ["byCache", "hit"], ["byCache", "stale"]].map((path) =>
    Number(fieldOf(item, ...path) ?? 0),
  );
  if (requests === undefined || hits === undefined || stale === undefined || requests === 0) return "";
  return `${((100 * (hits + stale)) / requests).toFixed(1)}%`;
}
