/** The life of a session's process: opens the GPU, does what its agent tells it, ends with a reason. */
import { flushCompileCache } from "node:module";
import { Socket } from "node:net";
import { isFailure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { adviseOnSound } from "../audio/open-sound.ts";
import { foveationAdvice } from "../encoder/choose-encoder.ts";
import { findEncoder } from "../encoder/find-encoder.ts";
import { type Gpu, openGpu } from "../renderer/gpu.ts";
import type { FromSession, ToSession } from "./messages.ts";
import { SessionWorker, warmUp } from "./session-worker.ts";

const TICK_MS = 1000;
/** The client's last message has this long to arrive: one that has it closes. */
const FAREWELL_MS_MAX = 300;
const FAREWELL_POLL_MS = 10;

/** Referred to for as long as the process lives: Dawn stops with the last reference to it, wherever it then is. */
let gpu: Gpu | undefined;
let worker: SessionWorker | undefined;
let isOver = false;

function tell(message: FromSession): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}

/** By signal: the native libraries' threads are not stopped one by one, which is not always survived. */
function exit(): void {
  process.kill(process.pid, "SIGKILL");
}

async function end(reason: string): Promise<void> {
  if (isOver) return;
  isOver = true;
  worker?.sayEnd(reason);
  const untilMs = systemClock.monotonicMs() + FAREWELL_MS_MAX;
  while (worker?.hasClient === true && systemClock.monotonicMs() < untilMs) await systemClock.sleep(FAREWELL_POLL_MS);
  worker?.close();
  await tell({ kind: "ended", reason });
  exit();
}

async function fail(error: unknown): Promise<void> {
  isOver = true;
  const code = isFailure(error) ? error.code : "unavailable";
  await tell({ kind: "failed", code, message: error instanceof Error ? error.message : String(error) });
  exit();
}

async function start({ encoder: wish, foveation }: Extract<ToSession, { kind: "begin" }>): Promise<void> {
  gpu = await openGpu();
  gpu.lost.then(
    ({ message }) => end(`gpu-lost: ${message}`),
    () => end("gpu-lost"),
  );
  const { encoder, advice } = await findEncoder(gpu, wish);
  const soundAdvice = await adviseOnSound();
  const warmth = await warmUp({ gpu, encoder, foveation, clock: systemClock });
  worker = new SessionWorker({
    clock: systemClock,
    random: systemRandom,
    gpu,
    encoder,
    foveation,
    warmth,
    onOver: (reason) => void end(reason),
    onAppLine: (line) => void tell({ kind: "app-line", line }),
  });
  const { adapterName, software: isSoftware } = gpu;
  const allAdvice = [...gpu.advice, ...advice, ...foveationAdvice(encoder, foveation), ...soundAdvice];
  await tell({ kind: "warm", equipment: { adapterName, isSoftware, encoder, advice: allAdvice } });
  systemClock.every(TICK_MS, tick);
  // Its end is by signal, which writes nothing: without this each process would strip and compile all of it anew.
  flushCompileCache();
}

async function tick(): Promise<void> {
  const none = { framesRendered: 0, renderMsP95: 0, encodeMsP95: 0, framesHeldBack: 0 };
  await tell({ kind: "statistics", statistics: worker?.tick() ?? none, rttMs: worker?.measureRtt() ?? 0 });
}

async function obey(message: ToSession, handle: unknown): Promise<void> {
  if (message.kind === "stop") return end(message.reason);
  if (message.kind === "begin") return start(message);
  if (worker === undefined || isOver) return;
  switch (message.kind) {
    case "setup":
      await worker.setUp(message.setup);
      await tell({ kind: "ready" });
      return;
    case "measure":
      await tell({ kind: "measured", frames: await worker.measure(message.forMs) });
      return;
    case "await-client":
      worker.awaitClient();
      return;
    case "rest":
      return worker.rest();
    case "offer":
      return answer(worker, message);
    case "upgrade":
      worker.awaitClient();
      if (handle instanceof Socket) await worker.acceptUpgrade(handle, message.upgrade);
  }
}

async function answer(own: SessionWorker, { request, sdp }: Extract<ToSession, { kind: "offer" }>): Promise<void> {
  own.awaitClient();
  const outcome = await own.acceptOffer(sdp).then(
    (answerSdp) => ({ kind: "accepted", sdp: answerSdp }) as const,
    (error: unknown) => {
      if (!isFailure(error, "media-invalid")) throw error;
      return { kind: "refused", message: error.message } as const;
    },
  );
  await tell({ kind: "answer", request, outcome });
}

process.on("message", (message: ToSession, handle: unknown) => {
  obey(message, handle).catch(fail);
});
// Without its agent nobody could reach or end the session. Its client hears of it before anybody misses anything.
process.on("disconnect", () => void end("agent-gone"));
process.on("uncaughtException", (error) => void fail(error));
