/**
 * Decides again, by the core of this program, what a log of decisions was made from, and compares each answer with the
 * logged one, bit for bit.
 */
import { DecisionFrame, NOWHERE } from "#domain/placement/decision-frame.ts";
import { encodeDecision, RECORD_BYTES_MAX, replayDecision } from "#domain/placement/decision-record.ts";
import { decideSteering } from "../steering/content-decision.ts";
import { ByteReader } from "./bytes.ts";
import { replaysContent } from "./content-codec.ts";
import type { Entry } from "./entries.ts";
import { idOfEntry, type SegmentNames, visitSegment } from "./segment-reader.ts";
import { readOutcomeAfterSteps, readSteps } from "./session-codec.ts";

/** Named in the result; more are counted. */
export const MISMATCHES_SHOWN_MAX = 20;
export const FAULTS_SHOWN_MAX = 20;

export interface Mismatch {
  readonly decision: string;
  readonly file: string;
  readonly offset: number;
  /** What comes out otherwise. */
  readonly reason: string;
}

export interface LogFault {
  readonly file: string;
  readonly offset: number;
  readonly reason: string;
}

export class LogReplay {
  readonly #frame = new DecisionFrame();
  readonly #again = Buffer.alloc(RECORD_BYTES_MAX);
  readonly #view = new DataView(this.#again.buffer, this.#again.byteOffset, this.#again.byteLength);
  sessions = 0;
  contents = 0;
  /** Calls of the core: a session's decision is one for each render class that was tried. */
  steps = 0;
  bytes = 0;
  mismatched = 0;
  faulty = 0;
  /** Ends that were not written whole: of a scheduler that was killed, or that writes now. */
  torn = 0;
  readonly mismatches: Mismatch[] = [];
  readonly faults: LogFault[] = [];

  get decisions(): number {
    return this.sessions + this.contents;
  }

  /** Of a whole segment; `file` is what it is called in the result. */
  replaySegment(bytes: Buffer, file: string): void {
    this.bytes += bytes.byteLength;
    const { faults, end } = visitSegment(bytes, (entry, names) => {
      if (entry.kind === "ended") return;
      const reason =
        entry.kind === "content" ? this.#replayContent(bytes, entry) : this.#replaySession(bytes, entry, names);
      if (reason === undefined) return;
      this.mismatched += 1;
      if (this.mismatches.length >= MISMATCHES_SHOWN_MAX) return;
      this.mismatches.push({ decision: idOfEntry(bytes, entry), file, offset: entry.offset, reason });
    });
    if (end.kind === "torn") this.torn += 1;
    this.faulty += faults.length;
    this.faults.push(...faults.slice(0, FAULTS_SHOWN_MAX - this.faults.length).map((fault) => ({ file, ...fault })));
  }

  #replayContent(bytes: Buffer, entry: Entry): string | undefined {
    this.contents += 1;
    return replaysContent(bytes, entry, decideSteering) ? undefined : "edges are ranked or scored otherwise";
  }

  #replaySession(bytes: Buffer, entry: Entry, names: SegmentNames): string | undefined {
    this.sessions += 1;
    const reader = new ByteReader(bytes, entry.bodyAt, entry.bodyEnd);
    reader.text();
    const steps = readSteps(reader);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let best = Number.NaN;
    for (const [index, { recordAt, recordEnd }] of steps.entries()) {
      this.steps += 1;
      replayDecision(view, recordAt, this.#frame);
      const end = encodeDecision(this.#frame, this.#view, 0);
      if (end !== recordEnd - recordAt || this.#again.compare(bytes, recordAt, recordEnd, 0, end) !== 0) {
        return `step ${index + 1} of ${steps.length} comes out otherwise: ${this.#describe(names)}`;
      }
      if (!(this.#frame.bestAchievableMs >= best)) best = this.#frame.bestAchievableMs;
    }
    return steps.length === 0 ? undefined : this.#findOutcomeFault(reader, names, best);
  }

  /** Whether what the session was told is what the last step found. */
  #findOutcomeFault(reader: ByteReader, names: SegmentNames, best: number): string | undefined {
    const outcome = readOutcomeAfterSteps(reader, names.wordOf);
    const { chosenAt, pools, marginMs } = this.#frame;
    const chosen = chosenAt === NOWHERE ? undefined : names.poolName(pools[chosenAt] ?? 0);
    const told = "better" in outcome ? outcome.better : "marginMs" in outcome ? outcome.pool : undefined;
    const isSame = "marginMs" in outcome ? Object.is(outcome.marginMs ?? Number.NaN, marginMs) : true;
    if (told !== undefined) return told === chosen && isSame ? undefined : `the steps choose ${chosen ?? "no pool"}`;
    if (!("bestAchievableMs" in outcome) || outcome.bestAchievableMs === undefined) return undefined;
    const isBest = chosen === undefined && Object.is(outcome.bestAchievableMs, best);
    return isBest ? undefined : `the steps' best achievable is ${best} ms, and ${chosen ?? "no pool"} is chosen`;
  }

  #describe(names: SegmentNames): string {
    const { state, chosenAt, pools } = this.#frame;
    return chosenAt === NOWHERE ? state : `${state}, ${names.poolName(pools[chosenAt] ?? 0)}`;
  }
}
