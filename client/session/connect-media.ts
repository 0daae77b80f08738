/** Connects to one of some edges, over one of the transports, within a deadline; an edge that is dead is not waited for. */
import type { ConnectSession } from "#contracts/operator-api/sessions.ts";
import type { IceServer } from "#domain/session/ice-server.ts";
import { ClientFailure } from "../failure.ts";
import type { PendingMedia } from "../media/media-port.ts";
import type { TransportKind } from "../media/transport.ts";
import { type FailureKind, isAnswered, kindOfFailure } from "./refusals.ts";
import type { Grant, SessionPorts } from "./session-ports.ts";

/** Of a pool with more, these are enough to find one alive. */
export const EDGES_TRIED_MAX = 4;

export type Credential = Pick<ConnectSession, "placement" | "resume" | "appToken">;

export interface ConnectRequest {
  readonly edges: readonly string[];
  readonly credential: Credential;
  /** Of the placement; none where an edge is asked without one. */
  readonly iceServers: readonly IceServer[];
  /** Tried in this order. */
  readonly transports: readonly TransportKind[];
  readonly withinMs: number;
  readonly pingMs: number;
  readonly signal: AbortSignal;
}

export type ConnectOutcome =
  | { readonly kind: "connected"; readonly grant: Grant }
  | { readonly kind: FailureKind; readonly failure: ClientFailure };

type ConnectPorts = Pick<SessionPorts, "api" | "media" | "clock" | "isAlive">;

/** The first edge that gives media; a no of one edge is asked of the next, since its agents are others. */
export async function connectMedia(ports: ConnectPorts, request: ConnectRequest): Promise<ConnectOutcome> {
  const deadline = ports.clock.deadline(request.withinMs, request.signal);
  // A transport that is blocked on the way leaves the other its share.
  const attemptMs = request.withinMs / request.transports.length;
  let failure = new ClientFailure("unreachable", "there is no edge to connect to");
  for (const edge of request.edges.slice(0, EDGES_TRIED_MAX)) {
    for (const transport of request.transports) {
      const { credential, iceServers, pingMs } = request;
      const attempt = { edge, transport, credential, iceServers, pingMs };
      const tried = await connectOnce(ports, attempt, ports.clock.deadline(attemptMs, deadline));
      if (!(tried instanceof ClientFailure)) return { kind: "connected", grant: tried };
      failure = tried;
      if (deadline.aborted) return { kind: kindOfFailure(failure), failure };
      // Only media that did not come up are a reason to try the other transport.
      if (failure.code !== "media-unreachable") break;
    }
  }
  return { kind: kindOfFailure(failure), failure };
}

interface Attempt extends Pick<ConnectRequest, "credential" | "iceServers" | "pingMs"> {
  readonly edge: string;
  readonly transport: TransportKind;
}

/** A failure that is no `ClientFailure` is a bug and is thrown. */
async function connectOnce(
  { api, media, clock, isAlive }: ConnectPorts,
  { edge, transport, credential, iceServers, pingMs }: Attempt,
  deadline: AbortSignal,
): Promise<Grant | ClientFailure> {
  const dead = new AbortController();
  void isAlive(edge, pingMs).then((alive) => {
    if (!alive) dead.abort(new ClientFailure("unreachable", `${edge} does not answer`));
  });
  const signal = AbortSignal.any([deadline, dead.signal]);
  let pending: PendingMedia | undefined;
  const begunAtMs = clock.monotonicMs();
  try {
    pending = await media.prepare(transport, iceServers);
    const { offerSdp } = pending;
    const offeredAtMs = clock.monotonicMs();
    const offer = offerSdp === undefined ? {} : { offerSdp };
    const connected = await api.connect(edge, { ...credential, transport, ...offer }, signal);
    const leasedAtMs = clock.monotonicMs();
    // From here on media tell by themselves whether anybody is there.
    const link = await pending.open(connected, deadline);
    const { connectedAtMs, decodedAtMs } = link;
    const times = { begunAtMs, offeredAtMs, leasedAtMs, connectedAtMs, decodedAtMs };
    return { edge, transport, connected, link, times };
  } catch (error) {
    const failure = failureOf(error, `${edge}: no picture came in time`, deadline);
    // An edge that said no has given the offer to nobody.
    if (isAnswered(failure)) pending?.release();
    else pending?.close();
    return failure;
  }
}

function failureOf(error: unknown, late: string, deadline: AbortSignal): ClientFailure {
  if (error instanceof ClientFailure) return error;
  if (deadline.aborted) return new ClientFailure("media-unreachable", late);
  throw error;
}
