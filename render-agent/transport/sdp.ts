/** The parts of a session description that say where to send (RFC 8839 section 5.1). Pure. */
import type { MediaPlace } from "../session/messages.ts";

const HOST_CANDIDATE = /^(a=candidate:\S+ \d+ \S+ \d+ )\S+ (\d+)( typ host.*)$/gm;
/** The last one may have no end. */
const CANDIDATE_LINE = /^a=candidate:[^\n]*(?:\n|$)/gm;

/** Rewrites the host candidates of an answer to where clients reach them. */
export function advertised(sdp: string, advertise: MediaPlace["advertise"]): string {
  if (advertise === undefined) return sdp;
  return sdp.replace(
    HOST_CANDIDATE,
    (_line, head: string, port: string, tail: string) =>
      `${head}${advertise.address} ${Number(port) + advertise.portOffset}${tail}`,
  );
}

/** Without the offer's candidates the agent answers checks and begins none: the client's way in is the only path. */
export function withoutCandidates(sdp: string): string {
  return sdp.replace(CANDIDATE_LINE, "");
}
