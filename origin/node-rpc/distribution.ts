/** Distributes the log per pool: each batch is encoded and signed once for all nodes of the pool. */
import { encodePoolBatch } from "#contracts/codec/pool-batch.ts";
import { POOL_BATCH_CONTEXT, type PoolBatch, type Watermark } from "#domain/desired-state.ts";
import { isFailure } from "#domain/failure.ts";
import { type SigningKey, signBytes } from "#platform/identity/signatures.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { PoolSet } from "./pool-set.ts";

/** A node further behind than this gets a snapshot. */
const CATCH_UP_ROWS_MAX = 2000;
/** Rows read from the log at once. */
const ADVANCE_ROWS = 1000;

export interface Envelope {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly keyId: string;
}

export interface Subscriber {
  push(envelope: Envelope): void;
}

interface Channel {
  set: PoolSet;
  readonly subscribers: Set<Subscriber>;
  /** Of the set's revision; made when first asked for. */
  snapshot: readonly Envelope[] | undefined;
}

export class Distribution {
  readonly #log: ResourceLog;
  readonly #streamKey: SigningKey;
  /** One for each pool that a node of it has connected from since the start. */
  readonly #channels = new Map<string, Channel>();

  constructor(log: ResourceLog, streamKey: SigningKey) {
    this.#log = log;
    this.#streamKey = streamKey;
  }

  /** Follows the log until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    for await (const event of this.#log.watch(this.#log.revision(), signal)) {
      if (event.kind === "bookmark") this.advance();
    }
  }

  /** Brings every pool to the log's newest revision; what `run` does, and what precedes a compaction. */
  advance(): void {
    for (const channel of this.#channels.values()) this.#advance(channel);
  }

  /** What the subscriber lacks is pushed before this returns, everything later as it comes. */
  subscribe(pool: string, watermark: Watermark | undefined, subscriber: Subscriber): Disposable {
    const channel = this.#channelOf(pool);
    for (const envelope of this.#catchUp(channel, watermark)) subscriber.push(envelope);
    channel.subscribers.add(subscriber);
    return { [Symbol.dispose]: () => void channel.subscribers.delete(subscriber) };
  }

  /** For a node whose copy did not fit. */
  pushSnapshot(pool: string, subscriber: Subscriber): void {
    for (const envelope of this.#snapshotOf(this.#channelOf(pool))) subscriber.push(envelope);
  }

  #channelOf(pool: string): Channel {
    const known = this.#channels.get(pool);
    if (known !== undefined) {
      this.#advance(known);
      return known;
    }
    const set = new PoolSet(pool, this.#log.epoch, this.#log.list());
    const channel: Channel = { set, subscribers: new Set(), snapshot: undefined };
    this.#channels.set(pool, channel);
    return channel;
  }

  #advance(channel: Channel): void {
    const { set, subscribers } = channel;
    for (;;) {
      const rows = this.#log.changesAfter(set.revision, ADVANCE_ROWS);
      const to = rows.at(-1)?.revision;
      if (to === undefined) return;
      channel.snapshot = undefined;
      if (set.hasOtherParent(rows)) {
        this.#renew(channel);
        return;
      }
      for (const batch of set.advance(rows, to)) {
        const envelope = this.#sign(batch);
        for (const subscriber of [...subscribers]) subscriber.push(envelope);
      }
    }
  }

  /** Everybody gets the whole: a pool gets another parent seldom. */
  #renew(channel: Channel): void {
    channel.set = new PoolSet(channel.set.pool, this.#log.epoch, this.#log.list());
    for (const subscriber of [...channel.subscribers]) {
      for (const envelope of this.#snapshotOf(channel)) subscriber.push(envelope);
    }
  }

  #catchUp(channel: Channel, watermark: Watermark | undefined): readonly Envelope[] {
    const { set } = channel;
    if (watermark === undefined || watermark.epoch !== this.#log.epoch || watermark.revision > set.revision) {
      return this.#snapshotOf(channel);
    }
    if (watermark.revision === set.revision) {
      return watermark.setDigest === set.setDigest ? [] : this.#snapshotOf(channel);
    }
    return this.#changesSince(watermark, set) ?? this.#snapshotOf(channel);
  }

  /** `undefined` where the past is compacted, too long ago, or not what the node holds. */
  #changesSince(watermark: Watermark, set: PoolSet): readonly Envelope[] | undefined {
    try {
      const past = new PoolSet(set.pool, this.#log.epoch, this.#log.list({ at: watermark.revision }));
      if (past.setDigest !== watermark.setDigest) return undefined;
      const rows = this.#log.changesAfter(watermark.revision, CATCH_UP_ROWS_MAX + 1);
      if (rows.length > CATCH_UP_ROWS_MAX || past.hasOtherParent(rows)) return undefined;
      return past.advance(rows, set.revision).map((batch) => this.#sign(batch));
    } catch (error) {
      if (isFailure(error, "revision-compacted")) return undefined;
      throw error;
    }
  }

  #snapshotOf(channel: Channel): readonly Envelope[] {
    channel.snapshot ??= channel.set.snapshot().map((batch) => this.#sign(batch));
    return channel.snapshot;
  }

  #sign(batch: PoolBatch): Envelope {
    const payload = encodePoolBatch(batch);
    const signature = signBytes(POOL_BATCH_CONTEXT, payload, this.#streamKey);
    return { payload, signature, keyId: this.#streamKey.keyId };
  }
}
