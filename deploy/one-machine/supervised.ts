/** Keeps one program running: starts it again when it ends by itself, and stops and starts it when told. */
import { rmSync, writeFileSync } from "node:fs";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import {
  describeEnd,
  type ProgramSpec,
  READY_MS_MAX,
  type RunningProgram,
  spawnProgram,
  untilReady,
} from "./program.ts";
import { decideRestart } from "./restart.ts";

export interface SupervisionEvents {
  started(program: string, tookMs: number): void;
  ended(program: string, how: string, againInMs: number): void;
  gaveUp(program: string, restarts: number): void;
}

export const PROGRAM_STATES = ["starting", "running", "waiting", "stopped", "given-up"] as const;
export type ProgramState = (typeof PROGRAM_STATES)[number];

export interface SupervisedProgram extends AsyncDisposable {
  readonly name: string;
  readonly adminUrl: string;
  readonly state: ProgramState;
  readonly pid: number | undefined;
  /** Resolves when it is ready for the first time since its last start by hand; throws `unavailable`. */
  start(signal: AbortSignal): Promise<void>;
  /** Ended, and not started again until told. */
  stop(how?: "in-order" | "at-once"): Promise<void>;
  /** As a crash: ended at once, and started again as after any other end. */
  crash(): void;
  /** The same at once, for the last moment of whoever supervises. */
  kill(): void;
}

export interface SupervisedSpec extends ProgramSpec {
  readonly pidFile: string;
  /** It is not started again sooner. */
  readonly restartMsMin?: number | undefined;
}

export function superviseProgram(spec: SupervisedSpec, clock: Clock, events: SupervisionEvents): SupervisedProgram {
  return new Supervisor(spec, clock, events);
}

class Supervisor implements SupervisedProgram {
  readonly #spec: SupervisedSpec;
  readonly #clock: Clock;
  readonly #events: SupervisionEvents;
  #state: ProgramState = "stopped";
  #running: RunningProgram | undefined;
  /** Aborted when the present life (with its restarts) is over. */
  #life = new AbortController();
  #keeping: Promise<void> = Promise.resolve();

  constructor(spec: SupervisedSpec, clock: Clock, events: SupervisionEvents) {
    this.#spec = spec;
    this.#clock = clock;
    this.#events = events;
  }

  get name(): string {
    return this.#spec.name;
  }

  get adminUrl(): string {
    return this.#spec.adminUrl;
  }

  get state(): ProgramState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#running?.pid;
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#state !== "stopped" && this.#state !== "given-up") return;
    this.#life = new AbortController();
    try {
      const running = await this.#startOnce(AbortSignal.any([signal, this.#life.signal]));
      this.#keeping = this.#keep(running, this.#life.signal);
    } catch (error) {
      this.#state = "stopped";
      throw error;
    }
  }

  async stop(how: "in-order" | "at-once" = "in-order"): Promise<void> {
    this.#life.abort(new Failure("unavailable", `${this.name} is told to stop`));
    if (how === "at-once") this.#running?.kill();
    await this.#running?.[Symbol.asyncDispose]();
    await this.#keeping;
    this.#state = "stopped";
  }

  crash(): void {
    this.#running?.kill();
  }

  kill(): void {
    this.#life.abort(new Failure("unavailable", `${this.name} is killed`));
    this.#running?.kill();
    rmSync(this.#spec.pidFile, { force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Ready when it resolves. */
  async #startOnce(signal: AbortSignal): Promise<RunningProgram> {
    signal.throwIfAborted();
    this.#state = "starting";
    const begunMs = this.#clock.monotonicMs();
    const running = spawnProgram(this.#spec, this.#clock);
    this.#running = running;
    writeFileSync(this.#spec.pidFile, `${running.pid}\n`);
    try {
      await untilReady(this.#spec, running, this.#clock, this.#clock.deadline(READY_MS_MAX, signal));
    } catch (error) {
      await this.#bury(running);
      throw error;
    }
    this.#state = "running";
    this.#events.started(this.name, this.#clock.monotonicMs() - begunMs);
    return running;
  }

  async #bury(running: RunningProgram): Promise<void> {
    await running[Symbol.asyncDispose]();
    this.#running = undefined;
    rmSync(this.#spec.pidFile, { force: true });
  }

  /** Resolves when the life is over or restarting is given up. */
  async #keep(first: RunningProgram, life: AbortSignal): Promise<void> {
    let running: RunningProgram | undefined = first;
    let inARow = 0;
    let begunMs = this.#clock.monotonicMs();
    let how = "";
    for (;;) {
      if (running !== undefined) {
        how = describeEnd(await running.ended);
        await this.#bury(running);
      }
      if (life.aborted) return;
      const decision = decideRestart({ livedMs: this.#clock.monotonicMs() - begunMs, inARow });
      inARow = decision.inARow;
      if (decision.kind === "give-up") {
        this.#state = "given-up";
        this.#events.gaveUp(this.name, inARow);
        return;
      }
      this.#state = "waiting";
      const afterMs = Math.max(decision.afterMs, this.#spec.restartMsMin ?? 0);
      this.#events.ended(this.name, how, afterMs);
      await this.#clock.sleep(afterMs, life).catch(() => undefined);
      if (life.aborted) return;
      begunMs = this.#clock.monotonicMs();
      running = await this.#startOnce(life).catch((error: unknown) => {
        if (!isFailure(error)) throw error;
        how = error.message;
        return undefined;
      });
    }
  }
}
