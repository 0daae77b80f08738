/** Judges what arrived at the origin by what the clients were told: once each, or given up by the policy and counted. Pure. */

/** What clients know of their reports, by session: one report each. */
export interface Told {
  /** With which life of the edge each was acknowledged in: in one, the order of keeping is not that of the answers. */
  readonly acknowledged: readonly { readonly session: string; readonly life: number }[];
  /** Sent, and cut short: kept or not. */
  readonly unanswered: ReadonlySet<string>;
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
  /** Given up though something of an earlier life, or of less worth, was kept. */
  readonly againstPolicy: number;
}

const QUALITY = "session-quality";

export function judge(told: Told, arrived: readonly Arrived[]): Verdict {
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
  const known = new Set([...told.acknowledged.map(({ session }) => session), ...told.unanswered]);
  const lacking = told.acknowledged.filter(({ session }) => !counts.has(session));
  const missing = lacking.length;
  const unansweredMissing = [...told.unanswered].filter((session) => !counts.has(session)).length;
  const firstKept = told.acknowledged.find(({ session }) => counts.has(session))?.life ?? Number.POSITIVE_INFINITY;
  return {
    arrived: counts.size,
    lostUnsaid: Math.max(0, missing - dropped),
    twice: [...counts.values()].filter((count) => count > 1).length,
    strangers: [...counts.keys()].filter((session) => !known.has(session)).length,
    dropped,
    overcounted: Math.max(0, dropped - missing - unansweredMissing),
    againstPolicy: againstPolicy + lacking.filter(({ life }) => life > firstKept).length,
  };
}
