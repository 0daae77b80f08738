/** This process's copy of a log in etcd: loaded whole, then kept in step by a watch that misses nothing. */
import type { Event, KeyValue, WatchResponse } from "#contracts/generated/etcdserverpb/etcd_pb.js";
import {
  Event_EventType as EventType,
  Compare_CompareTarget as Target,
} from "#contracts/generated/etcdserverpb/etcd_pb.js";
import { FIRST_EPOCH, type Timeline } from "#domain/desired-state.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { backoffMs, type RetryPolicy } from "#platform/concurrency/retry.ts";
import type { Random } from "#platform/random.ts";
import type { Kept, LogRow } from "../resource-log.ts";
import { type LogReplica, type LogState, openLogReplica } from "../sqlite-log.ts";
import type { EtcdClient } from "./etcd-client.ts";
import {
  type Batch,
  decodeBatch,
  decodeHead,
  decodeKept,
  decodeTimelines,
  encodeHead,
  type Head,
  type Layout,
} from "./layout.ts";

/** Keys read at once when a log is loaded. */
const LOAD_PAGE_KEYS = 100;
const LOAD_MS_MAX = 60_000;
const WATCH_AGAIN: RetryPolicy = { attemptsMax: Number.POSITIVE_INFINITY, baseMs: 50, capMs: 1_000 };

export interface EtcdLogEvents {
  /** Reads go on from what is held; writes wait, and fail. Told each time that a member fails. */
  logWatchFailed(error: Failure): void;
}

export interface EtcdLogParts {
  readonly client: EtcdClient;
  readonly layout: Layout;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: EtcdLogEvents;
}

/** A batch as it lies in etcd. */
export interface StoredBatch {
  readonly id: string;
  readonly modRevision: bigint;
  readonly revisions: readonly number[];
}

/** What one transaction changed. */
export interface Change {
  /** etcd's, of the transaction. */
  readonly modRevision: bigint;
  readonly head?: Head;
  /** By first revision; without rows: it is gone. */
  readonly batches: ReadonlyMap<number, Batch | undefined>;
  readonly kept: readonly Kept[];
  readonly timelines?: readonly Timeline[];
}

const NO_HEAD: Head = { epoch: 0, revision: 0, compacted: 0, held: [] };

interface Loaded extends LogState {
  readonly head: Head;
  readonly headModRevision: bigint;
  readonly batches: Map<number, StoredBatch>;
  readonly timelines: readonly Timeline[];
  /** etcd's, that all this was read at. */
  readonly readAt: bigint;
}

export class EtcdReplica implements Disposable {
  readonly log: LogReplica;
  readonly #parts: EtcdLogParts;
  #head: Head;
  #headModRevision: bigint;
  #batches: Map<number, StoredBatch>;
  #timelines: readonly Timeline[];
  /** All of etcd's before this have been seen. */
  #watchFrom: bigint;
  #parted: Event[] = [];
  readonly #waiting = new Set<() => void>();

  static async load(parts: EtcdLogParts, signal: AbortSignal): Promise<EtcdReplica> {
    return new EtcdReplica(parts, await loadLog(parts, signal));
  }

  private constructor(parts: EtcdLogParts, loaded: Loaded) {
    this.#parts = parts;
    this.log = openLogReplica(loaded);
    this.#head = loaded.head;
    this.#headModRevision = loaded.headModRevision;
    this.#batches = loaded.batches;
    this.#timelines = loaded.timelines;
    this.#watchFrom = loaded.readAt + 1n;
  }

  get head(): Head {
    return this.#head;
  }

  get headModRevision(): bigint {
    return this.#headModRevision;
  }

  get timelines(): readonly Timeline[] {
    return this.#timelines;
  }

  /** By first revision. */
  get batches(): ReadonlyMap<number, StoredBatch> {
    return this.#batches;
  }

