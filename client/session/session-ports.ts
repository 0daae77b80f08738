/** What a session's life is made of: the ports it needs, what it knows, and what a page may see of it. */
import type { ConnectedSession, PlacementAnswer, ProbeTarget } from "#contracts/operator-api/sessions.ts";
import type { Tier } from "#domain/policy/placement-policy.ts";
import type { ClientClock } from "../clock.ts";
import type { MediaLink, MediaPort } from "../media/media-port.ts";
import type { TransportKind } from "../media/transport.ts";
import type { ProbedEdge } from "../probe/probe.ts";
import type { ClientRandom } from "../random.ts";
import type { ComingUp, ConnectTimes, Interruption } from "./coming-up.ts";
import type { SessionApi } from "./session-api.ts";
import type { Phase, SessionEvent } from "./session-states.ts";

export interface SessionWish {
  readonly app: string;
  readonly tier: Tier;
  readonly device: { readonly name: string };
}

export interface SessionPorts {
  readonly clock: ClientClock;
  readonly random: Pick<ClientRandom, "ratio">;
  readonly api: SessionApi;
  readonly appToken: string;
  readonly media: MediaPort;
  readonly probe: (targets: readonly ProbeTarget[], withinMs: number) => Promise<readonly ProbedEdge[]>;
  /** Fresh probes while a session runs; nothing where nobody gives them in time. Never rejects. */
  readonly measure: (withinMs: number) => Promise<readonly ProbedEdge[]>;
  /** Whether an edge answers within that time. Never rejects. */
  readonly isAlive: (edge: string, withinMs: number) => Promise<boolean>;
  /** The edge that served the page, for when nothing else is known. */
  readonly pageEdge: string | undefined;
  /** The edges that the page's would send a user to; nothing where it is not cut off, or not in time. Never rejects. */
  readonly neighbours: (withinMs: number) => Promise<readonly string[]>;
  /** Resolves when a person asks to try again. */
  readonly retryAsked: () => Promise<void>;
  readonly onChange: (view: SessionView) => void;
}

type AnsweredPlacement = Exclude<PlacementAnswer, { state: "queued" }>;

/** Where the session is, and what says so. */
export interface Placed extends Pick<AnsweredPlacement, "placement" | "pool" | "edges" | "budget" | "iceServers"> {
  readonly state: AnsweredPlacement["state"];
  /** Undefined where an edge has placed it, by the app token alone. */
  readonly decision: string | undefined;
}

export interface Grant {
  readonly edge: string;
  readonly transport: TransportKind;
  readonly connected: ConnectedSession;
  readonly link: MediaLink;
  readonly times: ConnectTimes;
}

export interface Problem {
  /** A code of docs/errors.md, or one of the client's own (client/session/words.ts). */
  readonly code: string;
  readonly message: string;
}

/** What is known in a session's life; each step reads it and adds to it. */
export interface SessionFacts {
  readonly session: string | undefined;
  readonly candidates: readonly ProbeTarget[];
  readonly candidatesExpireAtMs: number;
  readonly probed: readonly ProbedEdge[];
  /** By the monotonic clock. */
  readonly probedAtMs: number;
  readonly placement: Placed | undefined;
  readonly grant: Grant | undefined;
  /** The newest of the grant's session; kept when the grant is lost. */
  readonly resumeTicket: string | undefined;
  /** When it was given; by the monotonic clock. */
  readonly resumeTicketAtMs: number;
  readonly bestAchievableMs: number | undefined;
  readonly retryAtMs: number | undefined;
  readonly problem: Problem | undefined;
  /** By the monotonic clock; `undefined` while frames come or none ever came. */
  readonly lostAtMs: number | undefined;
  readonly runningSinceMs: number | undefined;
  /** `undefined` while frames come. */
  readonly interruption: Interruption | undefined;
  /** Of the last time that pictures were missing and came. */
  readonly comingUp: ComingUp | undefined;
  /** Since the session last ran for a while: what bounds loops. Losses that ended with the return of the pictures are none of them. */
  readonly quickLosses: number;
  readonly renewals: number;
  readonly failures: number;
}

export const NOTHING_KNOWN: SessionFacts = {
  session: undefined,
  candidates: [],
  candidatesExpireAtMs: 0,
  probed: [],
  probedAtMs: Number.NEGATIVE_INFINITY,
  placement: undefined,
  grant: undefined,
  resumeTicket: undefined,
  resumeTicketAtMs: Number.NEGATIVE_INFINITY,
  bestAchievableMs: undefined,
  retryAtMs: undefined,
  problem: undefined,
  lostAtMs: undefined,
  runningSinceMs: undefined,
  interruption: undefined,
  comingUp: undefined,
  quickLosses: 0,
  renewals: 0,
  failures: 0,
};

/** What is known once frames come again. */
export const NOTHING_LOST = { problem: undefined, lostAtMs: undefined, interruption: undefined } as const;

/** What is known once the link that fell silent gives pictures again: nothing was lost after all. */
export function returnedFacts({ quickLosses }: SessionFacts, nowMs: number): Partial<SessionFacts> {
  // The loss had counted as one, or had set the count to 0.
  const counts = { quickLosses: Math.max(0, quickLosses - 1) };
  return { ...NOTHING_LOST, ...counts, retryAtMs: undefined, runningSinceMs: nowMs };
}

export interface SessionView {
  readonly phase: Phase;
  readonly facts: SessionFacts;
}

export interface Step {
  readonly event: SessionEvent;
  readonly learnt: Partial<SessionFacts>;
}

export interface StepInput {
  readonly ports: SessionPorts;
  readonly wish: SessionWish;
  readonly facts: SessionFacts;
  /** Adds to the facts while a phase goes on. */
  readonly learn: (learnt: Partial<SessionFacts>) => void;
  /** Aborted when the session is left. */
  readonly signal: AbortSignal;
}
