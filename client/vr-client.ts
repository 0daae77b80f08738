/** A VR session in a page: placed, streamed, decoded and shown, until it is left. */
import type { MediaCodec } from "#contracts/media/frame.ts";
import type { ProbeTarget } from "#contracts/operator-api/sessions.ts";
import type { BudgetClaim } from "#contracts/tokens/claims.ts";
import { openAudioOutput } from "./audio/audio-output.ts";
import { explainMissingOpus, openOpusDecoder } from "./audio/opus-decoder.ts";
import { type AudioState, type AudioStatistics, startSessionAudio } from "./audio/session-audio.ts";
import type { OffsetPercentiles } from "./audio/sound-to-picture.ts";
import type { ClientClock } from "./clock.ts";
import type { ClientConfig } from "./config.ts";
import type { TimedFrame } from "./latency/latency.ts";
import { openJpegDecoder } from "./media/jpeg-decoder.ts";
import { createMediaLinks, type LinkStatistics } from "./media/media-port.ts";
import { openNoDecoder, openPictureDecoder } from "./media/picture-decoder.ts";
import type { DecoderEvents } from "./media/receiver.ts";
import type { TransportKind } from "./media/transport.ts";
import { openVideoDecoder } from "./media/video-decoder.ts";
import { offerWebRtc } from "./media/webrtc.ts";
import { offerWebSocket } from "./media/websocket.ts";
import type { PauseReason } from "./pauses.ts";
import { edgesBySteering, measureBySteering } from "./probe/measure.ts";
import { pingEdge, probeEdges } from "./probe/probe.ts";
import { sampleByUdp } from "./probe/udp-samples.ts";
import type { ClientRandom } from "./random.ts";
import { type ComingUp, createFirstDrawing } from "./session/coming-up.ts";
import { type ClientKey, createClientKey } from "./session/key.ts";
import { createSessionApi } from "./session/session-api.ts";
import { NOTHING_KNOWN, type SessionView } from "./session/session-ports.ts";
import { runSession } from "./session/session-runner.ts";
import { startVrView, type ViewCounts, type VrView } from "./vr-view.ts";

export interface VrClientOptions {
  readonly config: ClientConfig;
  readonly canvas: HTMLCanvasElement;
  readonly clock: ClientClock;
  readonly random: ClientRandom;
  /** Scheme, host and port of the edge that served the page. */
  readonly pageEdge: string | undefined;
  readonly deviceName: string;
  /** In order of preference. */
  readonly transports: readonly TransportKind[];
  /** Why this browser decodes no H.264, in words: then pictures are asked for as JPEG. */
  readonly h264Missing?: string | undefined;
  /** Whether sound is wanted at first; not unless said. */
  readonly audio?: boolean;
  readonly onAudio?: (state: AudioState) => void;
  /** Told of each frame of the link that is shown, at the moment it is decoded. */
  readonly onFrame?: (frame: TimedFrame) => void;
  /** Told of each change in what the session does or knows. */
  readonly onChange?: (state: SessionView) => void;
  /** As a view's. */
  readonly onPause?: (because: PauseReason | undefined) => void;
  /** As a view's. */
  readonly beforePose?: () => void;
}

export interface VrStatistics extends ViewCounts, Partial<LinkStatistics> {
  readonly budget: BudgetClaim | undefined;
  /** What it took the last time that pictures were missing and came, and then from the first one to its drawing. */
  readonly comingUp: (ComingUp & { readonly drawn: number | undefined }) | undefined;
  /** Why pictures are asked for as JPEG; `undefined` where they are not. */
  readonly jpegBecause: string | undefined;
  readonly audio: AudioStatistics;
  /**
   * By how much sound is heard after the picture of the same moment is shown, by their stamps: above 0 the picture is
   * first. Of each picture when it is first shown, a frame of the display after its drawing. `undefined` in silence.
   */
  readonly audioToPictureMs: OffsetPercentiles | undefined;
}

export interface VrClient
  extends Pick<
    VrView,
    "setLayout" | "setHead" | "head" | "enterHeadset" | "pause" | "resume" | "readPicture" | "counts"
  > {
  state(): SessionView;
  setAudio(isWanted: boolean): void;
  audio(): AudioState;
  /** Sorts a window of latencies: for a panel, not for each frame. */
  statistics(): VrStatistics;
  /** Tries again at once where the session waits or has failed. */
  retry(): void;
  /** Ends the session; idempotent. */
  leave(): void;
  /** Resolves when the session is over; rejects only for a bug. */
  readonly over: Promise<void>;
}

/** Throws `browser-unfit` where there is no WebGL2: nothing of it is left then. */
export async function startVrClient(options: VrClientOptions): Promise<VrClient> {
  const key = await createClientKey(options.clock, options.random);
  const left = new AbortController();
  try {
    return beginVrClient(options, key, left);
  } catch (error) {
    left.abort(error);
    throw error;
  }
}

