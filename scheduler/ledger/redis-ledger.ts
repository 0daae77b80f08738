/** The ledger that several replicas share in Redis. It holds what may be lost: reports bring it again, promises end by themselves. */
import { Failure, isFailure } from "#domain/failure.ts";
import type { AgentStatus } from "#domain/fleet/node.ts";
import type { Clock } from "#platform/clock.ts";
import { REDIS_CALL_MS_MAX, type RedisScripts } from "#platform/redis/redis-scripts.ts";
import {
  type Capacity,
  type EdgeReport,
  isMeasured,
  type Ledger,
  type ProbedEdge,
  type ReservationRequest,
  type ReserveOutcome,
  type SlotQuery,
} from "./ledger.ts";
import { LedgerKeys } from "./ledger-keys.ts";
import { type LedgerOperation, ledgerScripts, RESERVE_OUTCOMES } from "./ledger-scripts.ts";
import { ServerTime } from "./server-time.ts";

/** Pools looked at by one script: some microseconds each, while nobody else is served. */
const QUERIES_PER_SCRIPT_MAX = 64;

export interface LedgerEvents {
  /** What was to be told to Redis or asked of it, and was not. */
  failed(operation: LedgerOperation, failure: Failure): void;
}

export interface RedisLedgerOptions {
  readonly redis: Pick<RedisScripts, "run">;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly events: LedgerEvents;
  /** Of every key; each fleet has its own. */
  readonly prefix: string;
  readonly scripts?: ReturnType<typeof ledgerScripts>;
}

export class RedisLedger implements Ledger {
  readonly #options: RedisLedgerOptions;
  readonly #keys: LedgerKeys;
  readonly #scripts: ReturnType<typeof ledgerScripts>;
  readonly #time = new ServerTime();

  constructor(options: RedisLedgerOptions) {
    this.#options = options;
    this.#keys = new LedgerKeys(options.prefix);
    this.#scripts = options.scripts ?? ledgerScripts();
  }

  async report({ pool, node, agents }: EdgeReport): Promise<void> {
    await this.#tell(async () => {
      // As of now: what is carried there late is as old as it is then.
      const atMs = await this.#serverMs();
      const keys = [this.#keys.pool(pool), this.#keys.edge(pool, node)];
      await this.#run("report", keys, [atMs, pool, node, packSlots(agents), packSessions(agents)]);
    });
  }

  async probed({ pool, freeSlots, ageMs }: ProbedEdge): Promise<void> {
    await this.#tell(async () => {
      const atMs = Math.floor((await this.#serverMs()) - Math.max(0, ageMs));
      await this.#run("probed", [this.#keys.pool(pool)], [atMs, packFree(freeSlots)]);
    });
  }

  async capacities(queries: readonly SlotQuery[]): Promise<readonly Capacity[]> {
    const parts: Promise<readonly Capacity[]>[] = [];
    for (let first = 0; first < queries.length; first += QUERIES_PER_SCRIPT_MAX) {
      parts.push(this.#capacities(queries.slice(first, first + QUERIES_PER_SCRIPT_MAX)));
    }
    return (await Promise.all(parts)).flat();
  }

  async reserve(request: ReservationRequest): Promise<ReserveOutcome> {
    const { session, attempt, app, appSessionsMax, pool, renderClass, excludedAgents } = request;
    const keys = this.#keys;
    const untilMs = (await this.#serverMs()) + REDIS_CALL_MS_MAX;
    const answer = await this.#run(
      "reserve",
      [keys.pool(pool), keys.promised(pool), keys.reservation(session), keys.app(app)],
      [untilMs, session, attempt, app, appSessionsMax, pool, packName(renderClass), packNames(excludedAgents)],
    );
    const outcome = RESERVE_OUTCOMES[Number(answer)];
    if (outcome !== undefined && outcome !== "late") return outcome;
    throw this.#late("reserve", session);
  }

  async release(session: string): Promise<void> {
    const untilMs = (await this.#serverMs()) + REDIS_CALL_MS_MAX;
    const answer = await this.#run("release", [this.#keys.reservation(session)], [untilMs, session]);
    if (Number(answer) === 0) throw this.#late("release", session);
  }

  async countSessions(app: string): Promise<number> {
    return Number(await this.#run("count", [this.#keys.app(app)], []));
  }

  async #capacities(queries: readonly SlotQuery[]): Promise<readonly Capacity[]> {
    const keys = queries.flatMap(({ pool }) => [this.#keys.pool(pool), this.#keys.promised(pool)]);
    const words = queries.flatMap((query) => [packName(query.renderClass), packNames(query.excludedAgents)]);
    return String(await this.#run("capacities", keys, words))
      .split(";")
      .map(parseCapacity);
  }

  /** No later than what the server's clock shows now. */
  async #serverMs(): Promise<number> {
    const known = this.#time.earliestAt(this.#options.clock.monotonicMs());
    if (known !== undefined) return known;
    await this.#run("time", [], []);
    return this.#time.earliestAt(this.#options.clock.monotonicMs()) ?? 0;
  }

  /** What it answers besides the time. */
  async #run(operation: LedgerOperation, keys: readonly string[], words: readonly (string | number)[]) {
    const { redis, clock, events } = this.#options;
    try {
      const answer = await redis.run(this.#scripts[operation], keys, [this.#keys.prefix, ...words]);
      if (!Array.isArray(answer)) throw new TypeError(`the script ${operation} answers with a pair`);
      this.#time.learn(Number(answer[1]), clock.monotonicMs());
      return answer[0];
    } catch (error) {
      if (isFailure(error)) events.failed(operation, error);
      throw error;
    }
  }

  /** What is lost comes again with the next report or probe; without them the pool closes. */
  async #tell(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      if (!isFailure(error)) throw error;
    }
  }

  /** It ran when this side had given it up, and therefore did nothing. */
  #late(operation: LedgerOperation, session: string): Failure {
    const message = `${operation} of ${session} reached Redis after ${REDIS_CALL_MS_MAX} ms and was left: try again`;
    const failure = new Failure("unavailable", message, { retryable: true });
    this.#options.events.failed(operation, failure);
    return failure;
  }
}

/** Without the spaces and semicolons that part them. */
function packName(name: string): string {
  return encodeURIComponent(name);
}

function packNames(names: ReadonlySet<string>): string {
  return names.size === 0 ? "" : `;${[...names].map(packName).join(";")};`;
}

function packSlots(agents: readonly AgentStatus[]): string {
  return agents
    .filter(({ ready }) => ready)
    .flatMap(({ agent, slots }) =>
      slots.filter(isMeasured).map(({ renderClass, total, free, frameMsP95 }) => {
        return `${packName(agent)} ${packName(renderClass)} ${total} ${free} ${frameMsP95};`;
      }),
    )
    .join("");
}

function packSessions(agents: readonly AgentStatus[]): string {
  const sessions = agents.flatMap((agent) => agent.sessions);
  return `;${sessions.map(({ session, attempt, app }) => `${packName(session)} ${attempt} ${packName(app)};`).join("")}`;
}

function packFree(freeSlots: Readonly<Record<string, number>>): string {
  const counts = Object.entries(freeSlots).map(([name, free]) => `${packName(name)} ${Math.max(0, Math.floor(free))};`);
  return `;${counts.join("")}`;
}

function parseCapacity(text: string): Capacity {
  const [isOpen = "", total = "", free = "", frame = ""] = text.split(" ");
  return {
    isOpen: isOpen === "1",
    slotsTotal: Number(total),
    slotsFree: Number(free),
    frameMsP95: frame === "-" ? undefined : Number(frame),
  };
}
