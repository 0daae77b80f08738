/** Distributes the log per pool: each row is parsed once for all pools, each batch encoded and signed once for all nodes of one. */
import { encodePoolBatch } from "#contracts/codec/pool-batch.ts";
import {
  isOfHistory,
  POOL_BATCH_CONTEXT,
  type PoolBatch,
  rollsOut,
  timelinesOf,
  type Watermark,
} from "#domain/desired-state.ts";
import { isFailure } from "#domain/failure.ts";
import { type SigningKey, signBytes } from "#platform/identity/signatures.ts";
import type { EpochProof } from "../keys/epoch-proof.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { HeldBack, type LetOut } from "./held-back.ts";
import { type Everything, keyOf, type ParsedRow, type Past, PoolSet, parseRow } from "./pool-set.ts";

/** A node further behind than this gets a snapshot. */
export const CATCH_UP_ROWS_MAX = 2000;
/** Rows read from the log at once. */
const ADVANCE_ROWS = 1000;
/** A pool's newest batches, for nodes that were away shortly: what all of them lack is signed already. */
export const RECENT_BATCHES_MAX = 64;
const RECENT_BYTES_MAX = 256 * 1024;

export interface Envelope {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly keyId: string;
}

export interface Subscriber {
  push(envelope: Envelope): void;
}

/** A batch that was sent, and what the node it continues holds. */
interface Recent {
  readonly from: number;
  readonly setDigest: string;
  readonly envelope: Envelope;
}

interface Channel {
  set: PoolSet;
  readonly subscribers: Set<Subscriber>;
  /** In order; each continues the one before. */
  recent: Recent[];
  /** Of the set's revision; made when first asked for. */
  snapshot: readonly Envelope[] | undefined;
  /** What was made last for one who was away longer: its siblings mostly lack the same. */
  catchUp: { readonly key: string; readonly envelopes: readonly Envelope[] } | undefined;
}

export class Distribution {
  readonly #log: ResourceLog;
  readonly #streamKey: SigningKey;
  /** All live resources at the revision. */
  readonly #rows = new Map<string, ParsedRow>();
  #revision = 0;
  readonly #heldBack: HeldBack;
  readonly #epochProof: () => EpochProof | undefined;
  /** One for each pool that a node of it has connected from since the start. */
  readonly #channels = new Map<string, Channel>();

  /** `epochProof` mints the log's epoch, where that is not the first. */
  constructor(log: ResourceLog, streamKey: SigningKey, epochProof: () => EpochProof | undefined = () => undefined) {
    this.#log = log;
    this.#streamKey = streamKey;
    const { revision, rows } = log.list();
    for (const row of rows) this.#rows.set(keyOf(row), parseRow(row));
    this.#revision = revision;
    this.#heldBack = new HeldBack(log, this.#rows, revision);
    this.#epochProof = epochProof;
  }

  get revision(): number {
    return this.#revision;
  }

  /** All live resources at the revision, by `Kind/name`. */
  get rows(): ReadonlyMap<string, ParsedRow> {
    return this.#rows;
  }

  get heldBack(): HeldBack {
    return this.#heldBack;
  }

  /** Follows the log until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    for await (const event of this.#log.watch(this.#log.revision(), signal)) {
      if (event.kind === "bookmark") this.advance();
    }
  }

  /** Brings every pool to the log's newest revision; what `run` does, and what precedes a compaction. */
  advance(): void {
    for (;;) {
      const rows = this.#log.changesAfter(this.#revision, ADVANCE_ROWS).map(parseRow);
      if (rows.length === 0) return;
      for (const some of endingWithMoves(rows)) this.#take(some);
    }
  }

