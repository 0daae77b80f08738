/** What the page is told by `config.json` beside it: where the scheduler is, and which app in which tier. Pure. */
import { TIERS, type Tier } from "#domain/policy/placement-policy.ts";
import { ClientFailure } from "./failure.ts";
import { isRecord } from "./http.ts";

export interface ClientConfig {
  /** Scheme, host and port. */
  readonly scheduler: string;
  readonly app: string;
  readonly appToken: string;
  readonly tier: Tier;
  /** The Site whose steering gives fresh probes while a session runs. */
  readonly site: string | undefined;
}

/** Throws `config-invalid` naming the key; `source` is what a person can mend. */
export function parseClientConfig(value: unknown, source: string): ClientConfig {
  const invalid = (what: string) => new ClientFailure("config-invalid", `${source}: ${what}`);
  if (!isRecord(value)) throw invalid("must be a JSON object");
  const text = (key: string): string => {
    const found = value[key];
    if (typeof found === "string" && found !== "") return found;
    throw invalid(`${key} must be a text that is not empty, got ${JSON.stringify(found) ?? "nothing"}`);
  };
  const tier = TIERS.find((known) => known === value["tier"]);
  if (tier === undefined)
    throw invalid(`tier must be one of ${TIERS.join(", ")}, got ${JSON.stringify(value["tier"])}`);
  const scheduler = text("scheduler").replace(/\/+$/, "");
  if (!/^https?:\/\/[^/]+$/.test(scheduler)) throw invalid(`scheduler must be scheme, host and port, got ${scheduler}`);
  return {
    scheduler,
    app: text("app"),
    appToken: text("appToken"),
    tier,
    site: value["site"] === undefined ? undefined : text("site"),
  };
}
