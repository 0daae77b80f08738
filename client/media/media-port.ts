/** The media links of a client: one is shown, another may be coming up; poses go to all, pictures come from the shown one. */
import type { ControlMessage, FrameReport } from "#contracts/media/control.ts";
import type { MediaCodec } from "#contracts/media/frame.ts";
import type { ConnectedSession } from "#contracts/operator-api/sessions.ts";
import type { IceServer } from "#domain/session/ice-server.ts";
import { type ClientClock, startEpochMs, whenAborted } from "../clock.ts";
import { ClientFailure } from "../failure.ts";
import { createLatencyWindow, type LatencySummary } from "../latency/latency.ts";
import { createFrameReporter } from "./frame-reporter.ts";
import { createHeldShelf, type HeldShelf } from "./held-shelf.ts";
import { createLinkLife, type LinkLife } from "./link-life.ts";
import { createPictureShelf } from "./picture-shelf.ts";
import {
  createReceiver,
  type DecodedFrame,
  type Picture,
  type Receiver,
  type ReceiverCounts,
  type ReceiverPorts,
} from "./receiver.ts";
import type { MediaTransport, PendingTransport, TransportEvents, TransportKind } from "./transport.ts";

/** An offer that an edge refused is good for the next edge; later the network may be another. */
const RELEASED_MS_MAX = 3000;
/** The first frame is rendered from the pose of the display's last frame, at 20 Hz or more, and does not wait for its next. */
const POSE_MS_MAX = 50;

export type MediaLoss =
  /** Poses leave, no frame comes. */
  | { readonly because: "silent" }
  /** The transport broke. */
  | { readonly because: "closed"; readonly reason: string }
  /** The agent said so. */
  | { readonly because: "ended"; readonly reason: string }
  /** It sends what this browser does not decode. */
  | { readonly because: "undecodable"; readonly reason: string };

export function explainLoss(loss: MediaLoss): string {
  return loss.because === "silent" ? "no frame came for a while" : loss.reason;
}

export interface LinkStatistics {
  readonly latency: LatencySummary | undefined;
  readonly counts: ReceiverCounts;
  /** Of the newest frame; `undefined` before the first. */
  readonly codec: MediaCodec | undefined;
}

export interface MediaLink {
  readonly kind: TransportKind;
  /** When its channels were open, and its first picture was decoded: by the monotonic clock, as the next. */
  readonly connectedAtMs: number;
  readonly decodedAtMs: number;
  lastFrameAtMs(): number;
  /** Resolves when it is lost, and never rejects; one that has returned has another. */
  readonly lost: Promise<MediaLoss>;
  /** Of a link that was lost to silence: resolves when a picture of a later pose has come by it after all; of others never. */
  readonly returned: Promise<void>;
  readonly isLost: boolean;
  /** Nothing brings it back: the agent has ended the lease, the transport broke, or it was closed here. */
  readonly isOver: boolean;
  /** From now on pictures come from this link; the newest it has comes at once. */
  show(): void;
  /** The agent has ended the session, as its edge says. */
  lose(reason: string): void;
  /** An edge says that no agent holds the session: the link is lost where no frame comes. Resolves when that is known. */
  suspect(reason: string): Promise<void>;
  statistics(): LinkStatistics;
  /** Tells the agent, so that its slot is free at once. Idempotent. */
  close(reason: string): void;
}

export interface PendingMedia {
  readonly offerSdp: string | undefined;
  /** Resolves with the first picture; rejects with the signal's reason or a `ClientFailure`. */
  open(connected: ConnectedSession, signal: AbortSignal): Promise<MediaLink>;
  /** Not opened, and its offer taken by nobody: the next to prepare may have it. */
  release(): void;
  close(): void;
}

export interface MediaPort {
  /** In order of preference. */
  readonly kinds: readonly TransportKind[];
  prepare(kind: TransportKind, iceServers?: readonly IceServer[]): Promise<PendingMedia>;
}

export interface MediaPortOptions<P extends Picture> {
  readonly clock: ClientClock;
  readonly kinds: readonly TransportKind[];
  readonly offer: (kind: TransportKind, iceServers: readonly IceServer[]) => Promise<PendingTransport>;
  readonly openDecoder: ReceiverPorts<P>["openDecoder"];
  /** Why frames of this codec are none for this browser, in words; `undefined` where they are. */
  readonly explainUndecodable?: (codec: MediaCodec) => string | undefined;
  /** Takes the picture, and closes it. */
  readonly onPicture: (frame: DecodedFrame<P>) => void;
  readonly sound?: SoundEvents;
}

