/**
 * The client library's public API: one ES module without a dependency, which a published page has as `perigee.js`.
 * docs/vr.md is its reference.
 */
import type { AudioState } from "./audio/session-audio.ts";
import { browserClock } from "./clock.ts";
import { parseClientConfig } from "./config.ts";
import type { Layout, Pixels } from "./display/display.ts";
import { isHeadsetThere } from "./display/headset.ts";
import { ClientFailure } from "./failure.ts";
import { type LatencySample, measureFrame } from "./latency/latency.ts";
import type { TransportKind } from "./media/transport.ts";
import { explainMissingH264, explainMissingPictures } from "./media/video-decoder.ts";
import type { PauseReason } from "./pauses.ts";
import type { EmulatedHead } from "./pose/emulated-head.ts";
import { browserRandom } from "./random.ts";
import { type SessionState, sessionStateOf } from "./session-state.ts";
import { startVrClient, type VrStatistics } from "./vr-client.ts";

export { ClientFailure, isHeadsetThere };

/** What the schema of a session takes. */
const DEVICE_NAME_CHARACTERS_MAX = 128;

export interface SessionOptions {
  readonly app: string;
  readonly tier: "strict" | "standard" | "relaxed";
  /** Scheme, host and port. */
  readonly scheduler: string;
  /** By `perigee app-token`, for the page's origin. */
  readonly appToken: string;
  /** Takes focus and pointer events: it is what is looked around in. */
  readonly canvas: HTMLCanvasElement;
  /** The Site whose steering gives fresh probes while the session runs, so that it can move to a better place. */
  readonly site?: string | undefined;
  /** Scheme, host and port of an edge to ask when the scheduler is silent; the page's own unless said. */
  readonly edge?: string | undefined;
  /** In order of preference; WebRTC, then a WebSocket, unless said. */
  readonly transports?: readonly TransportKind[] | undefined;
  /** Whether its sound is wanted, which begins with a person's first act on the page; true unless said. */
  readonly audio?: boolean | undefined;
  /** What operators see; the user agent's own name unless said. */
  readonly deviceName?: string | undefined;
}

export interface FrameLatency extends LatencySample {
  readonly poseId: number;
}

export interface SessionEvents {
  readonly state: SessionState;
  /** Each picture as it is decoded, with where its time went. */
  readonly frame: FrameLatency;
  readonly pause: PauseReason;
  readonly resume: undefined;
  readonly headset: "entered" | "left";
  /** Whether sound is heard, and why not. */
  readonly audio: AudioState;
  /** The last one. */
  readonly end: undefined;
}

export interface Session {
  /** Gives what takes the listener off again. */
  on<E extends keyof SessionEvents>(event: E, listener: (detail: SessionEvents[E]) => void): () => void;
  state(): SessionState;
  /** Sorts a window of ten seconds: for a panel, not for each frame. */
  statistics(): VrStatistics;
  /** Pictures come twice a second at most; the session and its place are kept. Idempotent. */
  pause(): void;
  resume(): void;
  /** Throws `headset-unavailable`; to be called from a person's click. */
  enterHeadset(): Promise<void>;
  /** Idempotent. */
  leaveHeadset(): Promise<void>;
  /** Sound or none; where a person has not acted on the page yet, it is to be called from a click. */
  setAudio(isWanted: boolean): void;
  audio(): AudioState;
  setLayout(layout: Layout): void;
  /** Moves the head on the page; what is left out stays. In a headset it changes nothing. */
  setHead(wish: Partial<EmulatedHead>): void;
  head(): EmulatedHead;
  /** The newest picture as it was decoded, both eyes; `undefined` before the first and after the end. */
  readPicture(): Pixels | undefined;
  /** Tries again at once where `state().canRetry`. */
  retry(): void;
  /** Ends it for good, and leaves the headset; resolves when the agent and the scheduler were told. Idempotent. */
  end(): Promise<void>;
}

/** Resolves as the session begins, which `on("state")` tells of. Throws `config-invalid` and `browser-unfit`. */
export async function createSession(options: SessionOptions): Promise<Session> {
  const config = parseClientConfig({ ...options }, "createSession");
  const unfit = explainMissingPictures();
  if (unfit !== undefined) throw new ClientFailure("browser-unfit", unfit);
  const events = createEvents();
  const leaveHeadset = { now: async (): Promise<void> => undefined };
  let sample: LatencySample | undefined;
  const clock = browserClock;
  const client = await startVrClient({
    ...{ config, clock, canvas: options.canvas, random: browserRandom },
    pageEdge: options.edge ?? location.origin,
    deviceName: (options.deviceName ?? navigator.userAgent).slice(0, DEVICE_NAME_CHARACTERS_MAX),
    transports: options.transports ?? usualTransports(),
    h264Missing: await explainMissingH264(),
    audio: options.audio ?? true,
    onAudio: (state) => events.tell("audio", state),
    onFrame(frame) {
      sample = measureFrame(frame, sample);
      events.tell("frame", { ...sample, poseId: frame.header.poseId });
    },
    onChange: (view) => events.tell("state", sessionStateOf(view, clock.monotonicMs())),
    onPause: (because) => (because === undefined ? events.tell("resume", undefined) : events.tell("pause", because)),
  });
  // A page that goes gives its slot back at once.
  addEventListener("pagehide", client.leave, { once: true });
  const over = client.over.finally(() => {
    removeEventListener("pagehide", client.leave);
    events.tell("end", undefined);
  });
  over.catch((error: unknown) => reportError(error));
  return {
    on: events.on,
    state: () => sessionStateOf(client.state(), clock.monotonicMs()),
    statistics: client.statistics,
    pause: client.pause,
    resume: client.resume,
    async enterHeadset() {
      const headset = await client.enterHeadset(() => events.tell("headset", "left"));
      leaveHeadset.now = () => headset.end();
      events.tell("headset", "entered");
    },
    leaveHeadset: () => leaveHeadset.now(),
    setAudio: client.setAudio,
    audio: client.audio,
    setLayout: client.setLayout,
    setHead: client.setHead,
    head: client.head,
    readPicture: client.readPicture,
    retry: client.retry,
    end() {
      client.leave();
      return over;
    },
  };
}

function usualTransports(): readonly TransportKind[] {
  return typeof RTCPeerConnection === "undefined" ? ["websocket"] : ["webrtc", "websocket"];
}

interface Events {
  readonly on: Session["on"];
  tell<E extends keyof SessionEvents>(event: E, detail: SessionEvents[E]): void;
}

type Listeners = { readonly [E in keyof SessionEvents]: Set<(detail: SessionEvents[E]) => void> };

function createEvents(): Events {
  const listeners: Listeners = {
    state: new Set(),
    frame: new Set(),
    pause: new Set(),
    resume: new Set(),
    headset: new Set(),
    audio: new Set(),
    end: new Set(),
  };
  return {
    on(event, listener) {
      listeners[event].add(listener);
      return () => void listeners[event].delete(listener);
    },
    tell(event, detail) {
      for (const listener of listeners[event]) {
        try {
          listener(detail);
        } catch (error) {
          // A page's mistake ends no session.
          reportError(error);
        }
      }
    },
  };
}
