/** The agent's hold on a session's process: start, setup, signalling, and its end with a reason, each within its time. */
import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { FrameStatistics, FromSession, HandedUpgrade, SessionSetup, ToSession } from "./messages.ts";

/** Loading and opening the GPU take a second; a loaded machine takes several times that. */
const WARM_MS_MAX = 20_000;
/** SwiftShader compiles its shaders in under a second. */
const SETUP_MS_MAX = 10_000;
const ANSWER_MS_MAX = 2_000;
/** Told to stop, it has this long to tell its client. */
const STOP_MS_MAX = 2_000;
/** A process tells of itself every second, but for a setup that blocks it. */
const HUNG_MS_MAX = 10_000;
const CHECK_MS = 1_000;

export interface SessionProcess {
  readonly pid: number;
  readonly adapterName: string;
  readonly isSoftware: boolean;
  /** Resolves once it has rendered and encoded. Throws `scene-invalid`, `unavailable`, `deadline-exceeded`. */
  setUp(setup: SessionSetup): Promise<void>;
  /** How long frames took, one after the other as fast as they came. */
  measure(forMs: number): Promise<readonly number[]>;
  /** Resolves with the answer's SDP. Throws `media-invalid`, `unavailable`, `deadline-exceeded`. */
  accept(offerSdp: string): Promise<string>;
  /** The socket is the process's from now on. */
  hand(socket: Socket, upgrade: HandedUpgrade): void;
  /** Every second. */
  onStatistics(listener: (statistics: FrameStatistics, rttMs: number) => void): void;
  /** Idempotent; the first reason stands. */
  stop(reason: string): void;
  /** Resolves once, when the process is gone, with the reason it gave or its exit. */
  readonly ended: Promise<string>;
}

export interface ProcessOptions {
  readonly clock: Clock;
  /** What the process needs for its Vulkan driver, and no more than that. */
  readonly environment: Readonly<Record<string, string>>;
}

export type StartProcess = () => Promise<SessionProcess>;

/** Resolves when its GPU is open. Throws `gpu-unavailable`, `encoder-unavailable`, `unavailable`, `deadline-exceeded`. */
export async function startSessionProcess({ clock, environment }: ProcessOptions): Promise<SessionProcess> {
  const child = fork(join(import.meta.dirname, "child.ts"), {
    env: environment,
    execArgv: [],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const conversation = converse(child, clock);
  try {
    const { adapterName, isSoftware } = await conversation.answer("warm", WARM_MS_MAX);
    return processOf(child, conversation, { adapterName, isSoftware });
  } catch (error) {
    conversation.stop("not warm");
    throw error;
  }
}

type Conversation = ReturnType<typeof converse>;

function processOf(
  child: ChildProcess,
  { answer, send, stop, listeners, ended }: Conversation,
  adapter: Pick<SessionProcess, "adapterName" | "isSoftware">,
): SessionProcess {
  let offers = 0;
  return {
    ...adapter,
    pid: child.pid ?? 0,
    ended,
    stop,
    async setUp(setup) {
      send({ kind: "setup", setup });
      await answer("ready", SETUP_MS_MAX);
    },
    async measure(forMs) {
      send({ kind: "measure", forMs });
      return (await answer("measured", forMs + SETUP_MS_MAX)).framesMs;
    },
    async accept(sdp) {
      offers += 1;
      const request = offers;
      send({ kind: "offer", request, sdp });
      const { outcome } = await answer("answer", ANSWER_MS_MAX, (message) => message.request === request);
      if (outcome.kind === "accepted") return outcome.sdp;
      throw new Failure("media-invalid", outcome.message);
    },
    hand: (socket, upgrade) => send({ kind: "upgrade", upgrade }, socket),
    onStatistics(listener) {
      listeners.add((message) => {
        if (message.kind === "statistics") listener(message.statistics, message.rttMs);
      });
    },
  };
}

function converse(child: ChildProcess, clock: Clock) {
  const listeners = new Set<(message: FromSession) => void>();
  /** Until it is warm it is silent, and bounded by that. */
  let lastHeardMs = Number.POSITIVE_INFINITY;
  let reason: string | undefined;
  let failure: Failure | undefined;
  child.on("message", (message: FromSession) => {
    lastHeardMs = clock.monotonicMs();
    if (message.kind === "ended") reason ??= message.reason;
    if (message.kind === "failed") failure ??= new Failure(message.code, message.message);
    for (const listener of listeners) listener(message);
  });
  const kill = (because: string): void => {
    reason ??= because;
    child.kill("SIGKILL");
  };
  const timers = new DisposableStack();
  timers.use(
    clock.every(CHECK_MS, () => {
      if (clock.monotonicMs() - lastHeardMs > HUNG_MS_MAX) kill("process-hung");
    }),
  );
  const ended = endOf(child).then((exit) => {
    timers.dispose();
    return reason ?? failure?.message ?? exit;
  });
  const send = (message: ToSession, socket?: Socket): void => {
    // A process that is going takes nothing any more: whoever waits for an answer learns of its end.
    child.send(message, socket, undefined, (error) => {
      if (error !== null) socket?.destroy();
    });
  };
  const stop = (because: string): void => {
    if (timers.disposed || reason !== undefined) return;
    reason = because;
    if (child.connected) send({ kind: "stop", reason: because });
    else child.kill("SIGKILL");
    timers.use(clock.timer(STOP_MS_MAX, () => child.kill("SIGKILL")));
  };
  const endFailure = (exit: string): Failure => failure ?? new Failure("unavailable", `the session ended: ${exit}`);
  const answer = <K extends FromSession["kind"]>(
    kind: K,
    withinMs: number,
    isMeant: (message: Extract<FromSession, { kind: K }>) => boolean = () => true,
  ): Promise<Extract<FromSession, { kind: K }>> => {
    const { promise, resolve, reject } = Promise.withResolvers<Extract<FromSession, { kind: K }>>();
    const listener = (message: FromSession): void => {
      if (isOfKind(message, kind) && isMeant(message)) resolve(message);
    };
    listeners.add(listener);
    const late = new Failure("deadline-exceeded", `a session's process gave no ${kind} within ${withinMs} ms`);
    const timer = clock.timer(withinMs, () => reject(late));
    ended.then((exit) => reject(endFailure(exit)), reject);
    return promise.finally(() => {
      timer[Symbol.dispose]();
      listeners.delete(listener);
    });
  };
  return { listeners, ended, send, stop, answer };
}

/** Its last message may come after its exit: the end of the channel comes after both. */
async function endOf(child: ChildProcess): Promise<string> {
  const exited = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => resolve(`process-exited: ${signal ?? code}`));
    child.once("error", (error) => resolve(`process-not-started: ${error.message}`));
  });
  const drained = new Promise<void>((resolve) => child.once("disconnect", resolve));
  const exit = await exited;
  if (child.connected) await drained;
  return exit;
}

function isOfKind<K extends FromSession["kind"]>(
  message: FromSession,
  kind: K,
): message is Extract<FromSession, { kind: K }> {
  return message.kind === kind;
}
