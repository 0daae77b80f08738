/** Decides whether a node is connected, cut off or dead, from its control link and from probes by others. Pure. */
import type { NodeState } from "#domain/fleet/node.ts";

/** Nothing is concluded from less silence: the origin notices a half-open link within 10 s, an edge is back from most failures sooner. */
export const SILENCE_MS_MAX = 10_000;
/** One observer may be the one that is cut off. */
export const FAILING_OBSERVERS_MIN = 2;

export interface NodeEvidence {
  /** Whether the origin can be asked about links now. */
  readonly isLinkKnown: boolean;
  readonly isLinkUp: boolean;
  /** Monotonic; undefined where it was never seen up. */
  readonly linkLastUpMs: number | undefined;
  /** When any observer last had a signed answer; undefined where none had. */
  readonly lastAnsweredMs: number | undefined;
  /** Observers outside whose last try failed since the last sign of life. */
  readonly failingObservers: number;
}

export const SIGNALS = ["linked", "unlinked", "cut", "silent", "failing"] as const;
/**
 * linked: the link is up. unlinked: it was a moment ago, or nobody can say and the node answers probes. cut: the link
 * is down and the node answers. silent: neither. failing: neither, and two observers have tried.
 */
export type Signal = (typeof SIGNALS)[number];

export function signalOf(evidence: NodeEvidence, nowMs: number): Signal {
  const isRecent = (atMs: number | undefined): boolean => atMs !== undefined && nowMs - atMs <= SILENCE_MS_MAX;
  if (evidence.isLinkUp) return "linked";
  if (isRecent(evidence.linkLastUpMs)) return "unlinked";
  if (isRecent(evidence.lastAnsweredMs)) return evidence.isLinkKnown ? "cut" : "unlinked";
  return evidence.failingObservers >= FAILING_OBSERVERS_MIN ? "failing" : "silent";
}

/** Cut off is not dead: silence alone never makes a node dead, and a dead one lives again by any sign of life. */
export const TRANSITIONS: Readonly<Record<NodeState, Readonly<Record<Signal, NodeState>>>> = {
  connected: {
    linked: "connected",
    unlinked: "connected",
    cut: "cut-off",
    silent: "cut-off",
    failing: "dead",
  },
  "cut-off": {
    linked: "connected",
    unlinked: "cut-off",
    cut: "cut-off",
    silent: "cut-off",
    failing: "dead",
  },
  dead: {
    linked: "connected",
    unlinked: "cut-off",
    cut: "cut-off",
    silent: "dead",
    failing: "dead",
  },
};

/** Of a node of which nothing is known yet. */
export const INITIAL_STATE: NodeState = "cut-off";

export function decideNodeState(state: NodeState, evidence: NodeEvidence, nowMs: number): NodeState {
  return TRANSITIONS[state][signalOf(evidence, nowMs)];
}
