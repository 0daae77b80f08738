/** A peer connection that offers data channels, outside a browser. */
import nodeDataChannel from "node-datachannel";

type DataChannel = nodeDataChannel.DataChannel;

export interface OfferedPeer {
  readonly offerSdp: string;
  readonly channels: ReadonlyMap<string, DataChannel>;
  /** Of channels that the other side has closed, or this one. */
  readonly closedLabels: ReadonlySet<string>;
  answer(sdp: string): void;
  /** Resolves once the other side has closed. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

export interface OfferedChannel {
  readonly label: string;
  readonly isReliable: boolean;
}

export async function offerPeer(wanted: readonly OfferedChannel[]): Promise<OfferedPeer> {
  const peer = new nodeDataChannel.PeerConnection("viewer", { iceServers: [], bindAddress: "127.0.0.1" });
  const gathered = new Promise<void>((resolve) => {
    peer.onGatheringStateChange((state) => {
      if (state === "complete") resolve();
    });
  });
  const { promise: closed, resolve: noteClosed } = Promise.withResolvers<void>();
  peer.onStateChange((state) => {
    if (state === "closed" || state === "failed" || state === "disconnected") noteClosed();
  });
  const unreliable = { unordered: true, maxRetransmits: 0 };
  const channels = new Map(
    wanted.map(({ label, isReliable }) => [label, peer.createDataChannel(label, isReliable ? {} : unreliable)]),
  );
  // The library lets go of a channel, and of the process, only where somebody hears of the channel's end.
  const closedLabels = new Set<string>();
  const ended = [...channels].map(
    ([label, channel]) =>
      new Promise<void>((resolve) => {
        channel.onClosed(() => {
          closedLabels.add(label);
          resolve();
        });
      }),
  );
  await gathered;
  return {
    // An agent that knew where this peer is would reach it before it has the answer, whose fingerprint the library
    // then finds missing: a race that browsers do not have.
    offerSdp: (peer.localDescription()?.sdp ?? "").replace(/^a=candidate:.*\r\n/gm, ""),
    channels,
    closedLabels,
    answer: (sdp) => peer.setRemoteDescription(sdp, "answer"),
    closed,
    async close() {
      for (const channel of channels.values()) channel.close();
      peer.close();
      await Promise.all(ended);
    },
  };
}