  /** What the subscriber lacks is pushed before this returns, everything later as it comes. */
  subscribe(pool: string, watermark: Watermark | undefined, subscriber: Subscriber): Disposable {
    const channel = this.#channelOf(pool);
    for (const envelope of this.#catchUp(channel, watermark)) subscriber.push(envelope);
    channel.subscribers.add(subscriber);
    return { [Symbol.dispose]: () => void channel.subscribers.delete(subscriber) };
  }

  /** Whether a node holds what this log has never been at: it is an older state of the log that the node knows. */
  isBehind({ epoch, revision, timeline }: Watermark): boolean {
    if (epoch !== this.#log.epoch) return epoch > this.#log.epoch;
    return (
      revision > this.#log.revision() ||
      !isOfHistory({ revision, ...(timeline && { timeline }) }, this.#log.timelines())
    );
  }

  /** For a node whose copy did not fit. */
  pushSnapshot(pool: string, subscriber: Subscriber): void {
    for (const envelope of this.#snapshotOf(this.#channelOf(pool))) subscriber.push(envelope);
  }

  #channelOf(pool: string): Channel {
    this.advance();
    const known = this.#channels.get(pool);
    if (known !== undefined) return known;
    const set = new PoolSet(pool, this.#everythingOf(pool));
    const channel: Channel = { set, subscribers: new Set(), recent: [], snapshot: undefined, catchUp: undefined };
    this.#channels.set(pool, channel);
    return channel;
  }

  #everythingOf(pool: string): Everything {
    const rows = this.#heldBack.viewOf(pool, this.#rows);
    return { epoch: this.#log.epoch, revision: this.#revision, rows };
  }

  /** The last row may be one by which waves of the roll-out move on. */
  #take(rows: readonly ParsedRow[]): void {
    const last = rows.at(-1);
    if (last === undefined) return;
    for (const row of rows) {
      const key = keyOf(row);
      this.#heldBack.take(row, this.#rows.get(key));
      if (row.resource === undefined) this.#rows.delete(key);
      else this.#rows.set(key, row);
    }
    this.#revision = last.revision;
    const visibleTo = new Map([...this.#channels.keys()].map((pool) => [pool, this.#heldBack.visible(pool, rows)]));
    const letOut: LetOut = last.kind === "Rollout" ? this.#heldBack.move(last, this.#rows) : () => undefined;
    for (const [pool, channel] of this.#channels) {
      this.#advance(channel, visibleTo.get(pool) ?? rows, last.revision, letOut(pool));
    }
  }

  #advance(channel: Channel, rows: readonly ParsedRow[], to: number, letOut: readonly ParsedRow[] | undefined): void {
    const { set } = channel;
    if (set.hasOtherParent(rows)) {
      this.#renew(channel);
      return;
    }
    let { revision: from, setDigest } = set;
    for (const batch of set.advance(rows, to, letOut)) {
      const envelope = this.#sign(batch);
      channel.recent.push({ from, setDigest, envelope });
      ({ to: from, setDigest } = batch);
      channel.snapshot = undefined;
      channel.catchUp = undefined;
      for (const subscriber of [...channel.subscribers]) subscriber.push(envelope);
    }
    channel.recent = newest(channel.recent);
  }

  /** Everybody gets the whole: a pool gets another parent seldom. */
  #renew(channel: Channel): void {
    channel.set = new PoolSet(channel.set.pool, this.#everythingOf(channel.set.pool));
    channel.recent = [];
    channel.snapshot = undefined;
    channel.catchUp = undefined;
    for (const subscriber of [...channel.subscribers]) {
      for (const envelope of this.#snapshotOf(channel)) subscriber.push(envelope);
    }
  }

  #catchUp(channel: Channel, watermark: Watermark | undefined): readonly Envelope[] {
    const { set, recent } = channel;
    if (watermark === undefined || watermark.epoch !== this.#log.epoch || watermark.revision > set.revision) {
      return this.#snapshotOf(channel);
    }
    // It says by its timelines why it is to be refused.
    if (this.isBehind(watermark)) {
      return this.#snapshotOf(channel);
    }
    const { revision, setDigest } = watermark;
    if (revision === set.revision) return setDigest === set.setDigest ? [] : this.#snapshotOf(channel);
    const at = recent.findIndex((batch) => batch.from === revision && batch.setDigest === setDigest);
    if (at >= 0) return recent.slice(at).map(({ envelope }) => envelope);
    const key = `${revision}/${setDigest}`;
    if (channel.catchUp?.key !== key) {
      channel.catchUp = { key, envelopes: this.#changesSince(watermark, set) ?? this.#snapshotOf(channel) };
    }
    return channel.catchUp.envelopes;
  }

  /** `undefined` where the past is compacted, too long ago, or not what the node holds. */
  #changesSince(watermark: Watermark, set: PoolSet): readonly Envelope[] | undefined {
    try {
      const past = this.#pastOf(set.pool, watermark.revision);
      return past && set.changesSince(watermark, past)?.map((batch) => this.#sign(batch));
    } catch (error) {
      if (isFailure(error, "revision-compacted")) return undefined;
      throw error;
    }
  }

  /** Of a pool at a revision; `undefined` where too much has changed since. */
  #pastOf(pool: string, revision: number): Past | undefined {
    const then = this.#heldBack.positionAt(pool, revision) ?? revision;
    const now = this.#heldBack.position(pool) ?? this.#revision;
    const rows = this.#changesSinceRevision(revision);
    const ordered = then === revision ? rows : this.#changesSinceRevision(then);
    if (rows === undefined || ordered === undefined) return undefined;
    const atOnce = this.#changed(
      rows.filter(({ kind }) => !rollsOut(kind)),
      revision,
    );
    const inOrder = this.#changed(
      ordered.filter((row) => rollsOut(row.kind) && row.revision <= now),
      then,
    );
    return new Map([...atOnce, ...inOrder]);
  }

  #changesSinceRevision(revision: number): readonly ParsedRow[] | undefined {
    const rows = this.#log.changesAfter(revision, CATCH_UP_ROWS_MAX + 1);
    return rows.length > CATCH_UP_ROWS_MAX ? undefined : rows.map(parseRow);
  }

  #changed(rows: readonly ParsedRow[], revision: number): Past {
    const past = new Map<string, { before: ParsedRow | undefined; now: ParsedRow }>();
    for (const now of rows) {
      const key = keyOf(now);
      const known = past.get(key);
      const before = known === undefined ? this.#log.findAt(now.kind, now.name, revision) : undefined;
      past.set(key, { before: known === undefined ? before && parseRow(before) : known.before, now });
    }
    return past;
  }

