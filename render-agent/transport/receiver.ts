/** What a browser's end of a session's data channels does, without one: frames put together, losses told, connections offered. */
import {
  CHANNELS,
  type ControlMessage,
  decodeControl,
  encodeControl,
  LOSS_REPORT_MS,
} from "#contracts/media/control.ts";
import { type AssembledFrame, FrameAssembler } from "#contracts/media/fragments.ts";
import type { Clock } from "#platform/clock.ts";
import { type OfferedPeer, offerPeer } from "./offered-peer.ts";

export interface ReceiverOptions {
  readonly clock: Clock;
  /** The first among them; those beyond it are not offered. */
  readonly connectionsMax: number;
  readonly onFrame: (frame: AssembledFrame) => void;
  readonly onControl: (message: ControlMessage) => void;
}

export interface Receiver extends AsyncDisposable {
  readonly offerSdp: string;
  answer(sdp: string): void;
  /** Dropped where the connection is not open. */
  sendPose(bytes: Uint8Array<ArrayBuffer>): void;
  say(message: ControlMessage): void;
  /** How many fragments came by each connection so far, the first's first. */
  fragments(): readonly number[];
  /** Ends a connection that is not the first. */
  closeStripe(stripe: number): Promise<void>;
  readonly closed: Promise<void>;
}

export async function offerReceiver(options: ReceiverOptions): Promise<Receiver> {
  const { clock, connectionsMax, onFrame, onControl } = options;
  const first = await offerPeer(
    Object.values(CHANNELS).map((label) => ({ label, isReliable: label === CHANNELS.control })),
  );
  const peers: (OfferedPeer | undefined)[] = [first];
  const counts: number[] = [];
  const assembler = new FrameAssembler();
  const control = first.channels.get(CHANNELS.control);
  const poses = first.channels.get(CHANNELS.poses);
  const say = (message: ControlMessage): void => void control?.sendMessage(encodeControl(message));
  const takeFrames = (stripe: number, { channels }: OfferedPeer): void => {
    channels.get(CHANNELS.frames)?.onMessage((message) => {
      counts[stripe] = (counts[stripe] ?? 0) + 1;
      const whole = typeof message === "string" ? undefined : assembler.add(new Uint8Array(message));
      if (whole !== undefined) onFrame(whole);
    });
  };
  takeFrames(0, first);
  const widen = async (connections: number): Promise<void> => {
    for (let stripe = peers.length; stripe < Math.min(connections, connectionsMax); stripe += 1) {
      peers[stripe] = undefined;
      const peer = await offerPeer([{ label: CHANNELS.frames, isReliable: false }]);
      peers[stripe] = peer;
      takeFrames(stripe, peer);
      say({ type: "stripe-offer", stripe, sdp: peer.offerSdp });
    }
  };
  control?.onMessage((text) => {
    const message = decodeControl(String(text));
    if (message.type === "echo-request") say({ type: "echo", content: message.content });
    else if (message.type === "stripe-request") void widen(message.connections);
    else if (message.type === "stripe-answer") peers[message.stripe]?.answer(message.sdp);
    onControl(message);
  });
  const reporting = clock.every(LOSS_REPORT_MS, () => {
    const { received, lost } = assembler.takeLoss();
    if (received + lost > 0)
      whileThere(() => say({ type: "loss-report", fragmentsReceived: received, fragmentsLost: lost }));
  });
  return {
    offerSdp: first.offerSdp,
    answer: first.answer,
    closed: first.closed,
    say,
    sendPose: (bytes) => whileThere(() => poses?.isOpen() && poses.sendMessageBinary(bytes)),
    fragments: () => Array.from({ length: peers.length }, (_, stripe) => counts[stripe] ?? 0),
    closeStripe: async (stripe) => peers[stripe]?.close(),
    async [Symbol.asyncDispose]() {
      reporting[Symbol.dispose]();
      await Promise.all(peers.map((peer) => peer?.close()));
    },
  };
}

/** The other side may just have gone, which `closed` tells. */
function whileThere(send: () => void): void {
  try {
    send();
  } catch {
    // Nobody is there to hear it.
  }
}
