/** The picture that a head should have seen, rendered where nothing streams, and the GPU driver that everything here runs on. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type EmulatedHead, headPoseOf } from "#client/pose/emulated-head.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { systemClock } from "#platform/clock.ts";

const ANSWER_MS_MAX = 60_000;

export interface TruthWish {
  readonly heads: readonly EmulatedHead[];
  readonly detail: number;
  readonly eyeWidthPixels: number;
  readonly eyeHeightPixels: number;
}

export type FromTruth =
  | { readonly kind: "open"; readonly adapterName: string; readonly isSoftware: boolean }
  /** RGBA of the left eye, in the order of the heads. */
  | { readonly kind: "rendered"; readonly pictures: readonly Uint8Array[] }
  | { readonly kind: "failed"; readonly message: string };

export interface Truth extends AsyncDisposable {
  readonly adapterName: string;
  readonly isSoftware: boolean;
  render(wish: TruthWish): Promise<readonly Uint8Array[]>;
}

/** `environment` names the driver, as it does to session processes. */
export async function startTruth(environment: Readonly<Record<string, string>>): Promise<Truth> {
  const child = fork(join(import.meta.dirname, "truth-process.ts"), {
    env: { ...process.env, ...environment },
    ...{ execArgv: [], serialization: "advanced", stdio: ["ignore", "ignore", "inherit", "ipc"] },
  });
  const exited = once(child, "exit");
  const answer = async (): Promise<FromTruth> => {
    const ended = exited.then(() => {
      throw new Error("the process that renders the truth has ended");
    });
    const [message]: FromTruth[] = await Promise.race([
      once(child, "message", { signal: systemClock.deadline(ANSWER_MS_MAX) }),
      ended,
    ]);
    if (message === undefined || message.kind === "failed") throw new Error(`no truth: ${message?.message}`);
    return message;
  };
  const opened = await answer();
  if (opened.kind !== "open") throw new Error("the process that renders the truth did not open its GPU");
  return {
    ...{ adapterName: opened.adapterName, isSoftware: opened.isSoftware },
    async render(wish) {
      const answered = answer();
      child.send(wish);
      const rendered = await answered;
      return rendered.kind === "rendered" ? rendered.pictures : [];
    },
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await exited;
    },
  };
}

/** The field of view is what is shown, not the wider one that frames are asked for. */
export function poseAt(head: EmulatedHead, eyeAspect: number): PoseMessage {
  return { poseId: 1, sampledAtMs: 0, ...headPoseOf(head, eyeAspect) };
}

export function isTruthWish(value: unknown): value is TruthWish {
  return typeof value === "object" && value !== null && "heads" in value && Array.isArray(value.heads);
}