function beginVrClient(options: VrClientOptions, key: ClientKey, left: AbortController): VrClient {
  const { canvas, clock, random, transports, pageEdge, h264Missing } = options;
  const media = createMediaLinks<VideoFrame>({
    clock,
    kinds: transports,
    offer: (kind, iceServers) =>
      kind === "webrtc" ? offerWebRtc(clock, iceServers) : Promise.resolve(offerWebSocket()),
    ...decodingWithout(h264Missing),
    onPicture(frame) {
      options.onFrame?.(frame);
      view.setFrame(frame);
    },
    sound: {
      onPacket: (bytes) => audio.addPacket(bytes),
      onState: (isThere, because) => audio.agentSays(isThere, because),
      onRestart: () => audio.restart(),
    },
  });
  const { signal } = left;
  const firstDrawing = createFirstDrawing(clock);
  const audio = startAudio(options, media.wishSound, signal);
  const onPause = alsoTold(options.onPause, (because) => audio.pause(because !== undefined));
  const view = startVrView({
    ...{ canvas, clock, signal, onPause, beforePose: options.beforePose },
    ...{ sendPose: media.sendPose, wishes: { asksJpeg: h264Missing !== undefined } },
    onPictureDrawn(picture) {
      firstDrawing.drawn();
      audio.pictureShown(picture);
    },
  });
  const { scheduler, appToken, app, tier } = options.config;
  const api = createSessionApi({ scheduler, appToken, clock, key });
  let state: SessionView = { phase: "creating", facts: NOTHING_KNOWN };
  let retry = Promise.withResolvers<void>();
  const ports = {
    ...{ clock, random, api, appToken, media, pageEdge, ...measuringBy(options, signal) },
    retryAsked() {
      retry = Promise.withResolvers<void>();
      return retry.promise;
    },
    onChange(next: SessionView) {
      state = next;
      firstDrawing.await(next.facts.grant);
      options.onChange?.(next);
    },
  };
  return {
    over: runSession(ports, { app, tier, device: { name: options.deviceName } }, signal),
    state: () => state,
    statistics: () => ({
      ...view.counts(),
      ...state.facts.grant?.link.statistics(),
      budget: state.facts.placement?.budget,
      comingUp: state.facts.comingUp && { ...state.facts.comingUp, drawn: firstDrawing.tookMs() },
      jpegBecause: h264Missing,
      audio: audio.statistics(),
      audioToPictureMs: audio.offsetMs(),
    }),
    setAudio: audio.set,
    audio: audio.state,
    ...{ setLayout: view.setLayout, setHead: view.setHead, head: view.head, enterHeadset: view.enterHeadset },
    pause: view.pause,
    resume: view.resume,
    readPicture: view.readPicture,
    counts: view.counts,
    retry: () => retry.resolve(),
    leave: () => left.abort(new DOMException("the session is left", "AbortError")),
  };
}

function decodingWithout(h264Missing: string | undefined) {
  const h264 = h264Missing === undefined ? openVideoDecoder : openNoDecoder;
  return {
    openDecoder: (events: DecoderEvents<VideoFrame>) => openPictureDecoder({ h264, jpeg: openJpegDecoder }, events),
    explainUndecodable: (codec: MediaCodec) =>
      codec === "jpeg" || h264Missing === undefined
        ? undefined
        : `${h264Missing}, and the agent here sends no JPEG instead`,
  };
}

/** How edges are found and measured, and whether one is alive. */
function measuringBy({ clock, config, pageEdge }: VrClientOptions, signal: AbortSignal) {
  const { scheduler, site } = config;
  return {
    neighbours: async (withinMs: number) =>
      pageEdge === undefined ? [] : edgesBySteering({ edge: pageEdge, site, clock, withinMs }),
    probe: (targets: readonly ProbeTarget[], withinMs: number) =>
      probeEdges(targets, { clock, withinMs, signal, byUdp: sampleByUdp }),
    isAlive: (edge: string, withinMs: number) => pingEdge(edge, clock.deadline(withinMs, signal)),
    measure: (withinMs: number) => measureBySteering({ scheduler, site, clock, withinMs, byUdp: sampleByUdp }),
  };
}

/** What counts as a person's act, so that sound may begin (HTML section 6.4.1). */
const ACTS = ["click", "keydown", "pointerup"];

function startAudio(
  { audio: isWanted = false, clock, onAudio }: VrClientOptions,
  wish: (isWanted: boolean) => void,
  signal: AbortSignal,
) {
  const audio = startSessionAudio(
    {
      ...{ wish, explainMissing: explainMissingOpus, openDecoder: openOpusDecoder },
      openOutput: (onReport) => openAudioOutput(clock, onReport),
      onChange: (state) => onAudio?.(state),
    },
    isWanted,
  );
  for (const act of ACTS) addEventListener(act, audio.acted, { signal, capture: true });
  signal.addEventListener("abort", audio.close, { once: true });
  // Who has acted on the page before has acted.
  if (navigator.userActivation?.hasBeenActive === true) audio.acted();
  return audio;
}

function alsoTold<T>(listener: ((told: T) => void) | undefined, first: (told: T) => void): (told: T) => void {
  return (told) => {
    first(told);
    listener?.(told);
  };
}
