/**
 * The interpreter of an app: QuickJS in WebAssembly with memory, stack and time of its own, in which there is nothing
 * of the machine: no clock, no timer, no file, no network, no other module. Blocks while the app runs.
 */
import variant from "@jitl/quickjs-wasmfile-release-sync";
import {
  DefaultIntrinsics,
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
  Scope,
} from "quickjs-emscripten-core";
import { Failure, type FailureCode, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { SOUND_FLOATS } from "../audio/sound-state.ts";
import type { Transforms } from "../renderer/objects.ts";
import { describeLate, describeThrown, type Thrown } from "./app-fault.ts";
import { INIT_MS_MAX, TICK_MS_MAX } from "./app-messages.ts";
import { APP_FILE_NAME } from "./app-source.ts";
import { HELD_FLOATS } from "./held-state.ts";
import { PRELUDE } from "./prelude.ts";

/** Of the app's objects; sample scenes take a hundredth. */
const APP_HEAP_BYTES_MAX = 32 * 1024 * 1024;
/** What the interpreter has in all: its 16 MiB at the start, and a heap that is full and in pieces. */
const APP_MEMORY_PAGES_MAX = 1024;
const MEMORY_PAGES_MIN = 256;
/** Beyond it the host's own stack would end before the interpreter notices. */
const APP_STACK_BYTES_MAX = 128 * 1024;
/** Reading what was thrown may run the app's code. */
const DESCRIBE_MS_MAX = 50;
/** Of promises that settle others, in one tick. */
const JOBS_MAX = 1_000;

/** Node's types have its name and not its constructor. */
const { Memory }: { Memory: new (pages: { initial: number; maximum: number }) => object } = Reflect.get(
  globalThis,
  "WebAssembly",
);
/** The package's types are of its CommonJS form, where the variant is one `default` further in. */
const syncVariant = "default" in variant ? variant.default : variant;

export interface SandboxOptions {
  readonly source: string;
  readonly names: readonly string[];
  readonly sounds: readonly string[];
  readonly initial: Float32Array<ArrayBuffer>;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: (level: string, text: string) => void;
}

export interface Interpreter {
  /** Runs the module and its `init`. Throws `app-invalid`. */
  open(options: SandboxOptions): Sandbox;
}

/** Compiles the interpreter. */
export async function loadInterpreter(): Promise<Interpreter> {
  const wasmMemory = new Memory({ initial: MEMORY_PAGES_MIN, maximum: APP_MEMORY_PAGES_MAX });
  const quickJs = await newQuickJSWASMModuleFromVariant(newVariant(syncVariant, { wasmMemory }));
  return {
    open(options) {
      const runtime = quickJs.newRuntime({
        memoryLimitBytes: APP_HEAP_BYTES_MAX,
        maxStackSizeBytes: APP_STACK_BYTES_MAX,
      });
      return new Sandbox(runtime.newContext({ intrinsics: { ...DefaultIntrinsics, Date: false } }), options);
    },
  };
}

interface Task {
  readonly what: string;
  readonly msMax: number;
  readonly code: FailureCode;
}

const START: Task = { what: "its module", msMax: INIT_MS_MAX, code: "app-invalid" };
const INIT: Task = { ...START, what: "init" };
const UPDATE: Task = { what: "update", msMax: TICK_MS_MAX, code: "app-failed" };

/** Lives as long as its thread: the interpreter's memory goes with it, whatever is left of the app in it. */
export class Sandbox {
  readonly #context: QuickJSContext;
  readonly #clock: SandboxOptions["clock"];
  readonly #tick: QuickJSHandle;
  readonly #update: QuickJSHandle;
  readonly #buffer: QuickJSHandle;
  #deadlineMs = Number.POSITIVE_INFINITY;

  constructor(context: QuickJSContext, options: SandboxOptions) {
    this.#context = context;
    this.#clock = options.clock;
    context.runtime.setInterruptHandler(() => options.clock.monotonicMs() > this.#deadlineMs);
    const around = openPrelude(context, options);
    this.#tick = context.getProp(around, "tick");
    this.#buffer = context.getProp(around, "buffer");
    const module = this.#run(START, (scope) => {
      return this.#settle(context.evalCode(options.source, APP_FILE_NAME, { type: "module" }), START, scope).dup();
    });
    const [init, update] = [context.getProp(module, "init"), context.getProp(module, "update")];
    if ([init, update].some((one) => context.typeof(one) !== "function")) {
      throw new Failure("app-invalid", "app.js: must export the functions init(scene) and update(pose, inputs, dt)");
    }
    this.#update = update;
    this.#run(INIT, (scope) => {
      const scene = scope.manage(context.getProp(around, "scene"));
      this.#settle(context.callFunction(init, context.undefined, scene), INIT, scope);
    });
  }

  /** `head` is of `headValues`. Throws `app-failed`. */
  update(head: Float64Array<ArrayBuffer>, dtSeconds: number): void {
    const context = this.#context;
    this.#run(UPDATE, (scope) => {
      const values = scope.manage(context.newArrayBuffer(head.buffer));
      const dt = scope.manage(context.newNumber(dtSeconds));
      this.#settle(context.callFunction(this.#tick, context.undefined, this.#update, values, dt), UPDATE, scope);
    });
  }

  /** What the app has written so far. Throws `app-failed` where it has given its memory away. */
  read(into: Transforms): void {
    this.#run(UPDATE, (scope) => {
      const { value } = scope.manage(this.#memory());
      into.set(new Float32Array(value.buffer, value.byteOffset, into.length));
    });
  }

  #memory() {
    try {
      return this.#context.getArrayBuffer(this.#buffer);
    } catch (cause) {
      throw new Failure("app-failed", "app.js: scene.transforms is not there any more", { cause });
    }
  }

  #run<T>(task: Task, body: (scope: Scope) => T): T {
    const startedMs = this.#clock.monotonicMs();
    this.#deadlineMs = startedMs + task.msMax;
    try {
      const result = Scope.withScope(body);
      if (this.#clock.monotonicMs() - startedMs <= task.msMax) return result;
    } catch (error) {
      if (isFailure(error)) throw error;
      throw new Failure(task.code, `app.js: its interpreter gave up in ${task.what}: ${String(error)}`, {
        cause: error,
      });
    } finally {
      this.#deadlineMs = Number.POSITIVE_INFINITY;
    }
    throw new Failure(task.code, describeLate(NOTHING, task.what, task.msMax));
  }

  /** With what its promises bring about. */
  #settle(result: ReturnType<QuickJSContext["callFunction"]>, task: Task, scope: Scope): QuickJSHandle {
    const { runtime } = this.#context;
    if (result.error !== undefined) throw this.#failureOf(scope.manage(result.error), task);
    const value = scope.manage(result.value);
    const jobs = runtime.executePendingJobs(JOBS_MAX);
    if (jobs.error !== undefined) throw this.#failureOf(scope.manage(jobs.error), task);
    if (runtime.hasPendingJob()) {
      throw new Failure(task.code, `app.js: more than ${JOBS_MAX} promises settle one another, in ${task.what}`);
    }
    const state = this.#context.getPromiseState(value);
    if (state.type === "rejected") throw this.#failureOf(scope.manage(state.error), task);
    if (state.type === "fulfilled") return state.notAPromise === true ? value : scope.manage(state.value);
    if (task === UPDATE) return value;
    throw new Failure(task.code, `app.js: ${task.what} waits for a promise that nothing settles`);
  }

  #failureOf(error: QuickJSHandle, { what, msMax, code }: Task): Failure {
    const isLate = this.#clock.monotonicMs() > this.#deadlineMs;
    this.#deadlineMs = this.#clock.monotonicMs() + DESCRIBE_MS_MAX;
    const thrown = this.#read(error);
    return new Failure(code, isLate ? describeLate(thrown, what, msMax) : describeThrown(thrown, what));
  }

  #read(error: QuickJSHandle): Thrown {
    const context = this.#context;
    if (context.typeof(error) !== "object") return { ...NOTHING, message: String(context.dump(error)) };
    const textOf = (key: keyof Thrown): string => {
      const value = context.getProp(error, key);
      return context.typeof(value) === "string" ? context.getString(value) : "";
    };
    return { name: textOf("name"), message: textOf("message"), stack: textOf("stack") };
  }
}

const NOTHING: Thrown = { name: "", message: "", stack: "" };

/** `scene`, `buffer` and `tick`. */
function openPrelude(context: QuickJSContext, { names, sounds, initial, log }: SandboxOptions): QuickJSHandle {
  const prelude = context.unwrapResult(context.evalCode(PRELUDE, "prelude.js"));
  const logger = context.newFunction("log", (level, text) => log(context.getString(level), context.getString(text)));
  const given = [
    context.newString(
      JSON.stringify({ names, soundNames: sounds, soundFloats: SOUND_FLOATS, heldFloats: HELD_FLOATS }),
    ),
    context.newArrayBuffer(initial.buffer),
    logger,
  ];
  return context.unwrapResult(context.callFunction(prelude, context.undefined, given));
}
