/** The sound of a session in a page: begun by a person's act, muted, paused, and why there is none. */
import type { AudioCounts } from "./audio-receiver.ts";
import type { RingCounts } from "./audio-ring.ts";
import { createPlayback, type PlaybackPorts } from "./playback.ts";
import type { OffsetPercentiles, ShownPicture } from "./sound-to-picture.ts";

export type AudioPhase =
  /** Muted, or not wanted. */
  | "off"
  /** Browsers play sound once a person has clicked, tapped or pressed a key. */
  | "waiting-for-gesture"
  /** Nothing will be heard. */
  | "unavailable"
  /** What sounds is heard. */
  | "on";

export interface AudioState {
  readonly phase: AudioPhase;
  /** In words, where it is unavailable. */
  readonly because: string | undefined;
}

export interface AudioStatistics extends AudioState, AudioCounts, RingCounts {
  /** Decoded and not heard yet. */
  readonly bufferMs: number;
}

export interface SessionAudioPorts extends PlaybackPorts {
  readonly explainMissing: () => Promise<string | undefined>;
  /** Tells the agent. */
  readonly wish: (isWanted: boolean) => void;
  readonly onChange: (state: AudioState) => void;
}

export interface SessionAudio {
  set(isWanted: boolean): void;
  pause(isPaused: boolean): void;
  /** A person has clicked, tapped or pressed a key. */
  acted(): void;
  addPacket(bytes: Uint8Array): void;
  /** Packets come by another connection from now on. */
  restart(): void;
  agentSays(isThere: boolean, because: string): void;
  state(): AudioState;
  statistics(): AudioStatistics;
  /** It is what sound is to be heard with. */
  pictureShown(picture: ShownPicture): void;
  offsetMs(): OffsetPercentiles | undefined;
  close(): void;
}

export function startSessionAudio(ports: SessionAudioPorts, isWantedAtFirst: boolean): SessionAudio {
  const playback = createPlayback(ports);
  let [isWanted, isPaused, isOpening, hasBegun, isWished] = [isWantedAtFirst, false, false, false, false];
  let missing: string | undefined;
  let agentsReason: string | undefined;
  let told: AudioState | undefined;
  let isClosed = false;
  const state = (): AudioState => stateOf({ isWanted, missing, hasBegun, agentsReason });
  const wish = (wished: boolean): void => {
    if (wished === isWished) return;
    isWished = wished;
    ports.wish(wished);
    if (wished) void playback.begin();
    else playback.suspend();
  };
  const update = (): void => {
    wish(isWanted && !isPaused && hasBegun && missing === undefined && !isClosed);
    const now = state();
    if (isClosed || (now.phase === told?.phase && now.because === told.because)) return;
    told = now;
    ports.onChange(now);
  };
  const begin = async (): Promise<void> => {
    if (!isWanted || isOpening || hasBegun || isClosed || missing !== undefined) return;
    isOpening = true;
    try {
      hasBegun = await playback.begin();
    } catch (error) {
      missing = `the page cannot play sound: ${error instanceof Error ? error.message : String(error)}`;
    }
    isOpening = false;
    update();
  };
  void ports.explainMissing().then((because) => {
    missing = because;
    update();
  });
  return {
    state,
    acted: () => void begin(),
    addPacket(bytes) {
      if (isWished) playback.addPacket(bytes);
    },
    restart: playback.restart,
    pictureShown: playback.pictureShown,
    offsetMs: playback.offsetMs,
    statistics: () => ({ ...state(), ...playback.statistics() }),
    set(wanted) {
      isWanted = wanted;
      void begin();
      update();
    },
    pause(paused) {
      isPaused = paused;
      update();
    },
    agentSays(isThere, because) {
      agentsReason = isThere ? undefined : because;
      update();
    },
    close() {
      isClosed = true;
      update();
      playback.close();
    },
  };
}

interface AudioFacts {
  readonly isWanted: boolean;
  readonly missing: string | undefined;
  readonly hasBegun: boolean;
  readonly agentsReason: string | undefined;
}

function stateOf({ isWanted, missing, hasBegun, agentsReason }: AudioFacts): AudioState {
  if (!isWanted) return { phase: "off", because: undefined };
  if (missing !== undefined) return { phase: "unavailable", because: missing };
  if (!hasBegun) return { phase: "waiting-for-gesture", because: undefined };
  if (agentsReason !== undefined) return { phase: "unavailable", because: agentsReason };
  return { phase: "on", because: undefined };
}
