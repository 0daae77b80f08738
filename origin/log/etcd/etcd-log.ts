/**
 * The revisioned log on etcd: a write is one transaction that goes through only where the log's head is as the writer
 * saw it; reads are of a copy in memory.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RequestOpSchema, TxnResponse } from "#contracts/generated/etcdserverpb/etcd_pb.js";
import { type CompareSchema, Compare_CompareTarget as Target } from "#contracts/generated/etcdserverpb/etcd_pb.js";
import { assert } from "#domain/assert.ts";
import type { Timeline } from "#domain/desired-state.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Kind } from "#domain/resource.ts";
import { planRows } from "../plan-rows.ts";
import {
  type Kept,
  type LogList,
  type LogRow,
  type ResourceLog,
  type WatchEvent,
  type Write,
  withTimeline,
} from "../resource-log.ts";
import { openLogReplica } from "../sqlite-log.ts";
import { EtcdClient, type EtcdClientOptions } from "./etcd-client.ts";
import { type EtcdLogEvents, type EtcdLogParts, EtcdReplica, loadLog, type StoredBatch } from "./etcd-replica.ts";
import {
  type Batch,
  decodeBatch,
  encodeBatch,
  encodeHead,
  encodeKept,
  encodeTimelines,
  type Head,
  Layout,
} from "./layout.ts";

/** Connecting and asking for the version, the members tried in turn. */
const OPEN_MS_MAX = 10_000;
/** An election takes a second or two; who asked waits no longer for a cluster that has no majority. */
export const ETCD_WRITE_MS_MAX = 5_000;
/** They go one after another: beyond this the last one would wait for longer than it may. */
const WRITES_WAITING_MAX = 1_000;
/** Keys that one transaction of compaction changes; etcd takes 128 by default (`--max-txn-ops`). */
const SWEEP_KEYS = 100;
const SWEEP_MS_MAX = 60_000;

export interface EtcdLogOptions extends EtcdClientOptions {
  readonly prefix: string;
  readonly events: EtcdLogEvents;
  /** The log can no longer be followed: what runs on it has to end. */
  readonly onLost: (error: unknown) => void;
}

type Compare = MessageInitShape<typeof CompareSchema>;
type Operation = MessageInitShape<typeof RequestOpSchema>;

/** Throws `unavailable`, `config-invalid`, `permission-denied` or `storage-failed`. */
export async function openEtcdLog(options: EtcdLogOptions): Promise<ResourceLog> {
  using opening = new DisposableStack();
  const { clock, random, events, prefix } = options;
  const client = opening.use(new EtcdClient(options));
  const parts = { client, clock, random, events, layout: new Layout(prefix) };
  const stopping = new AbortController();
  await client.checkVersion(clock.deadline(OPEN_MS_MAX, stopping.signal));
  const replica = opening.use(await EtcdReplica.load(parts, stopping.signal));
  replica.follow(stopping.signal).catch(options.onLost);
  opening.defer(() => stopping.abort());
  return new EtcdLog(parts, replica, opening.move());
}

export interface EpochRaise {
  /** What it shall be, from what it is. */
  readonly epochOf: (current: number) => Promise<number>;
  /** Revisions that stay readable. */
  readonly heldIn: (log: ResourceLog) => readonly number[];
  readonly revisionsSkipped: number;
}

/** Of a log that no origin has open: revisions go on after as many that are left out. Gives the revision that it is at. */
export async function raiseEtcdEpoch(
  options: EtcdClientOptions & { readonly prefix: string },
  { epochOf, heldIn, revisionsSkipped }: EpochRaise,
): Promise<{ readonly epoch: number; readonly revision: number }> {
  using client = new EtcdClient(options);
  const layout = new Layout(options.prefix);
  const signal = options.clock.deadline(OPEN_MS_MAX);
  await client.checkVersion(signal);
  if ((await client.range({ key: layout.head }, signal)).kvs.length === 0)
    throw new Failure("config-invalid", `etcd has no log under ${layout.prefix}: restore it first`);
  const loaded = await loadLog({ client, layout, clock: options.clock }, signal);
  using log = openLogReplica(loaded);
  const epoch = await epochOf(log.epoch);
  assert(epoch > log.epoch, "an epoch only grows");
  const revision = loaded.head.revision + revisionsSkipped;
  const value = encodeHead({ epoch, revision, compacted: revision, held: heldIn(log) });
  const { succeeded } = await client.txn(
    {
      compare: [isAt(layout.head, loaded.headModRevision)],
      success: [{ request: { case: "requestPut", value: { key: layout.head, value } } }],
    },
    options.clock.deadline(OPEN_MS_MAX),
  );
  if (!succeeded) throw new Failure("resource-conflict", "the log changed meanwhile: stop every origin, then repeat");
  return { epoch, revision };
}

