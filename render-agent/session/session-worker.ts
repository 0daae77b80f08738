/** What a session's process holds: renderer, encoder, pipeline and the one connection of its client. */
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import type { PoseMessage } from "#contracts/media/pose.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import { openX264Encoder } from "../encoder/x264-encoder.ts";
import type { Gpu } from "../renderer/gpu.ts";
import { parseScene, type Scene } from "../renderer/scene.ts";
import { StereoRenderer } from "../renderer/stereo-renderer.ts";
import type { Transport, TransportEvents } from "../transport/transport.ts";
import { acceptOffer } from "../transport/webrtc.ts";
import { acceptUpgrade } from "../transport/websocket.ts";
import type { FrameStatistics, HandedUpgrade, SessionSetup } from "./messages.ts";
import { FramePipeline } from "./pipeline.ts";

/** What a session's first frame would pay for otherwise is paid before it is accepted. */
const WARM_UP_FRAMES = 2;
/** A client whose head and network are alive sends poses many times in this. */
const SILENCE_MS_MAX = 10_000;
/** A client that lost its connection has this long to come back with a new offer. */
const CLOSED_MS_MAX = 3_000;
const MEASURED_FRAMES_MIN = 4;
const MEASURED_FRAMES_MAX = 120;

const EYE = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
const FORWARD: PoseMessage = {
  poseId: 1,
  sampledAtMs: 0,
  position: { x: 0, y: 1.6, z: 0 },
  orientation: { x: 0, y: 0, z: 0, w: 1 },
  eyes: [EYE, EYE],
};

const WARM_UP_SCENE: Scene = {
  format: "perigee-scene/1",
  sky: [0, 0, 0],
  sun: { towards: [0, 1, 0], colour: [1, 1, 1] },
  ambient: { above: [1, 1, 1], below: [1, 1, 1] },
  fogPerMetre: 0,
  meshes: { box: { shape: "box" } },
  instances: [
    {
      mesh: "box",
      position: [0, 1.6, -3],
      yawDegrees: 0,
      scale: [1, 1, 1],
      colour: [1, 1, 1],
      pattern: "plain",
      glowRatio: 0,
      turnDegreesPerSecond: 0,
    },
  ],
};

export interface WorkerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly gpu: Gpu;
  /** Of `warmUp`. */
  readonly warmth: Disposable;
  /** The session is over; called once. */
  readonly onOver: (reason: string) => void;
}

