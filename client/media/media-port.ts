/** The media links of a client: one is shown, another may be coming up; poses go to all, pictures come from the shown one. */
import { HEARTBEAT_MS } from "#contracts/media/control.ts";
import type { ConnectedSession } from "#contracts/operator-api/sessions.ts";
import { type ClientClock, pause, startEpochMs, whenAborted } from "../clock.ts";
import { ClientFailure } from "../failure.ts";
import { createLatencyWindow, type LatencySummary } from "../latency/latency.ts";
import { createReceiver, type DecodedFrame, type ReceiverCounts, type ReceiverPorts } from "./receiver.ts";
import { advancePoseFlow, isSilent, type PoseFlow } from "./silence.ts";
import type { MediaTransport, PendingTransport, TransportEvents, TransportKind } from "./transport.ts";

/** An offer that an edge refused is good for the next edge; later the network may be another. */
const RELEASED_MS_MAX = 3000;
/** A seventh of the silence that is waited for. */
const WATCH_INTERVAL_MS = 100;

export type MediaLoss =
  /** Poses leave, no frame comes. */
  | { readonly because: "silent" }
  /** The transport broke. */
  | { readonly because: "closed"; readonly reason: string }
  /** The agent said so. */
  | { readonly because: "ended"; readonly reason: string };

export function explainLoss(loss: MediaLoss): string {
  return loss.because === "silent" ? "no frame came for a while" : loss.reason;
}

export interface LinkStatistics {
  readonly latency: LatencySummary | undefined;
  readonly counts: ReceiverCounts;
}

export interface MediaLink {
  readonly kind: TransportKind;
  /** Resolves once; never rejects. */
  readonly lost: Promise<MediaLoss>;
  /** From now on pictures come from this link. */
  show(): void;
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
  prepare(kind: TransportKind): Promise<PendingMedia>;
}

export interface Picture {
  close(): void;
}

export interface MediaPortOptions<P extends Picture> {
  readonly clock: ClientClock;
  readonly kinds: readonly TransportKind[];
  readonly offer: (kind: TransportKind) => Promise<PendingTransport>;
  readonly openDecoder: ReceiverPorts<P>["openDecoder"];
  /** Takes the picture, and closes it. */
  readonly onPicture: (frame: DecodedFrame<P>) => void;
}

export interface MediaLinks extends MediaPort {
  sendPose(bytes: Uint8Array<ArrayBuffer>): void;
}

export function createMediaLinks<P extends Picture>(options: MediaPortOptions<P>): MediaLinks {
  const links = new Set<OpenLink>();
  const released = keepReleased(options.clock);
  let shown: OpenLink | undefined;
  return {
    kinds: options.kinds,
    async prepare(kind) {
      const pending = released.take(kind) ?? (await options.offer(kind));
      return {
        offerSdp: pending.offerSdp,
        async open(connected, signal) {
          const link: OpenLink = createLink(options, {
            isShown: () => shown === link,
            onClosed: () => links.delete(link),
          });
          links.add(link);
          try {
            await link.open(await pending.open(connected, link.events, signal), signal);
          } catch (error) {
            link.close("it did not come up");
            pending.close();
            throw error;
          }
          return {
            kind,
            lost: link.lost,
            statistics: link.statistics,
            close: link.close,
            show() {
              shown = link;
            },
          };
        },
        release: () => released.add(kind, pending),
        close: () => pending.close(),
      };
    },
    sendPose(bytes) {
      for (const link of links) link.sendPose(bytes);
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

interface OpenLink extends Pick<MediaLink, "lost" | "statistics" | "close"> {
  readonly events: TransportEvents;
  /** Resolves with the first picture. */
  open(transport: MediaTransport, signal: AbortSignal): Promise<void>;
  sendPose(bytes: Uint8Array<ArrayBuffer>): void;
}

function createLink<P extends Picture>(
  { clock, openDecoder, onPicture }: MediaPortOptions<P>,
  { isShown, onClosed }: { readonly isShown: () => boolean; readonly onClosed: () => void },
): OpenLink {
  const epochMs = startEpochMs(clock);
  const latency = createLatencyWindow();
  const firstPicture = Promise.withResolvers<void>();
  const lost = Promise.withResolvers<MediaLoss>();
  const over = new AbortController();
  let transport: MediaTransport | undefined;
  let poseFlow: PoseFlow | undefined;
  let lastFrameMs = 0;
  const receiver = createReceiver<P>({
    nowMs: epochMs,
    openDecoder,
    requestKeyFrame: () => transport?.sendControl({ type: "keyframe-request" }),
    onDecoded(frame) {
      lastFrameMs = clock.monotonicMs();
      latency.add(frame);
      if (isShown()) onPicture(frame);
      else frame.picture.close();
      firstPicture.resolve();
    },
  });
  const lose = (loss: MediaLoss): void => {
    over.abort();
    lost.resolve(loss);
  };
  const watch = async (): Promise<void> => {
    while (await pause(clock, WATCH_INTERVAL_MS, over.signal)) {
      const nowMs = clock.monotonicMs();
      if (isSilent(poseFlow, lastFrameMs, nowMs)) lose({ because: "silent" });
      else if (poseFlow === undefined || nowMs - poseFlow.lastMs >= HEARTBEAT_MS)
        transport?.sendControl({ type: "heartbeat" });
    }
  };
  return {
    lost: lost.promise,
    statistics: () => ({ latency: latency.summarise(epochMs()), counts: receiver.counts() }),
    events: {
      onFrame: receiver.addFrame,
      onInvalid: receiver.countInvalid,
      onControl(message) {
        if (message.type === "session-end") lose({ because: "ended", reason: message.reason });
        else if (message.type === "echo-request") transport?.sendControl({ type: "echo", content: message.content });
      },
      onClosed: (reason) => lose({ because: "closed", reason }),
    },
    async open(opened, signal) {
      transport = opened;
      const gone = lost.promise.then((loss) => {
        throw new ClientFailure("media-unreachable", `no picture came: ${explainLoss(loss)}`);
      });
      await Promise.race([firstPicture.promise, gone, whenAborted(signal)]);
      void watch();
    },
    sendPose(bytes) {
      if (transport?.sendPose(bytes) === true) poseFlow = advancePoseFlow(poseFlow, clock.monotonicMs());
    },
    close(reason) {
      transport?.sendControl({ type: "session-end", reason });
      lose({ because: "closed", reason });
      transport?.close();
      receiver.close();
      onClosed();
    },
  };
}
