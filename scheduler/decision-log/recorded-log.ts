/** Reads segments of logs of decisions for a day to be made of them: what is damaged is passed over and counted. */

import { RTT_SOURCES } from "#domain/placement/candidate.ts";
import { CORDONED, DecisionFrame, DRAINING, SOURCE_SHIFT } from "#domain/placement/decision-frame.ts";
import { decodeDecision } from "#domain/placement/decision-record.ts";
import { TIERS } from "#domain/policy/placement-policy.ts";
import { RecordedPools } from "#domain/simulation/recorded-pools.ts";
import { type RecordedFacts, type RecordedRtt, RecordedSessions } from "#domain/simulation/recorded-sessions.ts";
import type { SessionDecisionRecord } from "../explain/explain-store.ts";
import type { Entry } from "./entries.ts";
import { FAULTS_SHOWN_MAX, type LogFault } from "./replay-log.ts";
import { idOfEntry, readEnded, type SegmentNames, visitSegment } from "./segment-reader.ts";
import { readProgress, readSession } from "./session-codec.ts";

export class RecordedLog {
  readonly sessions: RecordedSessions;
  readonly pools = new RecordedPools();
  readonly #frame = new DecisionFrame();
  decisions = 0;
  /** Of another version, or no segment at all. */
  readonly unread: LogFault[] = [];
  faulty = 0;
  readonly faults: LogFault[] = [];
  torn = 0;

  constructor(sessions = new RecordedSessions()) {
    this.sessions = sessions;
  }

  /** Of a whole segment; `file` is what it is called in faults. */
  takeSegment(bytes: Buffer, file: string): void {
    const { faults, end, names } = visitSegment(bytes, (entry, named) => {
      if (entry.kind === "ended") this.sessions.ended(readEnded(bytes, entry), entry.atMs);
      else if (entry.kind === "session") this.#takeDecision(bytes, entry, named, file);
    });
    for (const [name, { pool, atMs }] of names.pools) this.pools.stated(name, atMs, pool);
    if (end.kind === "torn") this.torn += 1;
    if (end.kind === "corrupt" && end.offset === 0) {
      this.unread.push({ file, offset: 0, reason: end.reason });
      return;
    }
    for (const { offset, reason } of faults) this.#fault({ file, offset, reason });
  }

  #fault(fault: LogFault): void {
    this.faulty += 1;
    if (this.faults.length < FAULTS_SHOWN_MAX) this.faults.push(fault);
  }

  #takeDecision(bytes: Buffer, entry: Entry, names: SegmentNames, file: string): void {
    const { session, tier: word, because, outcome } = readProgress(bytes, entry, names.wordOf);
    const tier = TIERS.find((each) => each === word);
    if (tier === undefined) {
      this.#fault({ file, offset: entry.offset, reason: "it names what was damaged before it" });
      return;
    }
    this.decisions += 1;
    const pool = "pool" in outcome ? outcome.pool : undefined;
    this.sessions.decided({ session, atMs: entry.atMs, isNew: because === "new", pool }, () => {
      const id = idOfEntry(bytes, entry);
      const record = readSession(bytes, entry, { id, wordOf: names.wordOf });
      return { ...this.#factsOf(record, names.poolName), tier };
    });
  }

  #factsOf(record: SessionDecisionRecord, poolName: (id: number) => string): Omit<RecordedFacts, "tier"> {
    const { app, client: group, coordinates, asker, atMs } = record;
    const { network, ...who } = asker;
    const rtts = new Map<string, RecordedRtt>();
    const frame = this.#frame;
    for (const { renderClass, record: packed } of record.steps) {
      decodeDecision(new DataView(packed.buffer, packed.byteOffset, packed.byteLength), 0, frame);
      for (let at = 0; at < frame.count; at += 1) {
        const pool = poolName(frame.pools[at] ?? 0);
        const flags = frame.flags[at] ?? 0;
        const source = RTT_SOURCES[flags >> SOURCE_SHIFT] ?? "geography";
        rtts.set(pool, { rttMs: frame.rttMs[at] ?? 0, source });
        this.pools.seen({
          ...{ pool, renderClass, atMs, slots: frame.slotsTotal[at] ?? 0 },
          renderEncodeMsP95: frame.renderEncodeMs[at] ?? 0,
          ...{ cordoned: (flags & CORDONED) !== 0, draining: (flags & DRAINING) !== 0 },
        });
      }
    }
    const device = record.steps.length === 0 ? undefined : { decodeMs: frame.decodeMs, jitterMs: frame.jitterMs };
    // Of a network, its first address stands for all.
    const client = { ...who, address: network?.split("/", 1)[0] };
    return { app, group, client, coordinates, device, rtts };
  }
}
