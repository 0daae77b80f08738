/** Decisions on disk for a day: every one of a session, and of content a sample. What they are of shares no bytes with one another. */
import { join } from "node:path";
import type { Clock } from "#platform/clock.ts";
import type { ContentDecisionRecord, EndedSession, SessionDecisionRecord } from "../explain/explain-store.ts";
import type { AskedSteering } from "./content-codec.ts";
import { AT_ID, ID_BYTES } from "./entries.ts";
import { bytesOfId, type LoggedPools } from "./segment-encoder.ts";
import { SegmentLog, type SegmentLogEvents } from "./segment-log.ts";
import type { FoundDecision } from "./segment-reader.ts";
import { isOfSession } from "./session-codec.ts";

/** Content is steered a thousand times as often: however many are sampled, sessions keep their part. */
const SESSIONS_SHARE = 0.75;
/** The log's folders. */
export const LOG_KINDS = ["sessions", "steering"] as const;
const SAMPLED_BYTES = 4;

export interface DecisionLogOptions {
  readonly folder: string;
  readonly bytesMax: number;
  /** Of decisions on content. */
  readonly steeringRatio: number;
  readonly pools: LoggedPools;
  readonly clock: Clock;
  readonly events: SegmentLogEvents;
}

export class DecisionLog implements AsyncDisposable {
  readonly #sessions: SegmentLog;
  readonly #steering: SegmentLog;
  readonly #steeringRatio: number;

  private constructor(sessions: SegmentLog, steering: SegmentLog, steeringRatio: number) {
    this.#sessions = sessions;
    this.#steering = steering;
    this.#steeringRatio = steeringRatio;
  }

  /** Throws `disk-full` or `storage-failed` where its folder cannot be made or read. */
  static async open({ folder, bytesMax, steeringRatio, ...tools }: DecisionLogOptions): Promise<DecisionLog> {
    const sessionsBytesMax = Math.floor(SESSIONS_SHARE * bytesMax);
    const events = partEvents(tools.events);
    const [sessions, steering] = LOG_KINDS;
    return new DecisionLog(
      await SegmentLog.open({ ...tools, ...events(), folder: join(folder, sessions), bytesMax: sessionsBytesMax }),
      await SegmentLog.open({
        ...tools,
        ...events(),
        folder: join(folder, steering),
        bytesMax: bytesMax - sessionsBytesMax,
      }),
      steeringRatio,
    );
  }

  appendSession(record: SessionDecisionRecord): void {
    this.#sessions.append(record);
  }

  appendEnded(ended: EndedSession): void {
    this.#sessions.append({ kind: "ended", ...ended });
  }

  /** Kept where its id is of the sample. */
  appendContent(record: ContentDecisionRecord, asked: AskedSteering): void {
    if (isSampled(record.id, this.#steeringRatio)) this.#steering.append({ kind: "content", record, asked });
  }

  async find(decision: string): Promise<FoundDecision | undefined> {
    const id = bytesOfId(decision);
    if (id === undefined) return undefined;
    const isIt = (bytes: Buffer, { offset }: { readonly offset: number }): boolean =>
      bytes.compare(id, 0, ID_BYTES, offset + AT_ID, offset + AT_ID + ID_BYTES) === 0;
    return (await this.#sessions.find(isIt)) ?? (await this.#steering.find(isIt));
  }

  /** The last decision on a session. */
  findSession(session: string): Promise<FoundDecision | undefined> {
    const name = Buffer.from(session);
    return this.#sessions.find((bytes, entry) => isOfSession(bytes, entry, name));
  }

  async flush(): Promise<void> {
    await this.#sessions.flush();
    await this.#steering.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sessions[Symbol.asyncDispose]();
    await this.#steering[Symbol.asyncDispose]();
  }
}

/** The same answer for the same decision, wherever it is asked: ids are drawn evenly. */
export function isSampled(decision: string, ratio: number): boolean {
  const drawn = bytesOfId(decision)?.readUIntBE(0, SAMPLED_BYTES);
  return drawn !== undefined && drawn < ratio * 256 ** SAMPLED_BYTES;
}

/** Each part tells its own size; what is told of is the sum. */
function partEvents(events: SegmentLogEvents): () => { readonly events: SegmentLogEvents } {
  const sizes: number[] = [];
  return () => {
    const part = sizes.push(0) - 1;
    const sized = (bytes: number): void => {
      sizes[part] = bytes;
      events.sized(sizes.reduce((sum, size) => sum + size, 0));
    };
    return { events: { ...events, sized } };
  };
}
