/** An app in a thread of its own, as the session's process holds it: ticks asked for, states taken, and its end. */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { Failure, type FailureCode } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { namesOfObjects, type Transforms } from "../renderer/objects.ts";
import type { Scene } from "../renderer/scene.ts";
import { sharedCompileCache } from "../session/frugality.ts";
import { type AppLine, type AppStart, type AppTick, type FromApp, INIT_MS_MAX, TICK_MS_MAX } from "./app-messages.ts";
import { createStateMemory, StateReader } from "./app-state.ts";
import { headValues } from "./head-values.ts";
import { initialState } from "./held-state.ts";

/** The interpreter is there in a tenth of a second; a machine that starts sessions is busy. */
const LOAD_MS_MAX = 5_000;
/** The interpreter stops its app by itself, and says where; but not within a built-in function, which is ended from here. */
const WATCH_GRACE_MS = 100;
/** A frame waits for the state of its own pose so long, and is drawn with the one before where that is late. */
export const TICK_WAIT_MS_MAX = 4;
/** While nobody looks, no time passes. */
const DT_MS_MAX = 100;
/** Of the thread's JavaScript, which is the host's own: the app's memory is the interpreter's. */
const THREAD_HEAP_MIB_MAX = 64;

export interface AppOptions {
  readonly source: string;
  readonly scene: Scene;
  readonly clock: Clock;
  readonly onLine: (line: AppLine) => void;
  /** Once, with `app-failed`; the last state stays. */
  readonly onFailed: (failure: Failure) => void;
}

export class RunningApp implements AsyncDisposable {
  readonly #options: AppOptions;
  readonly #worker: Worker;
  readonly #state: StateReader;
  readonly #ready = Promise.withResolvers<void>();
  #watch: Disposable | undefined;
  #isOver = false;
  #failure: Failure | undefined;
  #ticked: (() => void) | undefined;
  #ticking: Promise<void> | undefined;
  #asked = 0;
  #lastMs: number;

  private constructor(options: AppOptions) {
    const { source, scene, clock } = options;
    const { sounds = [] } = scene;
    const memory = createStateMemory(initialState(scene));
    const workerData: AppStart = {
      source,
      names: namesOfObjects(scene),
      sounds: sounds.map(({ name }) => name),
      memory,
    };
    this.#options = options;
    this.#state = new StateReader(memory);
    this.#lastMs = clock.monotonicMs();
    this.#worker = new Worker(join(import.meta.dirname, "app-thread.ts"), {
      workerData,
      env: sharedCompileCache(),
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB_MAX },
    });
    this.#watchFor(LOAD_MS_MAX, "deadline-exceeded", "app.js: its interpreter was not loaded");
    this.#worker.on("message", (message: FromApp) => this.#onMessage(message));
    this.#worker.on("error", (error) => this.#fail("app-failed", `app.js: its thread failed: ${error.message}`));
    this.#worker.on("exit", (status) => this.#fail("app-failed", `app.js: its thread ended with status ${status}`));
  }

  /** Resolves when `init` has returned. Throws `app-invalid`, `app-failed`. */
  static async start(options: AppOptions): Promise<RunningApp> {
    const app = new RunningApp(options);
    await app.#ready.promise;
    return app;
  }

  /** The state for that pose where it comes in time, else the last complete one; good until the next call. Sounds and hands follow the objects. */
  async tick(pose: PoseMessage): Promise<Transforms> {
    if (!this.#isOver && this.#ticked === undefined) await this.#ask(pose);
    return this.#state.latest();
  }

  /** Resolves when no tick is under way. Throws `app-failed` where the app has ended. */
  async settle(): Promise<void> {
    await this.#ticking;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** States that could not be drawn. */
  get refused(): number {
    return this.#state.refused;
  }

  /** Resolves when its thread is gone, whatever it was doing. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    await this.#worker.terminate();
  }

  async #ask(pose: PoseMessage): Promise<void> {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const dtSeconds = Math.min(nowMs - this.#lastMs, DT_MS_MAX) / 1000;
    this.#lastMs = nowMs;
    this.#asked += 1;
    const { promise: ticking, resolve: ticked } = Promise.withResolvers<void>();
    this.#ticking = ticking;
    this.#ticked = ticked;
    this.#watchFor(
      TICK_MS_MAX + WATCH_GRACE_MS,
      "app-failed",
      `app.js: update did not finish within ${TICK_MS_MAX} ms`,
    );
    this.#worker.postMessage({ head: headValues(pose), dtSeconds } satisfies AppTick);
    const { promise: late, resolve: giveUp } = Promise.withResolvers<void>();
    using _wait = clock.timer(TICK_WAIT_MS_MAX, giveUp);
    await Promise.race([ticking, late]);
  }

  #onMessage(message: FromApp): void {
    if (this.#isOver) return;
    switch (message.kind) {
      case "loaded":
        this.#watchFor(
          INIT_MS_MAX * 2 + WATCH_GRACE_MS,
          "app-invalid",
          `app.js: init did not finish within ${INIT_MS_MAX} ms`,
        );
        return;
      case "ready":
        this.#watch?.[Symbol.dispose]();
        this.#ready.resolve();
        return;
      case "ticked":
        this.#watch?.[Symbol.dispose]();
        this.#ticked?.();
        this.#ticked = undefined;
        return;
      case "line":
        this.#options.onLine(message.line);
        return;
      case "failed":
        this.#fail(message.code, message.message);
    }
  }

  /** From outside: a process that was itself held up finds that the tick is over, and lets it be. */
  #watchFor(ms: number, code: FailureCode, message: string): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = this.#options.clock.timer(ms, () => {
      const isTickOver = this.#asked > 0 && this.#state.ticks === this.#asked;
      if (!isTickOver) this.#fail(code, message);
    });
  }

  #fail(code: FailureCode, message: string): void {
    if (this.#isOver) return;
    const failure = new Failure(code, message);
    this.#failure = failure;
    this.#end();
    this.#ready.reject(failure);
    this.#options.onFailed(failure);
  }

  #end(): void {
    this.#isOver = true;
    this.#watch?.[Symbol.dispose]();
    this.#ticked?.();
    this.#ticked = undefined;
    void this.#worker.terminate();
  }
}
