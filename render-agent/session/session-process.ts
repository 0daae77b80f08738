/** The agent's hold on a session's process: start, setup, signalling, and its end with a reason, each within its time. */
import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { AppLine } from "../apps/app-messages.ts";
import type { EncoderWish } from "../encoder/encoder-settings.ts";
import { FOVEATION_USUAL, type Foveation } from "../encoder/foveation.ts";
import { frugalArguments, frugalEnvironment } from "./frugality.ts";
import type { Equipment, FrameStatistics, FromSession, HandedUpgrade, SessionSetup, ToSession } from "./messages.ts";
import type { RehearsedFrames } from "./rehearsal.ts";

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
  /** With the encoder: together they are what a calibration holds for. */
  readonly adapterName: string;
  readonly isSoftware: boolean;
  /** Resolves once it has rendered and encoded. Throws `scene-invalid`, `app-invalid`, `app-failed`, `unavailable`, `deadline-exceeded`. */
  setUp(setup: SessionSetup): Promise<void>;
  /** Frames at the class's rate to a client that is simulated in the process itself. */
  measure(forMs: number): Promise<RehearsedFrames>;
  /** After `measure`: as it was before. */
  rest(): void;
  /** Resolves with the answer's SDP. Throws `media-invalid`, `unavailable`, `deadline-exceeded`. */
  accept(offerSdp: string): Promise<string>;
  /** Ends as `client-silent` where none comes. */
  awaitClient(): void;
  /** The socket is the process's from now on. */
  hand(socket: Socket, upgrade: HandedUpgrade): void;
  /** Every second. */
  onStatistics(listener: (statistics: FrameStatistics, rttMs: number) => void): void;
  onAppLine(listener: (line: AppLine) => void): void;
  /** Idempotent; the first reason stands. */
  stop(reason: string): void;
  /** Resolves once, when the process is gone, with the reason it gave or its exit. */
  readonly ended: Promise<string>;
}

export interface ProcessOptions {
  readonly clock: Clock;
  /** What the process needs for its Vulkan driver, and no more than that. */
  readonly environment: Readonly<Record<string, string>>;
  readonly encoder?: EncoderWish;
  readonly foveation?: Foveation | undefined;
  readonly onEquipped?: (equipment: Equipment) => void;
}

export type StartProcess = () => Promise<SessionProcess>;

/** Resolves when its GPU is open. Throws `gpu-unavailable`, `encoder-unavailable`, `unavailable`, `deadline-exceeded`. */
export async function startSessionProcess({
  clock,
  environment,
  encoder = "auto",
  foveation = FOVEATION_USUAL,
  onEquipped,
}: ProcessOptions): Promise<SessionProcess> {
  const child = fork(join(import.meta.dirname, "child.ts"), {
    env: { ...frugalEnvironment(), ...environment },
    execArgv: frugalArguments(),
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const conversation = converse(child, clock);
  try {
    conversation.send({ kind: "begin", encoder, foveation });
    const { equipment } = await conversation.answer("warm", WARM_MS_MAX);
    onEquipped?.(equipment);
    // What was calibrated with another encoder says nothing of this one.
    const adapterName = `${equipment.adapterName}, ${equipment.encoder}`;
    return processOf(child, conversation, { adapterName, isSoftware: equipment.isSoftware });
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
      return (await answer("measured", forMs + SETUP_MS_MAX)).frames;
    },
    rest: () => send({ kind: "rest" }),
    async accept(sdp) {
      offers += 1;
      const request = offers;
      send({ kind: "offer", request, sdp });
      const { outcome } = await answer("answer", ANSWER_MS_MAX, (message) => message.request === request);
      if (outcome.kind === "accepted") return outcome.sdp;
      throw new Failure("media-invalid", outcome.message);
    },
    awaitClient: () => send({ kind: "await-client" }),
    hand: (socket, upgrade) => send({ kind: "upgrade", upgrade }, socket),
    onStatistics(listener) {
      listeners.add((message) => {
        if (message.kind === "statistics") listener(message.statistics, message.rttMs);
      });
    },
    onAppLine(listener) {
      listeners.add((message) => {
        if (message.kind === "app-line") listener(message.line);
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
    // A process that is going takes nothing any more: whoever waits for an answer learns of its end. This side's copy of
    // a socket is closed here: what Node is to close stays open where the process ends before it says that it took it.
    child.send(message, socket, { keepOpen: true }, () => socket?.destroy());
    if (socket !== undefined) void ended.then(() => socket.destroy());
  };
  const stop = (because: string): void => {
    if (timers.disposed || reason !== undefined) return;
    reason = because;
    if (child.connected) send({ kind: "stop", reason: because });
    else child.kill("SIGKILL");
    timers.use(clock.timer(STOP_MS_MAX, () => child.kill("SIGKILL")));
  };
  const endFailure = (exit: string): Failure => failure ?? failureOfEnd(exit);
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

/** An app that fails while frames are drawn ends the session by a reason, which has the code of its failure before it. */
function failureOfEnd(exit: string): Failure {
  const [code, message] = exit.split(/: (.*)/s, 2);
  if (code === "app-failed") return new Failure(code, message ?? exit);
  return new Failure("unavailable", `the session ended: ${exit}`);
}

/** Its last message may come after its exit: "close" comes after both. "disconnect" does not where it took no socket that it was sent. */
async function endOf(child: ChildProcess): Promise<string> {
  const exited = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => resolve(`process-exited: ${signal ?? code}`));
    child.once("error", (error) => resolve(`process-not-started: ${error.message}`));
  });
  const drained = new Promise<void>((resolve) => child.once("close", () => resolve()));
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
