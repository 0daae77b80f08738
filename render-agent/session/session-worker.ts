/** What a session's process holds: renderer, encoder, pipeline and the one connection of its client. */
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import type { ControlMessage } from "#contracts/media/control.ts";
import type { PoseMessage } from "#contracts/media/pose.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import type { AppLine } from "../apps/app-messages.ts";
import { parseAppSource } from "../apps/app-source.ts";
import { RunningApp } from "../apps/running-app.ts";
import { type OpenedSound, openSound } from "../audio/open-sound.ts";
import { fullBitRateOf } from "../encoder/encoder.ts";
import { codecOf, type EncoderName } from "../encoder/encoder-settings.ts";
import { openEncoder } from "../encoder/find-encoder.ts";
import type { Foveation } from "../encoder/foveation.ts";
import { openJpegEncoder } from "../encoder/jpeg-encoder.ts";
import { decodeImages } from "../gltf/decoded-images.ts";
import type { Gpu } from "../renderer/gpu.ts";
import { namesOfObjects, TRANSFORM_FLOATS, type Transforms } from "../renderer/objects.ts";
import type { Scene } from "../renderer/scene.ts";
import { StereoRenderer } from "../renderer/stereo-renderer.ts";
import { readSceneFile, type SceneContent } from "../scenes/scene-file.ts";
import type { Transport, TransportEvents } from "../transport/transport.ts";
import { acceptOffer } from "../transport/webrtc.ts";
import { acceptUpgrade } from "../transport/websocket.ts";
import { AskedCodec } from "./asked-codec.ts";
import { HeldObjects } from "./held-objects.ts";
import type { FrameStatistics, HandedUpgrade, SessionSetup } from "./messages.ts";
import { FramePipeline } from "./pipeline.ts";
import { Rehearsal, type RehearsedFrames } from "./rehearsal.ts";

/** What a session's first frame would pay for otherwise is paid before it is accepted. */
const WARM_UP_FRAMES = 2;
/** Measured: a scene of 109 is read in 8 ms after as many were, in 26 before. */
const WARM_UP_INSTANCES = 100;
/** A client whose head and network are alive sends poses many times in this. */
const SILENCE_MS_MAX = 10_000;
/** A client that lost its connection has this long to come back with a new offer. */
const CLOSED_MS_MAX = 3_000;

const EYE = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
const FORWARD: PoseMessage = {
  poseId: 1,
  sampledAtMs: 0,
  position: { x: 0, y: 1.6, z: 0 },
  orientation: { x: 0, y: 0, z: 0, w: 1 },
  eyes: [EYE, EYE],
  asksDepth: true,
  asksFoveation: true,
};

const WARM_UP_SCENE: Scene = {
  format: "perigee-scene/1",
  sky: [0, 0, 0],
  sun: { towards: [0, 1, 0], colour: [1, 1, 1] },
  ambient: { above: [1, 1, 1], below: [1, 1, 1] },
  fogPerMetre: 0,
  meshes: { box: { shape: "box" } },
  instances: Array.from({ length: WARM_UP_INSTANCES }, () => ({
    mesh: "box",
    position: [0, 1.6, -3],
    yawDegrees: 0,
    scale: [1, 1, 1],
    colour: [1, 1, 1],
    pattern: "plain",
    glowRatio: 0,
    turnDegreesPerSecond: 0,
  })),
};

export interface WorkerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly gpu: Gpu;
  readonly encoder: EncoderName;
  readonly foveation: Foveation;
  /** Of `warmUp`. */
  readonly warmth: Disposable;
  /** The session is over; called once. */
  readonly onOver: (reason: string) => void;
  readonly onAppLine: (line: AppLine) => void;
}

/** A scene's reader is slow the first time, and shaders are compiled by the first frame of a process; whoever uses the same ones finds them while this is not disposed of. */
export async function warmUp(means: Means & { readonly clock: Clock }): Promise<Disposable> {
  const renderClass = { name: "warm-up", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 };
  const content = readSceneFile(Buffer.from(JSON.stringify(WARM_UP_SCENE)));
  const prepared = await prepare({ renderClass, detail: 1 }, content, means);
  for (let frame = 0; frame < WARM_UP_FRAMES; frame += 1) await timeFrame(prepared, means.clock);
  return prepared;
}

