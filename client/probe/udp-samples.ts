/**
 * Round trips over UDP: a peer connection whose other end answers connectivity checks and nothing else, and what the
 * browser itself counts of them (W3C webrtc-stats, RTCIceCandidatePairStats). No page's turn is in it.
 */
import { isRecord } from "../http.ts";
import type { UdpProbeTarget, UdpSampling } from "./udp-target.ts";

const LOOK_MS = 5;
/** SHA-256 of no certificate: nobody comes to the handshake. */
const NO_FINGERPRINT = Array.from({ length: 32 }, () => "00").join(":");
/** A host candidate's (RFC 8445 section 5.1.2.1). */
const PRIORITY = 2_130_706_431;

/** As many as there are until the signal; none where the browser cannot or the network does not let it. Milliseconds. */
export async function sampleByUdp(
  target: UdpProbeTarget,
  { count, clock, signal, onFirst }: UdpSampling,
): Promise<readonly number[]> {
  if (!("RTCPeerConnection" in globalThis)) return [];
  const peer = new RTCPeerConnection();
  const rttMs: number[] = [];
  try {
    peer.createDataChannel("probe");
    await peer.setLocalDescription();
    const mid = /^a=mid:(\S+)/m.exec(peer.localDescription?.sdp ?? "")?.[1] ?? "0";
    await peer.setRemoteDescription({ type: "answer", sdp: describe(target, mid) });
    let seen = { responses: 0, totalMs: 0 };
    while (rttMs.length < count && !signal.aborted) {
      const now = await readChecks(peer);
      const fresh = now.responses - seen.responses;
      for (let each = 0; each < fresh; each += 1) rttMs.push((now.totalMs - seen.totalMs) / fresh);
      if (fresh > 0) {
        seen = now;
        onFirst();
      } else await clock.sleep(LOOK_MS, signal);
    }
  } catch {
    // What it could not do is not measured; what was measured stays.
  } finally {
    peer.close();
  }
  return rttMs.slice(0, count);
}

/** Of the pair that has most. */
async function readChecks(peer: RTCPeerConnection): Promise<{ readonly responses: number; readonly totalMs: number }> {
  let most = { responses: 0, totalMs: 0 };
  for (const [, entry] of await peer.getStats()) {
    if (!isRecord(entry) || entry["type"] !== "candidate-pair") continue;
    const { responsesReceived: responses, totalRoundTripTime: seconds } = entry;
    if (typeof responses !== "number" || typeof seconds !== "number") continue;
    if (responses > most.responses) most = { responses, totalMs: 1000 * seconds };
  }
  return most;
}

/** The answer that such an end would give (RFC 8839, RFC 8841). */
function describe({ address, port, fragment, password }: UdpProbeTarget, mid: string): string {
  return [
    ...["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite", `a=group:BUNDLE ${mid}`],
    ...["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", `a=mid:${mid}`],
    ...[`a=ice-ufrag:${fragment}`, `a=ice-pwd:${password}`, `a=fingerprint:sha-256 ${NO_FINGERPRINT}`],
    ...["a=setup:passive", "a=sctp-port:5000", `a=candidate:1 1 udp ${PRIORITY} ${address} ${port} typ host`],
    ...["a=end-of-candidates", ""],
  ].join("\r\n");
}
