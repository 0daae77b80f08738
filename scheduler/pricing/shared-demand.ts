/** Demand that all replicas count together: each tells the others, through Redis, which sessions came to it, moved and ended. */
import { type Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { ToldStream, ToldTurn } from "#platform/redis/told-stream.ts";
import { packDemand, parseDemand, type ToldAttempt, type ToldWish } from "./demand-codec.ts";
import type { DemandAttempt, DemandCounter, DemandReports, TriedChoice } from "./demand-counter.ts";

/** Turns that the stream keeps, of all replicas: four minutes of two that tell something each second, 77 MB with every one full. */
export const DEMAND_TURNS_KEPT_MAX = 512;
/** Read by one script: 2 MiB. */
export const DEMAND_TURNS_PER_READ_MAX = 16;
/** Sessions of which the others have not been told yet: some 16 full turns. */
export const SESSIONS_UNTOLD_MAX = 20_000;
/** Who came longer ago is counted where it is, and is no arrival of now. */
export const ARRIVAL_AGE_MS_MAX = 15_000;

export interface SharedDemandEvents {
  demandTold(sessions: number): void;
  demandLearned(sessions: number): void;
  /** More came than can be told: they count here only. */
  demandUntold(sessions: number): void;
  /** What a replica of another version, or nobody of ours, wrote there. */
  demandUnreadable(turn: string): void;
  /** They are told at the next turn. */
  demandNotExchanged(failure: Failure): void;
}

export interface SharedDemandPorts {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly counter: DemandCounter;
  readonly stream: Pick<ToldStream, "exchange">;
  readonly events: SharedDemandEvents;
  readonly readChoice: (decision: Uint8Array | TriedChoice) => TriedChoice;
}

interface Untold {
  readonly session: string;
  readonly atMs: number;
  /** Undefined: it has ended. */
  readonly attempt: DemandAttempt | undefined;
}

export class SharedDemand implements DemandReports {
  readonly #ports: SharedDemandPorts;
  /** In the order in which they came to be. */
  readonly #untold = new Map<string, Untold>();
  #leftOut = 0;

  constructor(ports: SharedDemandPorts) {
    this.#ports = ports;
  }

  attempted(attempt: DemandAttempt): void {
    const { clock, counter } = this.#ports;
    const atMs = clock.monotonicMs();
    const counted = counter.count(attempt, { atMs, by: undefined });
    const { session } = attempt;
    const before = this.#untold.get(session)?.attempt;
    if ((counted === "again" && before === undefined) || counted === "older") return;
    const isNew = counted === "arrival" || before?.isNew === true;
    this.#tell({ session, atMs, attempt: { ...attempt, isNew, decision: before?.decision ?? attempt.decision } });
  }

  ended(session: string): void {
    const { clock, counter } = this.#ports;
    counter.ended(session);
    const before = this.#untold.get(session)?.attempt;
    // It came and went between two turns: an arrival all the same.
    const arrived = before?.isNew === true ? ({ ...before, state: "refused", pool: undefined } as const) : undefined;
    this.#tell({ session, atMs: clock.monotonicMs(), attempt: arrived });
  }

  /** Tells what came since the last turn, and learns what came to the others. */
  async turn(): Promise<void> {
    const { stream, events } = this.#ports;
    const packed = packDemand(this.#listUntold());
    const telling = [...this.#untold.values()].slice(0, packed.told);
    try {
      let { turns, isBehind } = await stream.exchange(packed.text);
      for (const untold of telling) {
        if (this.#untold.get(untold.session) === untold) this.#untold.delete(untold.session);
      }
      events.demandTold(packed.told);
      this.#learn(turns);
      while (isBehind) {
        ({ turns, isBehind } = await stream.exchange(""));
        this.#learn(turns);
      }
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.demandNotExchanged(error);
    }
    events.demandUntold(this.#leftOut);
    this.#leftOut = 0;
  }

  #tell(untold: Untold): void {
    const isRoom = this.#untold.size < SESSIONS_UNTOLD_MAX || this.#untold.has(untold.session);
    if (isRoom) this.#untold.set(untold.session, untold);
    else this.#leftOut += 1;
  }

  *#listUntold(): Generator<ToldWish> {
    const { clock, readChoice } = this.#ports;
    const nowMs = clock.monotonicMs();
    for (const { session, atMs, attempt } of this.#untold.values()) {
      yield { session, ageMs: nowMs - atMs, attempt: attempt === undefined ? undefined : toTold(attempt, readChoice) };
    }
  }

  #learn(turns: readonly ToldTurn[]): void {
    const { clock, counter, events } = this.#ports;
    const nowMs = clock.monotonicMs();
    for (const turn of turns) {
      const told = parseDemand(turn.text);
      if (told === undefined) {
        events.demandUnreadable(turn.id);
        continue;
      }
      for (const { session, ageMs, attempt } of told) {
        const at = { atMs: nowMs - turn.ageMs - ageMs, by: turn.by };
        const isNew = attempt?.isNew === true && turn.ageMs + ageMs <= ARRIVAL_AGE_MS_MAX;
        if (attempt === undefined) counter.countEnd(session, at);
        else counter.count({ ...attempt, isNew }, at);
      }
      events.demandLearned(told.length);
    }
  }
}

/** Of where it is, what demand is counted by: the network of a client is told to nobody. */
function toTold(attempt: DemandAttempt, readChoice: SharedDemandPorts["readChoice"]): ToldAttempt {
  const { client, decision, isNew } = attempt;
  const at = client.groups.findIndex((group) => group.startsWith("cell:") || group.startsWith("country:"));
  const groups = at < 0 ? [] : client.groups.slice(at);
  const choice = isNew && decision !== undefined ? readChoice(decision) : undefined;
  return { ...attempt, client: { ...client, groups }, decision: choice };
}