/** Shaders are compiled by the first frame of a process; whoever uses the same ones finds them while this is not disposed of. */
export async function warmUp(gpu: Gpu, clock: Clock): Promise<Disposable> {
  const renderClass = { name: "warm-up", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 };
  const prepared = await prepare({ renderClass, detail: 1 }, WARM_UP_SCENE, gpu);
  for (let frame = 0; frame < WARM_UP_FRAMES; frame += 1) await timeFrame(prepared, clock);
  return prepared;
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

export class SessionWorker {
  readonly #options: WorkerOptions;
  #current: { readonly setup: SessionSetup; readonly prepared: Prepared; readonly pipeline: FramePipeline } | undefined;
  #transport: Transport | undefined;
  /** Whose events count: those of a connection that was replaced do not any more. */
  #owner: symbol | undefined;
  #isOver = false;
  #endsAtMs = Number.POSITIVE_INFINITY;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** May be called again while no client is there. Throws `scene-invalid`, `encoder-unavailable`. */
  async setUp(setup: SessionSetup): Promise<void> {
    this.#current?.prepared[Symbol.dispose]();
    this.#current = undefined;
    const { gpu, clock } = this.#options;
    const prepared = await prepare(setup, parseScene(await readFile(setup.sceneFile)), gpu);
    for (let frame = 0; frame < WARM_UP_FRAMES; frame += 1) await timeFrame(prepared, clock);
    const pipeline = new FramePipeline({
      clock,
      ...prepared,
      renderClass: setup.renderClass,
      sendFrame: (frameNumber, bytes) => !this.#isOver && (this.#transport?.sendFrame(frameNumber, bytes) ?? false),
    });
    this.#current = { setup, prepared, pipeline };
  }

  /** Frames one after the other as fast as they come, and how long each took. */
  async measure(forMs: number): Promise<readonly number[]> {
    const { clock } = this.#options;
    const { prepared } = this.#ready();
    const untilMs = clock.monotonicMs() + forMs;
    const framesMs: number[] = [];
    while (framesMs.length < MEASURED_FRAMES_MAX) {
      if (framesMs.length >= MEASURED_FRAMES_MIN && clock.monotonicMs() >= untilMs) break;
      framesMs.push(await timeFrame(prepared, clock));
    }
    return framesMs;
  }

  /** Gives the answer; the connection takes the place of the one before. Throws `media-invalid`. */
  async acceptOffer(sdp: string): Promise<string> {
    const { setup } = this.#ready();
    const owner = Symbol("data channels");
    const { answerSdp, transport } = await acceptOffer(sdp, setup.media, this.#events(owner), this.#options);
    this.#use(owner, transport);
    return answerSdp;
  }

  async acceptUpgrade(socket: Socket, upgrade: HandedUpgrade): Promise<void> {
    this.#ready();
    const owner = Symbol("WebSocket");
    this.#use(owner, await acceptUpgrade(socket, upgrade, this.#events(owner), this.#options));
  }

  /** Once a second: tells the client how its frames went, and ends the session of one that is gone. */
  tick(): FrameStatistics | undefined {
    if (this.#options.clock.monotonicMs() > this.#endsAtMs) this.#options.onOver("client-silent");
    const statistics = this.#current?.pipeline.takeStatistics();
    if (statistics !== undefined && !this.#isOver) this.#transport?.sendControl({ type: "statistics", ...statistics });
    return statistics;
  }

  /** As measured so far; 0 while nothing is known. Asked once a second. */
  measureRtt(): number {
    return this.#transport?.measureRtt() ?? 0;
  }

  /** From now on a client is awaited, for so long. */
  awaitClient(): void {
    this.#heard();
  }

  /** Nothing follows it. */
  sayEnd(reason: string): void {
    this.#isOver = true;
    this.#transport?.sendControl({ type: "session-end", reason });
  }

  /** Connected, and has not said that it goes. */
  get hasClient(): boolean {
    return this.#owner !== undefined;
  }

  close(): void {
    this.#transport?.close();
    this.#options.warmth[Symbol.dispose]();
  }

  #ready() {
    if (this.#current === undefined) throw new Error("no session is set up");
    return this.#current;
  }

  #use(owner: symbol, transport: Transport): void {
    this.#transport?.close();
    this.#owner = owner;
    this.#transport = transport;
    this.#current?.pipeline.restart();
    this.#heard();
  }

  #heard(): void {
    this.#endsAtMs = this.#options.clock.monotonicMs() + SILENCE_MS_MAX;
  }

  #events(owner: symbol): TransportEvents {
    const { clock, onOver } = this.#options;
    const isCurrent = (): boolean => this.#owner === owner;
    return {
      onPose: (pose) => {
        if (!isCurrent()) return;
        this.#heard();
        this.#current?.pipeline.offerPose(pose).catch((error: unknown) => onOver(`frame failed: ${String(error)}`));
      },
      onControl: (message) => {
        if (!isCurrent()) return;
        this.#heard();
        if (message.type === "keyframe-request") this.#current?.pipeline.requestKeyFrame();
        if (message.type !== "session-end") return;
        this.#owner = undefined;
        onOver("client-ended");
      },
      onClosed: () => {
        if (!isCurrent()) return;
        this.#owner = undefined;
        this.#endsAtMs = Math.min(this.#endsAtMs, clock.monotonicMs() + CLOSED_MS_MAX);
      },
      onInvalid() {},
    };
  }
}

async function prepare({ renderClass, detail }: Pick<SessionSetup, "renderClass" | "detail">, scene: Scene, gpu: Gpu) {
  const { device } = gpu;
  const { eyeWidthPixels, eyeHeightPixels, frameRateHz } = renderClass;
  const encoder = await openX264Encoder({
    widthPixels: eyeWidthPixels * 2,
    heightPixels: eyeHeightPixels,
    frameRateHz,
  });
  const renderer = new StereoRenderer({ device, scene, detail, eyeWidthPixels, eyeHeightPixels });
  return {
    renderer,
    encoder,
    [Symbol.dispose]() {
      renderer[Symbol.dispose]();
      encoder[Symbol.dispose]();
    },
  };
}

async function timeFrame({ renderer, encoder }: Prepared, clock: Clock): Promise<number> {
  const startedMs = clock.monotonicMs();
  using picture = await renderer.render(FORWARD, startedMs / 1000);
  encoder.encode(picture.pixels, false);
  return clock.monotonicMs() - startedMs;
}
