/** Ways for frames through a link that is long and loses packets: so many connections, or those that a session asks for. */
import { setTimeout as passes } from "node:timers/promises";
import { CHANNELS } from "#contracts/media/control.ts";
import { countDataFragments, cutFragments, FrameAssembler } from "#contracts/media/fragments.ts";
import { systemClock } from "#platform/clock.ts";
import type { LinkOptions } from "#platform/links/path.ts";
import type { Link } from "#platform/links/tcp-link.ts";
import { startUdpLink } from "#platform/links/udp-link.ts";
import { seededRandom, systemRandom } from "#platform/random.ts";
import { openFramesPage } from "#test/browser/frames-page.ts";
import { freeUdpPort } from "#test/render-agent/free-udp-port.ts";
import type { MediaPlace } from "../session/messages.ts";
import { answerPeer } from "../transport/answered-peer.ts";
import { offerPeer } from "../transport/offered-peer.ts";
import { offerReceiver } from "../transport/receiver.ts";
import { sendSpread } from "../transport/stripes.ts";
import { acceptOffer } from "../transport/webrtc.ts";

/** Handshakes take some round trips. */
const OPEN_MS_MAX = 20_000;
const LOOK_MS = 5;
const BYTE = 0xff;

export interface Path extends AsyncDisposable {
  /** False where it would have to wait. */
  send(frameNumber: number, bytes: Uint8Array<ArrayBuffer>): boolean;
  /** Those that are in use. */
  connections(): Promise<number>;
  setLink(options: LinkOptions): void;
}

export interface PathOptions {
  readonly rttMs: number;
  readonly seed: number;
  /** By the monotonic clock. */
  readonly onFrame: (frameNumber: number, atMs: number) => void;
}

interface LinkedPlace {
  readonly link: Link;
  readonly media: MediaPlace;
}

async function startLink({ rttMs, seed }: PathOptions): Promise<LinkedPlace> {
  const [host, port] = ["127.0.0.1", await freeUdpPort()];
  const sources = { clock: systemClock, random: seededRandom(seed) };
  const link = await startUdpLink({ ...sources, rttMs, listen: { host, port: 0 }, target: { host, port } });
  const advertise = { address: host, portOffset: link.address.port - port };
  return { link, media: { bindAddress: host, port, advertise } };
}

async function waitUntil(isSo: () => boolean): Promise<void> {
  const limit = systemClock.deadline(OPEN_MS_MAX);
  while (!isSo()) {
    limit.throwIfAborted();
    await passes(LOOK_MS);
  }
}

/** So many connections from the beginning, and a share of parity that stays. */
export async function openFixedPath(options: PathOptions, count: number, parityRatio: number): Promise<Path> {
  const { link, media } = await startLink(options);
  const closing = new AbortController();
  const assembler = new FrameAssembler();
  const peers = await Promise.all(
    Array.from({ length: count }, async () => {
      const offered = await offerPeer([{ label: CHANNELS.frames, isReliable: false }]);
      const { signal } = closing;
      const offer = { sdp: offered.offerSdp, media, clock: systemClock, labels: [CHANNELS.frames], signal };
      const answered = await answerPeer(offer, { onMessage: () => undefined, onGone: () => undefined });
      offered.channels.get(CHANNELS.frames)?.onMessage((message) => {
        const whole = typeof message === "string" ? undefined : assembler.add(new Uint8Array(message));
        if (whole !== undefined) options.onFrame(whole.frameNumber, systemClock.monotonicMs());
      });
      offered.answer(answered.answerSdp);
      return { offered, answered };
    }),
  );
  const open = () =>
    peers.flatMap(({ answered }) => {
      const channel = answered.openChannel(CHANNELS.frames);
      return channel === undefined ? [] : [channel];
    });
  await waitUntil(() => open().length === count);
  return {
    send(frameNumber, bytes) {
      const channels = open().filter((channel) => channel.bufferedAmount() === 0);
      if (channels.length === 0) return false;
      const fragments = cutFragments(frameNumber, bytes, parityRatio);
      return sendSpread(channels, { frameNumber, dataCount: countDataFragments(bytes.byteLength), fragments });
    },
    connections: async () => open().length,
    setLink: link.set,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await Promise.all(peers.map(({ offered }) => offered.close()));
      await link[Symbol.asyncDispose]();
    },
  };
}

/** What a session has: it asks for connections as its frames need, and its parity follows the loss that is told. */
export async function openSessionPath(options: PathOptions, connectionsMax: number): Promise<Path> {
  const linked = await startLink(options);
  const receiver = await offerReceiver({
    clock: systemClock,
    connectionsMax,
    onFrame: ({ frameNumber }) => options.onFrame(frameNumber, systemClock.monotonicMs()),
    onControl: () => undefined,
  });
  const path = await answerSession(linked, receiver);
  receiver.answer(path.answerSdp);
  await waitUntil(path.isClear);
  const used = () => receiver.fragments().filter((count) => count > 0).length;
  return { ...path, connections: async () => used() };
}

/** The same with a real browser. Its frames' times are its own clock's, which is this machine's. */
export async function openBrowserPath(options: PathOptions, connectionsMax: number): Promise<Path> {
  const linked = await startLink(options);
  const epochMs = systemClock.nowMs() - systemClock.monotonicMs();
  let newest = 0;
  const page = await openFramesPage({
    connectionsMax,
    onFrame(filledWith, atMs) {
      // The newest of the frames with this byte: one that is 256 behind has long been given up.
      options.onFrame(newest - ((newest - filledWith) & BYTE), atMs - epochMs);
    },
  });
  const { send, ...path } = await answerSession(linked, page);
  await page.open(path.answerSdp);
  await waitUntil(path.isClear);
  return {
    ...path,
    send(frameNumber, bytes) {
      newest = frameNumber;
      return send(frameNumber, bytes.fill(frameNumber));
    },
    connections: async () => (await page.seen()).states.filter((state) => state === "connected").length,
  };
}

async function answerSession({ link, media }: LinkedPlace, client: AsyncDisposable & { readonly offerSdp: string }) {
  const none = (): void => undefined;
  const events = { onPose: none, onControl: none, onClosed: none, onInvalid: none };
  const tools = { clock: systemClock, random: systemRandom };
  const { answerSdp, transport } = await acceptOffer(client.offerSdp, media, events, tools);
  return {
    answerSdp,
    isClear: () => transport.takesFrame(),
    send: (frameNumber: number, bytes: Uint8Array<ArrayBuffer>) =>
      transport.takesFrame() && transport.sendFrame(frameNumber, bytes),
    setLink: link.set,
    async [Symbol.asyncDispose]() {
      transport.close();
      await client[Symbol.asyncDispose]();
      await link[Symbol.asyncDispose]();
    },
  };
}