/** Of the link that is shown. */
export interface SoundEvents {
  onPacket(bytes: Uint8Array<ArrayBuffer>): void;
  /** The agent's answer to a wish: whether there is any. */
  onState(isThere: boolean, because: string): void;
  /** Another link is shown. */
  onRestart(): void;
}

export interface MediaLinks extends MediaPort {
  sendPose(bytes: Uint8Array<ArrayBuffer>): void;
  /** Whether sound is wanted: of the link that is shown, and of those to come once they are. */
  wishSound(isWanted: boolean): void;
}

export function createMediaLinks<P extends Picture>(options: MediaPortOptions<P>): MediaLinks {
  const links = new Set<OpenLink>();
  const released = keepReleased(options.clock);
  let shown: OpenLink | undefined;
  let newestPose: { readonly bytes: Uint8Array<ArrayBuffer>; readonly sentAtMs: number } | undefined;
  let isSoundWanted = false;
  return {
    kinds: options.kinds,
    async prepare(kind, iceServers = []) {
      const pending = released.take(kind) ?? (await options.offer(kind, iceServers));
      return {
        offerSdp: pending.offerSdp,
        async open(connected, signal) {
          const link: OpenLink = createLink(options, {
            isShown: () => shown === link,
            newestPose() {
              if (newestPose === undefined) return undefined;
              return options.clock.monotonicMs() - newestPose.sentAtMs > POSE_MS_MAX ? undefined : newestPose.bytes;
            },
            sound: () => (shown === link ? options.sound : undefined),
            onClosed: () => links.delete(link),
          });
          links.add(link);
          let opened: Opened;
          try {
            opened = await link.open(await pending.open(connected, link.events, signal), signal);
          } catch (error) {
            link.close("it did not come up");
            pending.close();
            throw error;
          }
          return mediaLinkOf(link, { kind, ...opened }, () => {
            if (shown === link) return;
            options.sound?.onRestart();
            shown = link;
            link.show();
            if (isSoundWanted) link.wishSound(true);
          });
        },
        release: () => released.add(kind, pending),
        close: () => pending.close(),
      };
    },
    sendPose(bytes) {
      newestPose = { bytes, sentAtMs: options.clock.monotonicMs() };
      for (const link of links) link.sendPose(bytes);
    },
    wishSound(isWanted) {
      isSoundWanted = isWanted;
      shown?.wishSound(isWanted);
    },
  };
}

/** One of each kind at most. */
function keepReleased(clock: ClientClock) {
  const kept = new Map<TransportKind, PendingTransport>();
  const take = (kind: TransportKind): PendingTransport | undefined => {
    const pending = kept.get(kind);
    kept.delete(kind);
    return pending;
  };
  const expire = async (kind: TransportKind, pending: PendingTransport): Promise<void> => {
    await clock.sleep(RELEASED_MS_MAX);
    if (kept.get(kind) === pending) take(kind)?.close();
  };
  return {
    take,
    add(kind: TransportKind, pending: PendingTransport): void {
      take(kind)?.close();
      kept.set(kind, pending);
      void expire(kind, pending);
    },
  };
}

type Opened = Pick<MediaLink, "connectedAtMs" | "decodedAtMs">;

interface OpenLink extends Pick<MediaLink, "show" | "statistics" | "lose" | "close"> {
  readonly life: LinkLife;
  readonly events: TransportEvents;
  /** Resolves with the first picture. */
  open(transport: MediaTransport, signal: AbortSignal): Promise<Opened>;
  sendPose(bytes: Uint8Array<ArrayBuffer>): void;
  wishSound(isWanted: boolean): void;
}

function mediaLinkOf(link: OpenLink, opened: Opened & Pick<MediaLink, "kind">, show: () => void): MediaLink {
  const { life, statistics, lose } = link;
  return {
    ...opened,
    get lost() {
      return life.lost;
    },
    get returned() {
      return life.returned;
    },
    get isLost() {
      return life.isLost;
    },
    get isOver() {
      return life.isOver;
    },
    lastFrameAtMs: life.lastFrameAtMs,
    suspect: life.suspect,
    close: (reason) => link.close(reason),
    ...{ statistics, lose, show },
  };
}