  /** Until the signal is aborted. Throws what no later try mends: another epoch, a log that went back, no permission. */
  async follow(signal: AbortSignal): Promise<void> {
    const { clock, random, events } = this.#parts;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        for await (const response of this.#watch(signal)) {
          this.#take(response);
          attempt = 1;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!isFailure(error)) throw error;
        if (error.code === "revision-compacted") await this.#loadAgain(signal);
        else if (!error.retryable) throw error;
        else events.logWatchFailed(error);
        await clock.sleep(backoffMs(WATCH_AGAIN, attempt, random), signal).catch(() => undefined);
      }
    }
  }

  /** Resolves when this holds all that etcd's majority held when it was asked. */
  async catchUp(signal: AbortSignal): Promise<void> {
    const { client, layout } = this.#parts;
    const { kvs } = await client.range({ key: layout.head }, signal);
    const newest = kvs[0]?.modRevision ?? 0n;
    while (this.#headModRevision < newest) {
      if (signal.aborted) {
        throw new Failure("unavailable", "etcd's watch does not follow its writes", { retryable: true });
      }
      await this.#changed(signal);
    }
  }

  /** What is older than what is held changes nothing: a transaction is told by who made it, and by the watch. */
  apply({ modRevision, head, batches, kept, timelines }: Change): void {
    for (const [first, batch] of batches) this.#index(first, modRevision, batch);
    if (head === undefined || modRevision <= this.#headModRevision) return;
    this.#checkGoesOn(head);
    const held = this.#head.revision;
    const rows = [...batches.values()].flatMap((batch) => batch?.rows ?? []);
    this.#head = head;
    this.#headModRevision = modRevision;
    // Written with the head that begins the newest.
    this.#timelines = timelines ?? this.#timelines;
    this.log.append(
      rows.filter(({ revision }) => revision > held),
      kept,
    );
    if (head.compacted > this.log.compactedRevision()) this.log.compact(head.compacted, head.held);
    for (const wake of [...this.#waiting]) wake();
  }

  [Symbol.dispose](): void {
    this.log[Symbol.dispose]();
  }

  #index(first: number, modRevision: bigint, batch: Batch | undefined): void {
    if ((this.#batches.get(first)?.modRevision ?? 0n) >= modRevision) return;
    if (batch === undefined) this.#batches.delete(first);
    else this.#batches.set(first, { id: batch.id, modRevision, revisions: revisionsOf(batch.rows) });
  }

  #watch(signal: AbortSignal): AsyncIterable<WatchResponse> {
    const { client, layout } = this.#parts;
    // What a watch that broke off left of a response comes again.
    this.#parted = [];
    const request = { ...layout.range, startRevision: this.#watchFrom, progressNotify: true, fragment: true };
    return client.watch(request, signal);
  }

  #take({ created, header, events, fragment }: WatchResponse): void {
    if (created) return;
    this.#parted.push(...events);
    if (fragment) return;
    const all = this.#parted;
    this.#parted = [];
    const byTransaction = Map.groupBy(all, ({ kv }) => kv?.modRevision ?? 0n);
    for (const [modRevision, together] of byTransaction) this.apply(this.#changeOf(modRevision, together));
    const newest = all.at(-1)?.kv?.modRevision ?? header?.revision ?? 0n;
    if (newest >= this.#watchFrom) this.#watchFrom = newest + 1n;
  }

  #changeOf(modRevision: bigint, events: readonly Event[]): Change {
    let head: Head | undefined;
    const batches = new Map<number, Batch | undefined>();
    const kept: Kept[] = [];
    let timelines: readonly Timeline[] | undefined;
    for (const { type, kv } of events) {
      if (kv === undefined) continue;
      const isGone = type === EventType.DELETE;
      const entry = this.#parts.layout.entryOf(kv.key);
      if (entry.kind === "batch") batches.set(entry.first, isGone ? undefined : decodeBatch(kv.value));
      else if (entry.kind === "head") head = isGone ? NO_HEAD : decodeHead(kv.value);
      else if (entry.kind === "kept" && !isGone) kept.push(decodeKept(entry.name, kv.value));
      else if (entry.kind === "timelines" && !isGone) timelines = decodeTimelines(kv.value);
    }
    return { modRevision, ...(head && { head }), batches, kept, ...(timelines && { timelines }) };
  }

  /** etcd has forgotten what was to be watched: everything anew. */
  async #loadAgain(signal: AbortSignal): Promise<void> {
    let loaded: Loaded;
    try {
      loaded = await loadLog(this.#parts, signal);
    } catch (error) {
      if (!isFailure(error, "unavailable")) throw error;
      this.#parts.events.logWatchFailed(error);
      return;
    }
    this.#watchFrom = loaded.readAt + 1n;
    this.#batches = loaded.batches;
    if (loaded.headModRevision <= this.#headModRevision) return;
    this.#checkGoesOn(loaded.head);
    this.#head = loaded.head;
    this.#headModRevision = loaded.headModRevision;
    this.#timelines = loaded.timelines;
    this.log.replace(loaded);
    for (const wake of [...this.#waiting]) wake();
  }

  /** What runs took the log for one that only grows. */
  #checkGoesOn({ epoch, revision }: Head): void {
    const held = this.#head;
    if (epoch === held.epoch && revision >= held.revision) return;
    throw new Failure(
      "storage-failed",
      `the log in etcd was at epoch ${held.epoch}, revision ${held.revision} and is now at epoch ${epoch}, revision ${revision}: another log is in its place; start the origin again`,
    );
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}

function revisionsOf(rows: readonly LogRow[]): readonly number[] {
  return rows.map(({ revision }) => revision);
}

/** Begins the log where there is none. */
export async function loadLog(
  parts: Pick<EtcdLogParts, "client" | "layout" | "clock">,
  signal: AbortSignal,
): Promise<Loaded> {
  const { client, layout, clock } = parts;
  const loading = clock.deadline(LOAD_MS_MAX, signal);
  await begin(client, layout, loading);
  const { kvs, readAt } = await readAll(client, layout, loading);
  const batches = new Map<number, StoredBatch>();
  const [rows, kept]: [LogRow[], Kept[]] = [[], []];
  let head: Head | undefined;
  let headModRevision = 0n;
  let timelines: readonly Timeline[] = [];
  for (const { key, value, modRevision } of kvs) {
    const entry = layout.entryOf(key);
    if (entry.kind === "kept") kept.push(decodeKept(entry.name, value));
    if (entry.kind === "timelines") timelines = decodeTimelines(value);
    if (entry.kind === "head") [head, headModRevision] = [decodeHead(value), modRevision];
    if (entry.kind !== "batch") continue;
    const batch = decodeBatch(value);
    rows.push(...batch.rows);
    batches.set(entry.first, { id: batch.id, modRevision, revisions: revisionsOf(batch.rows) });
  }
  if (head === undefined) throw new Failure("storage-failed", `etcd has no ${layout.head} any more: the log is gone`);
  const { epoch, compacted, held } = head;
  return { head, headModRevision, batches, timelines, readAt, epoch, compacted, held, rows, kept };
}

/** Only where there is none. */
async function begin(client: EtcdClient, layout: Layout, signal: AbortSignal): Promise<void> {
  const value = encodeHead({ epoch: FIRST_EPOCH, revision: 0, compacted: 0, held: [] });
  await client.txn(
    {
      compare: [{ target: Target.CREATE, key: layout.head, targetUnion: { case: "createRevision", value: 0n } }],
      success: [{ request: { case: "requestPut", value: { key: layout.head, value } } }],
    },
    signal,
  );
}

/** Page by page, all at one revision. */
async function readAll(
  client: EtcdClient,
  layout: Layout,
  signal: AbortSignal,
): Promise<{ readonly kvs: readonly KeyValue[]; readonly readAt: bigint }> {
  const { rangeEnd } = layout.range;
  let { key } = layout.range;
  const kvs: KeyValue[] = [];
  for (let revision = 0n; ; ) {
    const page = await client.range({ key, rangeEnd, limit: BigInt(LOAD_PAGE_KEYS), revision }, signal);
    kvs.push(...page.kvs);
    if (revision === 0n) revision = page.header?.revision ?? 0n;
    const last = page.kvs.at(-1);
    if (!page.more || last === undefined) return { kvs, readAt: revision };
    key = Buffer.concat([last.key, Buffer.from([0])]);
  }
}
