/** Render-agents' session processes for a browser test: real scene, GPU and encoder, without a program around them. */
import { join } from "node:path";
import type { RenderClass } from "#domain/session/render-app.ts";
import { systemClock } from "#platform/clock.ts";
import type { EncoderWish } from "#render-agent/encoder/encoder-settings.ts";
import { createProcessStarter } from "#render-agent/session/process-starter.ts";
import type { SessionProcess, StartProcess } from "#render-agent/session/session-process.ts";

export const EYE_PIXELS = 96;
export const RENDER_CLASS = {
  name: "tiny",
  eyeWidthPixels: EYE_PIXELS,
  eyeHeightPixels: EYE_PIXELS,
  frameRateHz: 30,
};
const ROOT = join(import.meta.dirname, "../..");
const SCENE = join(ROOT, "deploy/one-machine/sample/scene/hall.json");
/** SwiftShader pays for each vertex. */
const DETAIL_RATIO = 0.3;

export interface TestAgent {
  readonly name: string;
  readonly session: SessionProcess;
  /** False once its process is gone. */
  isAlive(): boolean;
}

export function createAgentStarter(encoder: EncoderWish = "auto"): Promise<StartProcess> {
  return createProcessStarter({
    clock: systemClock,
    cacheDir: join(ROOT, ".cache/vulkan"),
    environment: {},
    encoder,
    events: { vulkanFailed: () => undefined, equipped: () => undefined },
  });
}

/** What a session renders: the hall, unless said otherwise. */
export interface Bundle {
  readonly sceneFile: string;
  readonly appFile?: string;
  /** A tiny one at little detail, unless said otherwise: then at full detail. */
  readonly renderClass?: RenderClass;
}

export async function startAgent(
  name: string,
  start: StartProcess,
  bundle: Bundle = { sceneFile: SCENE },
): Promise<TestAgent> {
  const session = await start();
  await session.setUp({
    renderClass: RENDER_CLASS,
    detail: bundle.renderClass === undefined ? DETAIL_RATIO : 1,
    ...bundle,
    media: { bindAddress: "127.0.0.1", port: 0 },
  });
  let alive = true;
  session.ended.then(
    () => {
      alive = false;
    },
    () => {
      alive = false;
    },
  );
  return { name, session, isAlive: () => alive };
}