class EtcdLog implements ResourceLog {
  readonly #parts: EtcdLogParts;
  readonly #replica: EtcdReplica;
  readonly #open: DisposableStack;
  /** Of the first write to come: a start that writes nothing begins none. */
  #timelineToBegin: string | undefined;
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  /** etcd's revision of the last compaction: by the next one, whoever watches has seen it. */
  #compactedAt = 0n;

  constructor(parts: EtcdLogParts, replica: EtcdReplica, open: DisposableStack) {
    this.#parts = parts;
    this.#replica = replica;
    this.#open = open;
    this.#timelineToBegin = parts.random.uuid();
  }

  get epoch(): number {
    return this.#replica.log.epoch;
  }

  revision(): number {
    return this.#replica.log.revision();
  }

  compactedRevision(): number {
    return this.#replica.log.compactedRevision();
  }

  find(kind: Kind, name: string): LogRow | undefined {
    return this.#replica.log.find(kind, name);
  }

  findAt(kind: Kind, name: string, revision: number): LogRow | undefined {
    return this.#replica.log.findAt(kind, name, revision);
  }

  list(options: { readonly kind?: Kind; readonly at?: number } = {}): LogList {
    return this.#replica.log.list(options);
  }

  timelines(): readonly Timeline[] {
    return this.#replica.timelines;
  }

  kept(name: string): number {
    return this.#replica.log.kept(name);
  }

  changesAfter(revision: number, rowsMax: number): readonly LogRow[] {
    return this.#replica.log.changesAfter(revision, rowsMax);
  }

  watch(from: number, signal: AbortSignal): AsyncIterable<WatchEvent> {
    return this.#replica.log.watch(from, signal);
  }

  write(writes: readonly Write[], keep?: Kept): Promise<readonly LogRow[]> {
    const signal = this.#parts.clock.deadline(ETCD_WRITE_MS_MAX);
    return this.#inTurn(signal, () => this.#write(writes, keep, signal));
  }

  /** The log is kept from the oldest held revision on; where a restore held older ones, until they are let go. */
  async compact(newest: number, held: readonly number[] = []): Promise<void> {
    assert(newest <= this.revision(), "compaction never passes the newest revision");
    const revision = Math.min(newest, ...held);
    if (revision <= this.compactedRevision()) return;
    const signal = this.#parts.clock.deadline(SWEEP_MS_MAX);
    await this.#inTurn(signal, () => this.#raiseFloor(revision, signal));
    await this.#sweep(signal);
    if (this.#compactedAt > 0n) await this.#parts.client.compact(this.#compactedAt, signal);
    this.#compactedAt = this.#replica.headModRevision;
  }

  [Symbol.dispose](): void {
    this.#open.dispose();
  }

  /** One at a time: two at once would see the same head, and one of them go round again. */
  async #inTurn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= WRITES_WAITING_MAX)
      throw new Failure("overloaded", `${WRITES_WAITING_MAX} writes wait for etcd: repeat later`, { retryable: true });
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    this.#waiting += 1;
    try {
      await before;
      if (signal.aborted) throw new Failure("unavailable", "etcd is slow, nothing was written", { retryable: true });
      return await work();
    } finally {
      this.#waiting -= 1;
      resolve();
    }
  }