function sendReport(transport: MediaTransport | undefined, report: FrameReport | undefined): void {
  if (report !== undefined) transport?.sendControl({ type: "frame-report", ...report });
}

async function failing(lost: Promise<MediaLoss>): Promise<never> {
  const loss = await lost;
  if (loss.because === "undecodable") throw new ClientFailure("browser-unfit", loss.reason);
  throw new ClientFailure("media-unreachable", `no picture came: ${explainLoss(loss)}`);
}

interface LinkOwner {
  readonly isShown: () => boolean;
  readonly newestPose: () => Uint8Array<ArrayBuffer> | undefined;
  /** Who hears it, while it is shown. */
  readonly sound: () => SoundEvents | undefined;
  readonly onClosed: () => void;
}

interface LinkEnds extends Pick<LinkOwner, "sound"> {
  readonly receiver: Receiver;
  readonly held: HeldShelf;
  readonly lose: (loss: MediaLoss) => void;
  readonly say: (message: ControlMessage) => void;
}

function eventsFor({ receiver, held, sound, lose, say }: LinkEnds): TransportEvents {
  return {
    onFrame: receiver.addFrame,
    onInvalid: receiver.countInvalid,
    onAudio: (bytes) => sound()?.onPacket(bytes),
    onControl(message) {
      if (message.type === "session-end") lose({ because: "ended", reason: message.reason });
      else if (message.type === "echo-request") say({ type: "echo", content: message.content });
      else if (message.type === "held-object") say(held.put(message));
      else if (message.type === "audio-state") sound()?.onState(message.isThere, message.because);
    },
    onClosed: (reason) => lose({ because: "closed", reason }),
  };
}

function createLink<P extends Picture>(
  { clock, openDecoder, explainUndecodable, onPicture }: MediaPortOptions<P>,
  { isShown, newestPose, sound, onClosed }: LinkOwner,
): OpenLink {
  const epochMs = startEpochMs(clock);
  const latency = createLatencyWindow();
  const reporter = createFrameReporter();
  const shelf = createPictureShelf(isShown, onPicture);
  const held = createHeldShelf();
  let transport: MediaTransport | undefined;
  const life = createLinkLife(clock, () => transport?.sendControl({ type: "heartbeat" }));
  let codec: MediaCodec | undefined;
  const receiver = createReceiver<P>({
    nowMs: epochMs,
    openDecoder,
    requestKeyFrame: () => transport?.sendControl({ type: "keyframe-request" }),
    onArrived(frame) {
      life.frameCame();
      codec = frame.header.codec;
      const reason = explainUndecodable?.(codec);
      if (reason !== undefined) shut({ because: "undecodable", reason });
      sendReport(transport, reporter.arrive(frame));
    },
    onDecoded(frame) {
      latency.add(frame);
      shelf.put({ ...frame, held: held.of(frame.header.without) });
      life.pictureCame(frame.header.poseSampledAtMs);
    },
  });
  const shut = (loss: MediaLoss): void => {
    if (!life.end(loss)) return;
    transport?.close();
    receiver.close();
    shelf.clear();
    onClosed();
  };
  return {
    life,
    show: shelf.empty,
    statistics: () => ({ latency: latency.summarise(epochMs()), counts: receiver.counts(), codec }),
    events: eventsFor({ receiver, held, sound, lose: shut, say: (message) => transport?.sendControl(message) }),
    async open(opened, signal) {
      transport = opened;
      const connectedAtMs = clock.monotonicMs();
      opened.sendControl({ type: "held-wish" });
      const pose = newestPose();
      if (pose !== undefined) this.sendPose(pose);
      await Promise.race([shelf.first, failing(life.lost), whenAborted(signal)]);
      life.expectFrames();
      return { connectedAtMs, decodedAtMs: clock.monotonicMs() };
    },
    sendPose(bytes) {
      if (transport?.sendPose(bytes) === true) life.poseLeft();
    },
    wishSound: (isWanted) => transport?.sendControl({ type: "audio-wish", isWanted }),
    lose: (reason) => shut({ because: "ended", reason }),
    close(reason) {
      transport?.sendControl({ type: "session-end", reason });
      shut({ because: "closed", reason });
    },
  };
}