interface CurrentSession {
  readonly setup: SessionSetup;
  readonly prepared: Prepared;
  readonly pipeline: FramePipeline;
  readonly codec: AskedCodec;
  readonly app: RunningApp | undefined;
  readonly held: HeldObjects;
  readonly opened: OpenedSound;
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

export class SessionWorker {
  readonly #options: WorkerOptions;
  #current: CurrentSession | undefined;
  #transport: Transport | undefined;
  /** Whose events count: those of a connection that was replaced do not any more. */
  #owner: symbol | undefined;
  /** Who came last to take its place, up or not. */
  #newest: symbol | undefined;
  #rehearsal: Rehearsal | undefined;
  /** Of poses whose frames are under way. */
  readonly #drawings = new Set<Promise<void>>();
  #isOver = false;
  #endsAtMs = Number.POSITIVE_INFINITY;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** May be called again while no client is there. Throws `scene-invalid`, `app-invalid`, `app-failed`, `encoder-unavailable`. */
  async setUp(setup: SessionSetup): Promise<void> {
    // Frames are numbered anew: to the receiver of those before they would be parts of the same.
    await this.rest();
    const before = this.#current;
    this.#current = undefined;
    before?.codec[Symbol.dispose]();
    before?.prepared[Symbol.dispose]();
    before?.opened.sound?.[Symbol.dispose]();
    await before?.app?.[Symbol.asyncDispose]();
    const { clock, encoder, foveation } = this.#options;
    const content = readSceneFile(await readFile(setup.sceneFile));
    const app = setup.appFile === undefined ? undefined : await this.#startApp(setup.appFile, content.scene);
    const say = (message: ControlMessage): void => {
      if (!this.#isOver) this.#transport?.sendControl(message);
    };
    const held = new HeldObjects({ scene: content.scene, detail: setup.detail, say });
    const moving = app && { app, held, onSounds: (state: Transforms) => this.#sound?.apply(state) };
    const prepared = await prepare(setup, content, this.#options, moving);
    for (let frame = 0; frame < WARM_UP_FRAMES; frame += 1) await timeFrame(prepared, clock);
    await app?.settle();
    const pipeline = new FramePipeline({
      clock,
      ...prepared,
      renderClass: setup.renderClass,
      takesFrame: () => this.#takesFrame(),
      sendFrame: (frameNumber, bytes) => this.#sendFrame(frameNumber, bytes),
    });
    const codec = new AskedCodec({
      ...{ clock, pipeline, renderClass: setup.renderClass, encoder: prepared.encoder },
      openEncoder: (options) => openEncoder(encoder, { ...options, foveation }),
      openJpeg: openJpegEncoder,
    });
    const opened = await openSound(content.scene, {
      clock,
      epochOffsetMs: pipeline.epochOffsetMs,
      send: (bytes) => !this.#isOver && (this.#transport?.sendAudio(bytes) ?? false),
    });
    this.#current = { setup, prepared, pipeline, codec, app, held, opened };
  }

  async #startApp(file: string, scene: Scene): Promise<RunningApp> {
    const { clock, onAppLine, onOver } = this.#options;
    const app: RunningApp = await RunningApp.start({
      source: parseAppSource(await readFile(file)),
      scene,
      clock,
      onLine: onAppLine,
      // One that does not start is refused by whoever sets it up.
      onFailed: ({ code, message }) => {
        if (this.#current !== undefined && this.#current.app === app) onOver(`${code}: ${message}`);
      },
    });
    return app;
  }

  /** Frames as for a client, which is in this process too and stays until `rest`. */
  async measure(forMs: number): Promise<RehearsedFrames> {
    const { setup } = this.#ready();
    this.#rehearsal ??= await Rehearsal.begin(this.#options.clock, (sdp) => this.acceptOffer(sdp));
    return this.#rehearsal.run(forMs, setup.renderClass.frameRateHz);
  }

  /** Ends what `measure` began; nobody is awaited any more. */
  async rest(): Promise<void> {
    const rehearsal = this.#rehearsal;
    this.#rehearsal = undefined;
    this.#newest = undefined;
    this.#owner = undefined;
    this.#transport?.close();
    this.#transport = undefined;
    this.#endsAtMs = Number.POSITIVE_INFINITY;
    // Nothing may draw with what the next setup takes away.
    await Promise.allSettled(this.#drawings);
    await rehearsal?.[Symbol.asyncDispose]();
  }

  /** Gives the answer; the connection takes the place of the one before. Throws `media-invalid`, also where a newer one came meanwhile. */
  async acceptOffer(sdp: string): Promise<string> {
    const { setup } = this.#ready();
    const owner = this.#expect("data channels");
    const { answerSdp, transport } = await acceptOffer(sdp, setup.media, this.#events(owner), this.#options);
    if (this.#use(owner, transport)) return answerSdp;
    throw new Failure("media-invalid", "a newer connection was asked for while this one came up");
  }

  async acceptUpgrade(socket: Socket, upgrade: HandedUpgrade): Promise<void> {
    this.#ready();
    const owner = this.#expect("WebSocket");
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
    // After the farewell nothing is asked.
    return this.#isOver ? 0 : (this.#transport?.measureRtt() ?? 0);
  }

  /** From now on a client is awaited, for so long. */
  awaitClient(): void {
    this.#heard();
  }

  /** Nothing follows it. */
  sayEnd(reason: string): void {
    this.#isOver = true;
    this.#sound?.listen(false);
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

  get #sound() {
    return this.#current?.opened.sound;
  }

  /** A client that wants sound is told whether there is any. */
  #wishSound(isWanted: boolean): void {
    const { sound, silentBecause: because } = this.#ready().opened;
    sound?.listen(isWanted && !this.#isOver);
    if (isWanted) this.#transport?.sendControl({ type: "audio-state", isThere: sound !== undefined, because });
  }

  #takesFrame(): boolean {
    const takes = !this.#isOver && (this.#transport?.takesFrame() ?? false);
    if (!takes) this.#current?.codec.quality.noteHeldBack();
    return takes;
  }

  #sendFrame(frameNumber: number, bytes: Uint8Array<ArrayBuffer>): boolean {
    const isSent = !this.#isOver && (this.#transport?.sendFrame(frameNumber, bytes) ?? false);
    this.#current?.codec.quality.noteFrame(frameNumber, isSent);
    return isSent;
  }

  #expect(kind: string): symbol {
    this.#newest = Symbol(kind);
    return this.#newest;
  }

  /** False of one that has been overtaken, which is closed. */
  #use(owner: symbol, transport: Transport): boolean {
    if (owner !== this.#newest) {
      transport.close();
      return false;
    }
    this.#transport?.close();
    this.#owner = owner;
    this.#transport = transport;
    this.#current?.pipeline.restart();
    this.#current?.codec.quality.restart();
    this.#current?.held.restart();
    this.#sound?.listen(false);
    this.#heard();
    return true;
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
        this.#sound?.setHead(pose);
        const drawing = this.#current?.codec.serves(pose) ? this.#current.pipeline.offerPose(pose) : undefined;
        if (drawing === undefined) return;
        this.#drawings.add(drawing);
        void drawing.catch((error: unknown) => onOver(reasonOf(error))).finally(() => this.#drawings.delete(drawing));
      },
      onControl: (message) => {
        if (!isCurrent()) return;
        this.#heard();
        if (message.type === "keyframe-request") this.#current?.pipeline.requestKeyFrame();
        if (message.type === "audio-wish") this.#wishSound(message.isWanted);
        if (message.type === "held-wish") this.#current?.held.wish();
        if (message.type === "held-ready") this.#current?.held.ready(message.hand, message.hold);
        if (message.type === "frame-report") this.#current?.codec.quality.report(message);
        if (message.type !== "session-end") return;
        this.#owner = undefined;
        onOver("client-ended");
      },
      onClosed: () => {
        if (!isCurrent()) return;
        this.#owner = undefined;
        this.#sound?.listen(false);
        this.#endsAtMs = Math.min(this.#endsAtMs, clock.monotonicMs() + CLOSED_MS_MAX);
      },
      onInvalid() {},
    };
  }
}

/** Of a frame that failed. */
function reasonOf(error: unknown): string {
  return isFailure(error) ? `${error.code}: ${error.message}` : `frame failed: ${String(error)}`;
}

type Means = Pick<WorkerOptions, "gpu" | "encoder" | "foveation">;

async function prepare(
  { renderClass, detail }: Pick<SessionSetup, "renderClass" | "detail">,
  { scene, gltf: gltfScene }: SceneContent,
  { gpu: { device }, encoder: encoderName, foveation }: Means,
  moving?: MovingApp,
) {
  const gltf = gltfScene && { scene: gltfScene, images: await decodeImages(gltfScene) };
  const { eyeWidthPixels, eyeHeightPixels, frameRateHz } = renderClass;
  const size = { widthPixels: eyeWidthPixels * 2, heightPixels: eyeHeightPixels, frameRateHz };
  const bitsPerSecond = fullBitRateOf(size, codecOf(encoderName));
  const encoder = await openEncoder(encoderName, { ...size, bitsPerSecond, foveation });
  const renderer = new StereoRenderer({ device, scene, gltf, detail, eyeWidthPixels, eyeHeightPixels });
  return {
    renderer: moving === undefined ? renderer : movedBy(moving, renderer, namesOfObjects(scene).length),
    encoder,
    [Symbol.dispose]() {
      renderer[Symbol.dispose]();
      encoder[Symbol.dispose]();
    },
  };
}

interface MovingApp {
  readonly app: RunningApp;
  readonly held: HeldObjects;
  readonly onSounds: (state: Transforms) => void;
}

/** Each frame has the app's state of its own pose, or the last complete one. */
function movedBy(
  { app, held, onSounds }: MovingApp,
  renderer: StereoRenderer,
  objects: number,
): Pick<StereoRenderer, "render" | "resize"> {
  return {
    resize: (eyeWidthPixels, eyeHeightPixels) => renderer.resize(eyeWidthPixels, eyeHeightPixels),
    async render(pose, sceneSeconds) {
      const state = await app.tick(pose);
      onSounds(state.subarray(objects * TRANSFORM_FLOATS));
      const { objects: leftOut, without } = held.look(state);
      renderer.place(state, leftOut);
      const frame = await renderer.render(pose, sceneSeconds);
      return without === undefined ? frame : { ...frame, without };
    },
  };
}

async function timeFrame({ renderer, encoder }: Prepared, clock: Clock): Promise<number> {
  const startedMs = clock.monotonicMs();
  using picture = await renderer.render(FORWARD, startedMs / 1000);
  encoder.encode(picture.pixels, false, FORWARD);
  return clock.monotonicMs() - startedMs;
}
