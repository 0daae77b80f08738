/** Clients that ask replicas for placements, connect with them, stay, move, leave or never come; what the ledger promised is held against what agents have. */

import { CLOCK_SKEW_SECONDS } from "#platform/identity/tokens.ts";
import type { Random } from "#platform/random.ts";
import type { PoolAgents } from "./agents.ts";
import type { Answer } from "./replica-messages.ts";
import type { Replica } from "./replicas.ts";

const TRIES = 4;
/** In fast milliseconds. */
const CONNECT_WITHIN_MS = 8_000;
const STAY_UP_TO_MS = 10_000;
/** Before the placement is not taken any more. */
const LAST_MOMENT_MS = 1_500;

export interface Counts {
  asked: number;
  readonly outcomes: Map<string, number>;
  readonly connects: Map<string, number>;
  retried: number;
  /** Promises for which the agents of the pool have no slot, should all come that may. */
  promisedTooMany: number;
  released: number;
}

export interface ClientsWorld {
  readonly pools: readonly PoolAgents[];
  readonly random: Random;
  readonly replicas: readonly Replica[];
  readonly nowMs: () => number;
  /** At a fast time. */
  readonly later: (atMs: number, run: () => void) => void;
}

interface Session {
  readonly name: string;
  /** That it asked for. */
  attempts: number;
  /** Of the last placement that it came with: it comes with no earlier one. */
  used: number;
  /** It said so, and comes nowhere any more. */
  isEnded: boolean;
}

interface Wish {
  readonly session: Session;
  readonly attempt: number;
  readonly pool: PoolAgents;
  readonly tries: number;
  /** Where it runs while it asks for another place. */
  readonly running: PoolAgents | undefined;
}

export class Clients {
  /** Nobody asks any more; who is placed still comes and goes. */
  isClosing = false;
  readonly counts: Counts = {
    asked: 0,
    outcomes: new Map(),
    connects: new Map(),
    retried: 0,
    promisedTooMany: 0,
    released: 0,
  };
  /** The first few that met no slot. */
  readonly overbooked: string[] = [];
  readonly #world: ClientsWorld;
  #sessions = 0;
  #waiting = 0;

  constructor(world: ClientsWorld) {
    this.#world = world;
  }

  /** Reservations in work. */
  get waiting(): number {
    return this.#waiting;
  }

  /** False where no replica is there to be asked. */
  begin(): boolean {
    this.#sessions += 1;
    const session = { name: `s-${this.#sessions}`, attempts: 0, used: 0, isEnded: false };
    return this.#askNext(session, undefined);
  }

  #anyPool(): PoolAgents {
    const { pools, random } = this.#world;
    const pool = pools[random.integer(pools.length)];
    if (pool === undefined) throw new Error("there are pools");
    return pool;
  }

  #askNext(session: Session, running: PoolAgents | undefined): boolean {
    if (this.isClosing || session.isEnded) return false;
    session.attempts += 1;
    return this.#ask({ session, attempt: session.attempts, pool: this.#anyPool(), tries: 1, running });
  }

  #ask(wish: Wish): boolean {
    const { replicas, random } = this.#world;
    const ready = replicas.filter(({ isReady }) => isReady);
    const replica = ready[random.integer(Math.max(1, ready.length))];
    if (replica === undefined) return false;
    this.counts.asked += 1;
    this.#waiting += 1;
    const { session, attempt, pool } = wish;
    replica.order({ kind: "reserve", session: session.name, attempt, pool: pool.pool }, (answer) => {
      this.#waiting -= 1;
      count(this.counts.outcomes, answer.outcome);
      this.#answered(wish, answer);
    });
    return true;
  }

  #answered(wish: Wish, { outcome, exp = 0 }: Answer): void {
    if (outcome === "reserved") this.#placed(wish, exp);
    else if (wish.tries < TRIES && !wish.session.isEnded && ["unavailable", "died", "superseded"].includes(outcome))
      this.#again(wish, outcome);
    else if (wish.running !== undefined) this.#leaveLater(wish.running, wish.session);
  }

  /** At any replica, which may choose another pool. */
  #again(wish: Wish, outcome: string): void {
    this.counts.retried += 1;
    const pool = this.#world.random.integer(2) === 0 ? wish.pool : this.#anyPool();
    if (outcome === "superseded") wish.session.attempts += 1;
    const attempt = outcome === "superseded" ? wish.session.attempts : wish.attempt;
    if (this.#ask({ ...wish, pool, attempt, tries: wish.tries + 1 })) return;
    if (wish.running !== undefined) this.#leaveLater(wish.running, wish.session);
  }

  #placed(wish: Wish, exp: number): void {
    const { random, nowMs, later } = this.#world;
    if (wish.session.isEnded) return;
    if (!wish.pool.promise(wish.session.name, { exp, nowMs: nowMs() })) this.counts.promisedTooMany += 1;
    const kind = random.integer(20);
    // Who never comes, and who comes at the very last moment.
    if (kind < 3) {
      if (wish.running !== undefined) this.#leaveLater(wish.running, wish.session);
      return;
    }
    // Who was refused asks for another place, and comes here after all.
    if (kind === 19) this.#askNext(wish.session, wish.running);
    const lastMs = (exp + CLOCK_SKEW_SECONDS) * 1_000;
    const atMs = kind < 7 ? lastMs - random.ratio() * LAST_MOMENT_MS : nowMs() + random.ratio() * CONNECT_WITHIN_MS;
    later(atMs, () => this.#connect(wish, exp));
  }

  #connect({ session, attempt, pool, running }: Wish, exp: number): void {
    if (session.isEnded || attempt < session.used) return;
    session.used = attempt;
    const granted = pool.grant(session.name, attempt, { exp, nowMs: this.#world.nowMs() });
    count(this.counts.connects, granted);
    if (granted === "no-slot" && this.overbooked.length < 20)
      this.overbooked.push(`${session.name}/${attempt} in ${pool.pool}`);
    const now = granted === "leased" ? pool : running;
    if (granted === "leased" && running !== undefined && running !== pool) running.end(session.name);
    if (now === undefined) return;
    if (granted === "leased" && this.#world.random.integer(6) === 0 && this.#askNext(session, now)) return;
    this.#leaveLater(now, session);
  }

  #leaveLater(pool: PoolAgents, session: Session): void {
    const { random, nowMs, later, replicas } = this.#world;
    later(nowMs() + random.ratio() * STAY_UP_TO_MS, () => {
      pool.end(session.name);
      const replica = replicas[random.integer(replicas.length)];
      if (replica?.isReady !== true || random.integer(5) !== 0) return;
      this.counts.released += 1;
      session.isEnded = true;
      // A promise elsewhere that it never came for is given back with it.
      for (const other of this.#world.pools) other.forget(session.name);
      replica.order({ kind: "release", session: session.name }, () => undefined);
    });
  }
}

function count(counts: Map<string, number>, word: string): void {
  counts.set(word, (counts.get(word) ?? 0) + 1);
}
