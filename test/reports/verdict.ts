/** Judges what arrived at the origin by what the clients were told: once each, or given up by the policy and counted. Pure. */

/** What clients know of their reports, by session: one report each. */
export interface Told {
  /** In the order of the acknowledgements. */
  readonly acknowledged: readonly string[];
  /** Sent, and cut short: kept or not. */
  readonly unanswered: ReadonlySet<string>;
}

/** What may be kept of what is older than one that was given up. */
export interface Slack {
  /** Calls under way at once: among so many the order of keeping is not that of the acknowledgements. */
  readonly atOnce: number;
  /** Records of a message: what was handed out stays until it is acknowledged, and what goes meanwhile is behind it. */
  readonly handedOut: number;
}

/** A record of the origin's. */
export interface Arrived {
  readonly kind: string;
  readonly value: Readonly<Record<string, unknown>>;
}

export interface Verdict {
  readonly arrived: number;
  /** Acknowledged, not at the origin, and not said to be given up. */
  readonly lostUnsaid: number;
  readonly twice: number;
  /** At the origin, and never sent. */
  readonly strangers: number;
  readonly dropped: number;
  /** Said to be given up, and no report is missing for it. */
  readonly overcounted: number;
  /** Given up though something older, or of less worth, was kept. */
  readonly againstPolicy: number;
}

const QUALITY = "session-quality";

export function judge(told: Told, arrived: readonly Arrived[], { atOnce, handedOut }: Slack): Verdict {
  const counts = new Map<string, number>();
  let dropped = 0;
  let againstPolicy = 0;
  for (const { kind, value } of arrived) {
    if (kind === QUALITY) counts.set(String(value["session"]), (counts.get(String(value["session"])) ?? 0) + 1);
    if (kind !== "reports-dropped") continue;
    for (const [of, count] of Object.entries(value)) {
      if (of === QUALITY) dropped += Number(count);
      else againstPolicy += Number(count);
    }
  }
  const known = new Set([...told.acknowledged, ...told.unanswered]);
  const missing = told.acknowledged.filter((session) => !counts.has(session)).length;
  const unansweredMissing = [...told.unanswered].filter((session) => !counts.has(session)).length;
  return {
    arrived: counts.size,
    lostUnsaid: Math.max(0, missing - dropped),
    twice: [...counts.values()].filter((count) => count > 1).length,
    strangers: [...counts.keys()].filter((session) => !known.has(session)).length,
    dropped,
    overcounted: Math.max(0, dropped - missing - unansweredMissing),
    againstPolicy: againstPolicy + givenUpOutOfTurn(told.acknowledged, counts, handedOut + 2 * atOnce),
  };
}

/** Of one rank the oldest goes: whatever is missing has no more kept before it than there may be. */
function givenUpOutOfTurn(acknowledged: readonly string[], counts: ReadonlyMap<string, number>, keptMax: number) {
  let [kept, outOfTurn] = [0, 0];
  for (const session of acknowledged) {
    if (counts.has(session)) kept += 1;
    else if (kept > keptMax) outOfTurn += 1;
  }
  return outOfTurn;
}
