/** The life of a client's session: a table of every phase and every event, and nothing else moves it. SPEC.md has the invariants. Pure. */

export const PHASES = [
  /** Asks the scheduler for candidates. */
  "creating",
  /** Measures the round trip to them. */
  "probing",
  /** Shows the scheduler the answers and asks for a placement. */
  "placing",
  /** No slot is free within the limit: waits, then asks again. */
  "queued",
  /** Shows its placement to an edge of the pool; media come up. */
  "connecting",
  /** Frames come. */
  "running",
  /** Media are lost: shows its ticket to the edges of the pool. */
  "resuming",
  /** The pool is lost or refuses: asks the scheduler for another. */
  "renewing",
  /** As `queued`, with a placement that is to be renewed. */
  "requeued",
  /** The scheduler is silent: asks the edges that it knows, with its app token. */
  "direct",
  /** Nothing worked: waits before all begins again, unless the pictures of a link that fell silent return. */
  "waiting",
  /** Trying again would not help: a person has to change something. */
  "failed",
  /** Over, for good. */
  "ended",
] as const;
export type Phase = (typeof PHASES)[number];

export const SESSION_EVENTS = [
  "created",
  "probed",
  "placed",
  "queued",
  "connected",
  /** Runs on at a better place, without a gap. */
  "promoted",
  "media-lost",
  /** Those that were lost to silence come again, before others do. */
  "media-returned",
  /** An answer that says no. */
  "refused",
  /** No answer, or one that says nobody is there. */
  "unreachable",
  /** What was shown is too old or unknown: from the beginning. */
  "stale",
  /** The time has come, or a person asks. */
  "retry",
  "fatal",
  /** The person or the page left. */
  "left",
] as const;
export type SessionEvent = (typeof SESSION_EVENTS)[number];

type Row = Readonly<Record<SessionEvent, Phase | null>>;

const NOTHING: Row = {
  created: null,
  probed: null,
  placed: null,
  queued: null,
  connected: null,
  promoted: null,
  "media-lost": null,
  "media-returned": null,
  refused: null,
  unreachable: null,
  stale: null,
  retry: null,
  fatal: null,
  left: null,
};

/** `null`: that event cannot happen in that phase. */
export const TRANSITIONS: Readonly<Record<Phase, Row>> = {
  creating: {
    ...NOTHING,
    created: "probing",
    refused: "waiting",
    unreachable: "direct",
    fatal: "failed",
    left: "ended",
  },
  probing: { ...NOTHING, probed: "placing", unreachable: "waiting", left: "ended" },
  placing: {
    ...NOTHING,
    placed: "connecting",
    queued: "queued",
    refused: "waiting",
    unreachable: "direct",
    stale: "creating",
    fatal: "failed",
    left: "ended",
  },
  queued: { ...NOTHING, retry: "placing", left: "ended" },
  connecting: {
    ...NOTHING,
    connected: "running",
    "media-returned": "running",
    refused: "renewing",
    unreachable: "renewing",
    fatal: "failed",
    left: "ended",
  },
  running: { ...NOTHING, promoted: "running", "media-lost": "resuming", left: "ended" },
  resuming: {
    ...NOTHING,
    connected: "running",
    "media-returned": "running",
    refused: "renewing",
    unreachable: "renewing",
    left: "ended",
  },
  renewing: {
    ...NOTHING,
    placed: "connecting",
    "media-returned": "running",
    queued: "requeued",
    refused: "waiting",
    unreachable: "direct",
    stale: "creating",
    left: "ended",
  },
  requeued: { ...NOTHING, retry: "renewing", "media-returned": "running", left: "ended" },
  direct: {
    ...NOTHING,
    connected: "running",
    "media-returned": "running",
    refused: "waiting",
    unreachable: "waiting",
    left: "ended",
  },
  waiting: { ...NOTHING, retry: "creating", "media-returned": "running", left: "ended" },
  failed: { ...NOTHING, retry: "creating", left: "ended" },
  ended: NOTHING,
};
