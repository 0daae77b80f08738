/** A peer connection of the browser that offers data channels, with the candidates that it has at once, or from servers. */
import type { IceServer } from "#domain/session/ice-server.ts";
import { type ClientClock, pause } from "../clock.ts";
import { ClientFailure } from "../failure.ts";

/**
 * Those of UDP are there in 3 ms. Chromium then waits twice 50 ms for TCP's, which agents have no use for; and an agent
 * learns from checks where a client is that it has no candidate of (RFC 8445 section 7.3.1.3).
 */
const GATHERING_MS_MAX = 50;
/** All interfaces are asked at once: after such a pause none follows. */
const SETTLED_MS = 5;
/** Servers were configured because there is no other way: a relay is asked twice before it gives an address. */
const SERVERS_MS_MAX = 500;
/** A frame or pose that was lost is not worth sending again. */
export const UNRELIABLE = { ordered: false, maxRetransmits: 0 };

export function openPeer(iceServers: readonly IceServer[]): RTCPeerConnection {
  return new RTCPeerConnection({ iceServers: iceServers.map(({ urls, ...rest }) => ({ urls: [...urls], ...rest })) });
}

/** Its offer, once its channels are made. */
export async function makeOffer(peer: RTCPeerConnection, clock: ClientClock): Promise<string | undefined> {
  await peer.setLocalDescription();
  await gatherCandidates(peer, clock);
  return peer.localDescription?.sdp;
}

async function gatherCandidates(peer: RTCPeerConnection, clock: ClientClock): Promise<void> {
  if (peer.iceGatheringState === "complete") return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const over = new AbortController();
  const { signal } = over;
  let settled = new AbortController();
  const asksServers = (peer.getConfiguration().iceServers ?? []).length > 0;
  const settle = async (ms: number): Promise<void> => {
    settled.abort();
    settled = new AbortController();
    if (await pause(clock, ms, AbortSignal.any([settled.signal, signal]))) resolve();
  };
  const onCandidate = ({ candidate }: RTCPeerConnectionIceEvent): void => {
    if (candidate === null) resolve();
    else if (!asksServers) void settle(SETTLED_MS);
  };
  peer.addEventListener("icecandidate", onCandidate, { signal });
  void settle(asksServers ? SERVERS_MS_MAX : GATHERING_MS_MAX);
  await promise;
  over.abort();
}

export function openChannel(channel: RTCDataChannel, signal: AbortSignal): Promise<void> {
  if (channel.readyState === "open") return Promise.resolve();
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    channel.addEventListener("open", () => resolve(), { once: true });
    const onClose = (): void => reject(new ClientFailure("media-unreachable", `the ${channel.label} channel closed`));
    channel.addEventListener("close", onClose, { once: true });
  });
}
