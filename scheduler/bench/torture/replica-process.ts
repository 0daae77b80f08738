/** A scheduler's ledger as a process of its own, its clock wrong, driven by the torture over IPC. */
import { PLACEMENT_LIFETIME_SECONDS } from "#contracts/tokens/claims.ts";
import { isFailure } from "#domain/failure.ts";
import { systemRandom } from "#platform/random.ts";
import { RedisScripts } from "#platform/redis/redis-scripts.ts";
import { ledgerScripts } from "../../ledger/ledger-scripts.ts";
import { RedisLedger } from "../../ledger/redis-ledger.ts";
import { type Answer, type Order, type ReplicaSetting, TRANSIT_WITHIN_MS } from "./replica-messages.ts";
import { fastClock, fastLua, fastMs, type Scale } from "./scaled-time.ts";

const events = { redisUp: () => undefined, redisDown: () => undefined, failed: () => undefined };

class Replica {
  readonly #scale: Scale;
  readonly #offsetMs: number;
  readonly #ledger: RedisLedger;

  constructor({ url, scale, offsetMs }: ReplicaSetting) {
    const clock = fastClock(scale);
    const redis = new RedisScripts({ url }, { clock, random: systemRandom, events });
    const scripts = ledgerScripts(fastLua(scale));
    this.#scale = scale;
    this.#offsetMs = offsetMs;
    this.#ledger = new RedisLedger({ redis, clock, events, prefix: "torture/", scripts });
  }

  async carryOut(order: Order): Promise<Answer> {
    const { id } = order;
    try {
      if (order.kind === "reserve") return await this.#reserve(order);
      if (order.kind === "release") await this.#ledger.release(order.session);
      else if (fastMs(this.#scale) - order.sentAtMs > TRANSIT_WITHIN_MS) return { id, outcome: "late" };
      else await this.#ledger.report(order.report);
      return { id, outcome: "done" };
    } catch (error) {
      if (isFailure(error)) return { id, outcome: "unavailable" };
      throw error;
    }
  }

  async #reserve({ id, session, attempt, pool }: Extract<Order, { kind: "reserve" }>): Promise<Answer> {
    const wish = { app: "hall", appSessionsMax: 1_000_000, renderClass: "small", excludedAgents: new Set<string>() };
    const outcome = await this.#ledger.reserve({ session, attempt, pool, ...wish });
    const nowSeconds = Math.floor((fastMs(this.#scale) + this.#offsetMs) / 1_000);
    return { id, outcome, exp: nowSeconds + PLACEMENT_LIFETIME_SECONDS };
  }
}

/** Together, once a turn. */
let outbox: Answer[] = [];
function answer(what: Answer): void {
  if (outbox.length === 0) {
    setImmediate(() => {
      process.send?.(outbox);
      outbox = [];
    });
  }
  outbox.push(what);
}

process.once("message", (setting: ReplicaSetting) => {
  const replica = new Replica(setting);
  process.on("message", (orders: readonly Order[]) => {
    for (const order of orders) void replica.carryOut(order).then(answer);
  });
  process.send?.([]);
});
process.on("disconnect", () => process.exit(0));
