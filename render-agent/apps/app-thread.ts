/** The thread of an app: opens it, then does one tick after the other; its first failure is its last word. */
import { flushCompileCache } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import { isFailure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { checkSoundState } from "../audio/sound-state.ts";
import { TRANSFORM_FLOATS } from "../renderer/objects.ts";
import { type AppLine, type AppStart, type AppTick, type FromApp, LINE_LEVELS } from "./app-messages.ts";
import { StateWriter } from "./app-state.ts";
import { placeHeld } from "./held-state.ts";
import { createLineLimit } from "./line-limit.ts";
import { loadInterpreter, type Sandbox } from "./sandbox.ts";
import { checkTransforms } from "./transform-check.ts";

const { source, names, sounds, memory }: AppStart = workerData;
const tell = (message: FromApp): void => parentPort?.postMessage(message);
const limit = createLineLimit(systemClock, (line: AppLine) => tell({ kind: "line", line }));

function log(level: string, text: string): void {
  limit.add({ level: LINE_LEVELS.find((one) => one === level) ?? "info", text });
}

function fail(error: unknown): void {
  const code = isFailure(error) ? error.code : "app-failed";
  tell({ kind: "failed", code, message: error instanceof Error ? error.message : String(error) });
  parentPort?.close();
}

let faultTold: string | undefined;

/** The same in every tick is told at first, and then each time that there are twice as many. */
function tellRefused(count: number, fault: string): void {
  if (fault === faultTold && !Number.isInteger(Math.log2(count))) return;
  faultTold = fault;
  log("warn", `the state of this tick is not drawn (${count} so far): ${fault}`);
}

function tick(sandbox: Sandbox, state: StateWriter, { head, dtSeconds }: AppTick): void {
  sandbox.update(head, dtSeconds);
  sandbox.read(state.values);
  const fault =
    checkTransforms(state.values, names) ??
    checkSoundState(state.values.subarray(names.length * TRANSFORM_FLOATS), sounds) ??
    placeHeld(state.values, names.length, head);
  if (fault === undefined) state.publish();
  else tellRefused(state.countRefused(), fault);
  state.countTick();
  tell({ kind: "ticked" });
}

const interpreter = await loadInterpreter();
tell({ kind: "loaded" });
try {
  const state = new StateWriter(memory);
  const sandbox = interpreter.open({ source, names, sounds, initial: state.values.slice(), clock: systemClock, log });
  parentPort?.on("message", (asked: AppTick) => {
    try {
      tick(sandbox, state, asked);
    } catch (error) {
      fail(error);
    }
  });
  tell({ kind: "ready" });
  flushCompileCache();
} catch (error) {
  fail(error);
}
