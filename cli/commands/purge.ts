/** `perigee purge`: removes or softens what edges have stored of a site, and says how many have done so. */
import type { Command } from "commander";
import type { PurgeMatch } from "#domain/content/purge.ts";
import { Failure } from "#domain/failure.ts";
import { parseName } from "#domain/ids.ts";
import { API_VERSION } from "#domain/resource.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { fieldOf, printValue, resultOption, textOf } from "../output.ts";
import { type Api, apiOf, type CommandSession } from "./session.ts";

/** A purge is at every edge within a second; one that is away for longer applies it when it returns. */
const WAIT_SECONDS = "5";
const ASK_AGAIN_MS = 100;

interface PurgeOptions {
  readonly site: string;
  readonly url?: readonly string[];
  readonly tag?: readonly string[];
  readonly prefix?: string;
  readonly all?: true;
  readonly soft?: true;
  readonly wait: string;
  readonly output: string;
}

export function addPurge(program: Command, session: CommandSession): void {
  program
    .command("purge")
    .description("remove what edges have stored of a site, everywhere, also at edges that are away when they return")
    .requiredOption("--site <name>")
    .option("--url <url...>", "of these URLs, or paths with their queries: every variant, range and encoding")
    .option("--tag <tag...>", "with one of these tags (Cache-Tag, Surrogate-Key)")
    .option("--prefix <path>", "whose path begins so")
    .option("--all", "everything of the site")
    .option("--soft", "keep it as stale: validated before use, and there if the upstream is not")
    .option("--wait <seconds>", "how long to wait for every edge", WAIT_SECONDS)
    .addOption(resultOption())
    .addHelpText(
      "after",
      "\nExamples:\n  perigee purge --site shop --url https://shop.example/prices\n  perigee purge --site shop --tag product-7 --soft",
    )
    .action(async (options: PurgeOptions, command: Command) => {
      const api = apiOf(command, session);
      const { soft = false } = options;
      const site = parseName(options.site, "--site");
      const waitMs = parseWait(options.wait) * 1000;
      const name = `${site}.${systemRandom.uuid()}`;
      const spec = { site, match: matchOf(options), soft };
      const documents = [{ apiVersion: API_VERSION, kind: "Purge", metadata: { name }, spec }];
      await api.origin({ method: "POST", path: "/v1/apply?dryRun=false", body: { documents } });
      const purge = await appliedPurge(api, name, waitMs, session.signal);
      if (options.output === "json") printValue(session.output, "json", purge);
      else session.output.line(`Purge/${name}  applied by ${appliedBy(purge)} of ${edgesOf(purge)} edges`);
      const missing = edgesOf(purge) - appliedBy(purge);
      if (missing > 0) session.output.note(`${missing} have not said so yet: who is away applies it when it returns`);
    });
}

/** Throws `argument-invalid` where it is not exactly one of the four. */
function matchOf({ url, tag, prefix, all }: PurgeOptions): PurgeMatch {
  const given: PurgeMatch[] = [];
  if (url !== undefined) given.push({ kind: "paths", paths: url.map(targetOf) });
  if (tag !== undefined) given.push({ kind: "tags", tags: tag });
  if (prefix !== undefined) given.push({ kind: "prefix", prefix });
  if (all === true) given.push({ kind: "all" });
  const [match] = given;
  if (match !== undefined && given.length === 1) return match;
  throw new Failure("argument-invalid", "give exactly one of --url, --tag, --prefix and --all");
}

/** Path and query: stored responses of a site are purged under all its host names. */
function targetOf(text: string): string {
  if (text.startsWith("/")) return text;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url.pathname + url.search;
  throw new Failure("argument-invalid", `--url must be http://, https:// or a path, got ${JSON.stringify(text)}`);
}

function parseWait(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new Failure("argument-invalid", `--wait must be whole seconds from 0 to 9999, got ${JSON.stringify(text)}`);
}

/** As it is when every edge has it, or when the time is over. */
async function appliedPurge(api: Api, name: string, waitMs: number, signal: AbortSignal): Promise<unknown> {
  const untilMs = systemClock.monotonicMs() + waitMs;
  for (;;) {
    const purge = await api.origin({ method: "GET", path: `/v1/resources/Purge/${name}` });
    if (appliedBy(purge) >= edgesOf(purge) || systemClock.monotonicMs() >= untilMs || signal.aborted) return purge;
    await systemClock.sleep(ASK_AGAIN_MS, signal).catch(() => undefined);
  }
}

function appliedBy(purge: unknown): number {
  return Number(textOf(fieldOf(purge, "status", "appliedBy")));
}

function edgesOf(purge: unknown): number {
  return Number(textOf(fieldOf(purge, "status", "edges")));
}