  #snapshotOf(channel: Channel): readonly Envelope[] {
    channel.snapshot ??= channel.set.snapshot().map((batch) => this.#sign(batch));
    return channel.snapshot;
  }

  #sign(batch: PoolBatch): Envelope {
    const proof = batch.snapshot ? this.#epochProof() : undefined;
    const told = { ...batch, timelines: timelinesOf(batch, this.#log.timelines()) };
    const payload = encodePoolBatch(proof === undefined ? told : { ...told, ...minted(proof) });
    const signature = signBytes(POOL_BATCH_CONTEXT, payload, this.#streamKey);
    return { payload, signature, keyId: this.#streamKey.keyId };
  }
}

function minted({ signature, crossCertificate }: EpochProof): Pick<PoolBatch, "epochProof" | "epochAuthority"> {
  return { epochProof: signature, ...(crossCertificate && { epochAuthority: crossCertificate }) };
}

/** Cut after each row that moves the roll-out. */
function endingWithMoves(rows: readonly ParsedRow[]): readonly (readonly ParsedRow[])[] {
  const cuts = rows.flatMap(({ kind }, index) => (kind === "Rollout" ? [index + 1] : []));
  return [0, ...cuts].map((start, index) => rows.slice(start, cuts[index]));
}

function newest(recent: readonly Recent[]): Recent[] {
  let bytes = 0;
  const first = recent.findLastIndex(({ envelope }, index) => {
    bytes += envelope.payload.byteLength;
    return bytes > RECENT_BYTES_MAX || recent.length - index > RECENT_BATCHES_MAX;
  });
  return recent.slice(first + 1);
}
