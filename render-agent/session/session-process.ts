/** The agent's hold on a session's process: start, warm-up, signalling, end with a reason. */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { FromSession, SessionSetup, ToSession } from "./messages.ts";

/** SwiftShader compiles its shaders in under a second; a loaded machine takes several times that. */
const READY_MS_MAX = 20_000;
const ANSWER_MS_MAX = 5_000;

export interface SessionProcess extends Disposable {
  readonly pid: number;
  readonly adapterName: string;
  /** Render and encode of a warm frame. */
  readonly frameMs: number;
  /** Resolves with the answer's SDP. */
  accept(offerSdp: string): Promise<string>;
  /** Resolves once, when the process is gone, with the reason it gave or its exit. */
  readonly ended: Promise<string>;
}

export interface StartOptions {
  readonly clock: Clock;
  /** The environment the process needs for its Vulkan driver, and no more than that. */
  readonly environment: Readonly<Record<string, string>>;
  readonly setup: SessionSetup;
}

/** Resolves when the process has rendered; throws `unavailable` with its reason. */
export async function startSessionProcess({ clock, environment, setup }: StartOptions): Promise<SessionProcess> {
  const child = fork(join(import.meta.dirname, "child.ts"), { env: environment, serialization: "advanced" });
  const ended = endOf(child);
  const stop = (reason: string): void => {
    if (child.connected) child.send({ kind: "stop", reason } satisfies ToSession);
    else child.kill("SIGKILL");
  };
  const readyInTime = clock.deadline(READY_MS_MAX);
  child.send({ kind: "setup", setup } satisfies ToSession);
  try {
    const ready = await answerOf(child, "ready", ended, readyInTime);
    return {
      pid: child.pid ?? 0,
      adapterName: ready.adapterName,
      frameMs: ready.frameMs,
      ended,
      async accept(sdp) {
        const answer = answerOf(child, "answer", ended, clock.deadline(ANSWER_MS_MAX));
        child.send({ kind: "offer", sdp } satisfies ToSession);
        return (await answer).sdp;
      },
      [Symbol.dispose]: () => stop("stopped by the agent"),
    };
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let reason: string | undefined;
    child.on("message", (message: FromSession) => {
      if (message.kind === "ended") reason = message.reason;
    });
    child.once("exit", (code, signal) => resolve(reason ?? `process exited with ${signal ?? code}`));
  });
}

function answerOf<K extends FromSession["kind"]>(
  child: ChildProcess,
  kind: K,
  ended: Promise<string>,
  signal: AbortSignal,
): Promise<Extract<FromSession, { kind: K }>> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: FromSession): void => {
      if (isOfKind(message, kind)) settle(() => resolve(message));
    };
    const onAbort = (): void => settle(() => reject(signal.reason));
    const settle = (finish: () => void): void => {
      child.off("message", onMessage);
      signal.removeEventListener("abort", onAbort);
      finish();
    };
    child.on("message", onMessage);
    signal.addEventListener("abort", onAbort, { once: true });
    ended.then(
      (reason) => settle(() => reject(new Failure("unavailable", `the session's process ended: ${reason}`))),
      reject,
    );
  });
}

function isOfKind<K extends FromSession["kind"]>(
  message: FromSession,
  kind: K,
): message is Extract<FromSession, { kind: K }> {
  return message.kind === kind;
}