  async #write(writes: readonly Write[], keep: Kept | undefined, signal: AbortSignal): Promise<readonly LogRow[]> {
    const id = this.#parts.random.uuid();
    for (;;) {
      const rows = await this.#planned(writes, signal);
      const { head } = this.#replica;
      const next = { ...head, revision: head.revision + rows.length };
      const isWritten = await this.#commit(next, { id, rows }, keep, signal);
      if (isWritten) return rows;
      await this.#replica.catchUp(signal);
    }
  }

  /** What is refused here may be right by what another origin has written: looked at again with that. */
  async #planned(writes: readonly Write[], signal: AbortSignal): Promise<readonly LogRow[]> {
    try {
      return planRows(this.#replica.log, writes);
    } catch (error) {
      if (!isFailure(error)) throw error;
      await this.#replica.catchUp(signal);
      return planRows(this.#replica.log, writes);
    }
  }

  /** False where another write was first. */
  async #commit(head: Head, batch: Batch, keep: Kept | undefined, signal: AbortSignal): Promise<boolean> {
    const { client, layout } = this.#parts;
    const first = this.#replica.head.revision + 1;
    const puts: Operation[] = [put(layout.head, encodeHead(head))];
    if (batch.rows.length > 0) puts.push(put(layout.batch(first), encodeBatch(batch)));
    const timelines = this.#begun(batch);
    if (timelines !== undefined) puts.push(put(layout.timelines, encodeTimelines(timelines)));
    if (keep !== undefined) puts.push(put(layout.kept(keep.name), encodeKept(keep.value)));
    const answer = await client.txn(
      {
        compare: [isAt(layout.head, this.#replica.headModRevision)],
        success: puts,
        failure: [get(layout.batch(first))],
      },
      signal,
    );
    if (!answer.succeeded) return await this.#isWrittenBefore({ id: batch.id, first }, answer, signal);
    const batches = new Map(batch.rows.length > 0 ? [[first, batch]] : []);
    const kept = keep === undefined ? [] : [keep];
    this.#replica.apply({ modRevision: revisionOf(answer), head, batches, kept, ...(timelines && { timelines }) });
    if (timelines !== undefined) this.#timelineToBegin = undefined;
    return true;
  }

  /** Written with the first rows of this start. A write whose answer was lost may have begun it: then it is not the last. */
  #begun({ rows: [first] }: Batch): readonly Timeline[] | undefined {
    const id = this.#timelineToBegin;
    if (id === undefined || first === undefined) return undefined;
    const { timelines } = this.#replica;
    if (timelines.some((known) => known.id === id)) return undefined;
    return withTimeline(timelines, { id, after: first.revision - 1 });
  }

  /** A write whose answer was lost is sent again, and then finds itself in its way. */
  async #isWrittenBefore(
    { id, first }: { readonly id: string; readonly first: number },
    { responses }: TxnResponse,
    signal: AbortSignal,
  ): Promise<boolean> {
    const response = responses[0]?.response;
    const found = response?.case === "responseRange" ? response.value.kvs[0] : undefined;
    await this.#replica.catchUp(signal);
    if (found !== undefined) return decodeBatch(found.value).id === id;
    if (this.compactedRevision() < first) return false;
    const message = "what was written meanwhile is compacted already: whether this write was is unknown, read again";
    throw new Failure("unavailable", message, { retryable: true });
  }

  async #raiseFloor(compacted: number, signal: AbortSignal): Promise<void> {
    const { client, layout } = this.#parts;
    while (compacted > this.#replica.head.compacted) {
      const head = { ...this.#replica.head, compacted, held: [] };
      const request = {
        compare: [isAt(layout.head, this.#replica.headModRevision)],
        success: [put(layout.head, encodeHead(head))],
      };
      const answer = await client.txn(request, signal);
      if (answer.succeeded)
        this.#replica.apply({ modRevision: revisionOf(answer), head, batches: new Map(), kept: [] });
      else await this.#replica.catchUp(signal);
    }
  }

  /**
   * Takes out of etcd what is no longer held here. Oldest first: what a deletion superseded is gone before the deletion
   * is, however far this gets. A batch that another origin has swept meanwhile is left to that.
   */
  async #sweep(signal: AbortSignal): Promise<void> {
    const { client } = this.#parts;
    const stale = [...this.#replica.batches]
      .sort(([a], [b]) => a - b)
      .flatMap(([first, stored]) => this.#swept(first, stored));
    for (let at = 0; at < stale.length; at += SWEEP_KEYS) {
      const together = stale.slice(at, at + SWEEP_KEYS);
      const { succeeded } = await client.txn(
        { compare: together.map(({ compare }) => compare), success: together.map(({ operation }) => operation) },
        signal,
      );
      if (!succeeded) return;
    }
  }

  #swept(first: number, { id, modRevision, revisions }: StoredBatch) {
    const key = this.#parts.layout.batch(first);
    const rows = revisions.flatMap((revision) => this.#replica.log.rowAt(revision) ?? []);
    if (rows.length === revisions.length) return [];
    const operation = rows.length === 0 ? remove(key) : put(key, encodeBatch({ id, rows }));
    return [{ compare: isAt(key, modRevision), operation }];
  }
}

function isAt(key: Uint8Array, modRevision: bigint): Compare {
  return { target: Target.MOD, key, targetUnion: { case: "modRevision", value: modRevision } };
}

function put(key: Uint8Array, value: Uint8Array): Operation {
  return { request: { case: "requestPut", value: { key, value } } };
}

function get(key: Uint8Array): Operation {
  return { request: { case: "requestRange", value: { key } } };
}

function remove(key: Uint8Array): Operation {
  return { request: { case: "requestDeleteRange", value: { key } } };
}

function revisionOf({ header }: TxnResponse): bigint {
  assert(header !== undefined, "an answer of etcd has a header");
  return header.revision;
}
