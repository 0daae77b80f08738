/** Fifty edges of a pool on a virtual clock, on a machine where connections take seconds: what the origin sends, whoever dies. */
import t from "tap";
import { Failure, isFailure } from "#domain/failure.ts";
import { rankMembers } from "#domain/placement/bounded-load-hash.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { BLOB_FIELD, type BlobPart, formatContentRange, parseBlobPart } from "../pool/blob-fields.ts";
import type { Peer } from "../pool/membership.ts";
import { SiblingBlobs } from "../pool/sibling-blobs.ts";
import { SILENT_MS_MAX } from "../pool/sibling-health.ts";
import { Breaker } from "../upstream/breaker.ts";
import type { UpstreamRequest, UpstreamResponse } from "../upstream/upstream-client.ts";
import { type BlobNeed, BlobPull, OriginState } from "./blob-pull.ts";
import { RELAY_LEAD_BYTES_MAX, RelayLead } from "./relay-lead.ts";

const CHUNK = new Uint8Array(256 * 1024);
const EDGES = 50;
const AT_ONCE = 8;
const CONNECT_MS_MAX = 5_000;
const WAIT_MS_MAX = 5_000;
const IDLE_MS_MAX = 10_000;
/** Between two questions that the client of one that is down lets through. */
const PROBE_MS_MAX = 30_000;

/** In ms. */
interface Slowness {
  /** For so long no connection is made. */
  readonly stalled?: number;
  /** The longest that one takes. */
  readonly connect: number;
  /** Of a chunk to a sibling; the origin sends ten times as fast. */
  readonly chunk: number;
}

class Content {
  at = 0;
  isWhole = false;
  changed = Promise.withResolvers<void>();

  advance(bytes: number): void {
    this.at += bytes;
    this.changed.resolve();
    this.changed = Promise.withResolvers();
  }

  readable(sizeBytes: number): number {
    return this.isWhole ? sizeBytes : Math.min(this.at, sizeBytes - 1);
  }
}

class Pool {
  readonly clock = new VirtualClock(0, 1);
  readonly random: Random;
  readonly slowness: Slowness;
  readonly blobs: readonly BlobNeed[];
  readonly edges: ReadonlyMap<string, Edge>;
  readonly sent = new Map<string, number>();
  isOriginUp = true;

  constructor(seed: number, sizes: readonly number[], slowness: Slowness) {
    this.random = seededRandom(seed);
    this.slowness = slowness;
    this.blobs = sizes.map((sizeBytes) => ({ sizeBytes, digest: Buffer.from(this.random.bytes(32)).toString("hex") }));
    const names = Array.from({ length: EDGES }, (_, at) => `near-${at}`);
    const peers = names.map((name) => ({ name, pool: "near", address: `${name}.test:1` }));
    this.edges = new Map(names.map((name) => [name, new Edge(this, name, peers)]));
  }

  get alive(): readonly Edge[] {
    return [...this.edges.values()].filter(({ isKilled }) => !isKilled);
  }

  rankedFor({ digest }: BlobNeed): readonly Edge[] {
    return rankMembers(digest, [...this.edges.keys()]).flatMap((name) => this.edges.get(name) ?? []);
  }

  /** What the origin sent above what it had to. */
  get twiceBytes(): number {
    return this.blobs.reduce((sum, { digest, sizeBytes }) => sum + (this.sent.get(digest) ?? 0) - sizeBytes, 0);
  }

  async origin({ digest, sizeBytes }: BlobNeed, from: number, end = sizeBytes) {
    await this.clock.sleep(this.slowness.chunk);
    if (!this.isOriginUp) throw new Failure("unavailable", "the origin is gone", { retryable: true });
    // A kill is told by the reader's silence: what was asked for is sent.
    this.sent.set(digest, (this.sent.get(digest) ?? 0) + end - from);
    return { offset: from, bytes: this.#chunks(end - from) };
  }

  async *#chunks(length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0; left -= CHUNK.length) {
      await this.clock.sleep(this.slowness.chunk / 10);
      yield CHUNK.subarray(0, left);
    }
  }

  /** Until all that live have all, in virtual time. */
  async fill(onTick: () => void = () => undefined): Promise<void> {
    for (const edge of this.alive) edge.fillAll();
    for (let second = 0; !this.alive.every((edge) => edge.hasAll); second += 1) {
      if (second > 3_600) throw new Error("not complete after an hour");
      for (let tick = 0; tick < 20; tick += 1) {
        await this.clock.advance(50);
        onTick();
      }
    }
  }
}

/** Serves as `BlobServing` does. */
class Edge {
  readonly name: string;
  readonly held = new Map<string, Content>();
  readonly fetches = new Map<string, Promise<void>>();
  readonly siblings: SiblingBlobs;
  readonly lead: RelayLead;
  isKilled = false;
  /** Killed, and nothing says so. */
  isVanished = false;
  /** Siblings that it has a connection to. */
  readonly connected = new Set<string>();
  /** Those to which none is made in time. */
  readonly tooSlowFor = new Set<string>();
  /** As a client of each has one. */
  readonly #breakers = new Map<string, Breaker>();
  readonly #pool: Pool;
  readonly #origin: OriginState;
  readonly #stop = new AbortController();

  constructor(pool: Pool, name: string, peers: readonly Peer[]) {
    this.name = name;
    this.#pool = pool;
    this.lead = new RelayLead(pool.clock);
    this.#origin = new OriginState(this.lead);
    const view = {
      ...{ self: name, isMember: true, parents: [], childPools: new Set<string>() },
      siblings: peers.filter((peer) => peer.name !== name),
    };
    this.siblings = new SiblingBlobs({
      view: () => view,
      call: (peer, request) => this.#call(peer, request),
      ...{ clock: pool.clock, random: pool.random, events: { askedForBlob() {} } },
    });
  }

  has({ digest }: BlobNeed): boolean {
    return this.held.get(digest)?.isWhole === true;
  }

  get hasAll(): boolean {
    return this.#pool.blobs.every((blob) => this.has(blob));
  }

  kill(how: "refuses" | "vanishes" = "refuses"): void {
    this.isKilled = true;
    this.isVanished = how === "vanishes";
    this.#stop.abort();
    for (const content of this.held.values()) content.advance(0);
  }

  fillAll(): void {
    const queue = this.#pool.blobs.values();
    const work = async (): Promise<void> => {
      for (const blob of queue) while (!this.has(blob) && !this.isKilled) await this.fill(blob);
    };
    for (let worker = 0; worker < AT_ONCE; worker += 1) void work();
  }

  async fill(blob: BlobNeed): Promise<void> {
    const fetch = this.fetches.get(blob.digest) ?? this.#fetch(blob);
    this.fetches.set(blob.digest, fetch);
    await fetch.catch(() => this.#pool.clock.sleep(500));
    this.fetches.delete(blob.digest);
  }

  async #fetch(need: BlobNeed): Promise<void> {
    const { clock } = this.#pool;
    const content = this.held.get(need.digest) ?? new Content();
    this.held.set(need.digest, content);
    const pull = new BlobPull(
      {
        ...{ siblings: this.siblings, clock, signal: this.#stop.signal, events: { filled() {}, bodyRefused() {} } },
        origin: (_, from, __, end) => this.#pool.origin(need, from, end),
      },
      this.#origin,
      { need, isAhead: true, waiting() {} },
    );
    const { bytes } = await pull.open(content.at);
    for await (const chunk of bytes) content.advance(chunk.length);
    content.isWhole = content.at === need.sizeBytes;
    content.advance(0);
  }

  /** As `UpstreamClient` does: one that is down is asked now and then, and what a cut ends is asked again once. */
  async #call(peer: Peer, request: UpstreamRequest): Promise<UpstreamResponse> {
    const breaker = this.#breakers.get(peer.name) ?? new Breaker(this.#pool);
    this.#breakers.set(peer.name, breaker);
    if (!breaker.admits(request.target)) {
      throw new Failure("unavailable", "down", { retryable: true, detail: { isDown: true } });
    }
    for (let isLast = breaker.isOpen; ; isLast = true) {
      try {
        const response = await this.#callOnce(peer, request);
        breaker.answered();
        return response;
      } catch (error) {
        if (!isFailure(error)) throw error;
        if (error.detail["isUnreached"] === true) breaker.unreached();
        if (error.code === "upstream-truncated") breaker.broke(request.target);
        if (isLast || error.code !== "upstream-truncated") throw error;
      }
    }
  }

  async #callOnce(peer: Peer, { target, fields }: UpstreamRequest): Promise<UpstreamResponse> {
    const { clock, random, slowness, edges } = this.#pool;
    const sibling = edges.get(peer.name);
    if (sibling === undefined) throw new Error(peer.name);
    if (!this.connected.has(peer.name)) {
      const isStalled =
        sibling.isVanished || this.tooSlowFor.has(peer.name) || clock.monotonicMs() < (slowness.stalled ?? 0);
      const ms = isStalled ? Number.POSITIVE_INFINITY : random.ratio() * slowness.connect;
      const reason = { retryable: true, detail: { isUnreached: true } };
      const isRefused = sibling.isKilled && !sibling.isVanished;
      await clock.sleep(isRefused ? 1 : Math.min(CONNECT_MS_MAX, ms));
      if (isRefused) throw new Failure("unavailable", "refused", reason);
      if (ms > CONNECT_MS_MAX) throw new Failure("upstream-timeout", "no connection", reason);
      this.connected.add(peer.name);
    }
    const part = parseBlobPart(target, fields);
    if (part === undefined) throw new Error(target);
    return await sibling.answer(this.name, part);
  }

  async answer(asker: string, part: BlobPart): Promise<UpstreamResponse> {
    const { blobs, clock } = this.#pool;
    await this.#cutIfKilled(asker);
    this.siblings.heard(asker);
    const blob = blobs.find(({ digest }) => digest === part.digest);
    if (blob === undefined) throw new Error(part.digest);
    const before = this.held.get(part.digest);
    if (part.mode === "held") {
      const readable = before?.readable(blob.sizeBytes) ?? 0;
      if (readable <= part.start) return responseOf(404);
      return this.#partOf(asker, blob, { ...part, end: Math.min(part.end, readable - 1) });
    }
    if (!this.has(blob)) void this.fill(blob);
    using _reading = this.lead.readBy(part.digest);
    const untilMs = clock.monotonicMs() + WAIT_MS_MAX;
    while ((this.held.get(part.digest)?.readable(blob.sizeBytes) ?? 0) <= part.start) {
      if (clock.monotonicMs() >= untilMs) return responseOf(503);
      await clock.sleep(50);
      await this.#cutIfKilled(asker);
    }
    return this.#partOf(asker, blob, part);
  }

  #partOf(asker: string, { digest, sizeBytes }: BlobNeed, part: BlobPart): UpstreamResponse {
    const fields = { [BLOB_FIELD]: "1", "content-range": formatContentRange(part, sizeBytes) };
    const body = async function* (edge: Edge): AsyncGenerator<Uint8Array> {
      const content = edge.held.get(digest);
      for (let at = part.start; content !== undefined && at <= part.end; ) {
        const reading = edge.lead.readBy(digest);
        while (content.readable(sizeBytes) <= at && !edge.isKilled) await content.changed.promise;
        reading[Symbol.dispose]();
        await edge.#pool.clock.sleep(edge.#pool.slowness.chunk);
        await edge.#cutIfKilled(asker);
        const chunk = CHUNK.subarray(0, Math.min(part.end + 1, content.readable(sizeBytes)) - at);
        yield chunk;
        at += chunk.length;
        edge.lead.sent(digest, at);
      }
    };
    return responseOf(206, fields, body(this));
  }

  async #cutIfKilled(asker: string): Promise<void> {
    if (!this.isKilled) return;
    this.#pool.edges.get(asker)?.connected.delete(this.name);
    if (this.isVanished) {
      await this.#pool.clock.sleep(IDLE_MS_MAX);
      throw new Failure("upstream-timeout", "nothing more", { retryable: true });
    }
    throw new Failure("upstream-truncated", "reset", { retryable: true });
  }
}

function responseOf(
  status: number,
  fields: Readonly<Record<string, string>> = {},
  body: AsyncIterable<Uint8Array> = (async function* () {})(),
): UpstreamResponse {
  const values = new Map(Object.entries(fields).map(([name, value]) => [name, [value]]));
  return { status, fields: values, requestedAtMs: 0, receivedAtMs: 0, body, discard() {} };
}

const KB = 1024;
const sizes = [8192 * KB, ...Array.from({ length: 7 }, () => 256 * KB)];

t.test(
  "where no connection is made for a minute, and few in time after that, the origin sends a release once",
  async (t) => {
    const pool = new Pool(1, sizes, { stalled: 60_000, connect: 7_000, chunk: 50 });
    await pool.fill();
    t.equal(pool.twiceBytes, 0, `${pool.clock.monotonicMs()} ms`);
  },
);

t.test(
  "an edge that dies while it fetches costs what no sibling had yet, and nothing of what is finished",
  async (t) => {
    for (const seed of [2, 3]) {
      const pool = new Pool(seed, sizes, { connect: 2_000, chunk: 50 });
      const [large] = pool.blobs;
      if (large === undefined) throw new Error("no blobs");
      const [relay] = pool.rankedFor(large);
      let finished: readonly BlobNeed[] = [];
      await pool.fill(() => {
        if (relay === undefined || relay.isKilled) return;
        if ((relay.held.get(large.digest)?.at ?? 0) < large.sizeBytes / 2) return;
        relay.kill();
        finished = pool.blobs.filter((blob) => pool.alive.some((edge) => edge.has(blob)));
      });
      t.ok(relay?.isKilled, `seed ${seed}`);
      t.ok(pool.twiceBytes <= RELAY_LEAD_BYTES_MAX, `seed ${seed}: ${pool.twiceBytes} bytes`);
      for (const { digest, sizeBytes } of finished)
        t.equal(pool.sent.get(digest), sizeBytes, `seed ${seed}: ${digest}`);
    }
  },
);

t.test(
  "a machine that vanishes holds up its blobs until its silence says so, though its client asks it seldom",
  async (t) => {
    const pool = new Pool(4, sizes, { connect: 2_000, chunk: 50 });
    const [large] = pool.blobs;
    if (large === undefined) throw new Error("no blobs");
    const [relay] = pool.rankedFor(large);
    let vanishedAtMs = Number.POSITIVE_INFINITY;
    await pool.fill(() => {
      if (relay === undefined || relay.isKilled) return;
      if ((relay.held.get(large.digest)?.at ?? 0) < large.sizeBytes / 2) return;
      relay.kill("vanishes");
      vanishedAtMs = pool.clock.monotonicMs();
    });
    const heldUpMs = pool.clock.monotonicMs() - vanishedAtMs;
    t.ok(heldUpMs >= SILENT_MS_MAX, `${heldUpMs} ms`);
    t.ok(heldUpMs <= SILENT_MS_MAX + PROBE_MS_MAX + 30_000, `${heldUpMs} ms`);
  },
);

t.test(
  "the next in a blob's order goes on soon after the first has died, also where it never reached that",
  async (t) => {
    const pool = new Pool(6, [8192 * KB], { connect: 100, chunk: 5_000 });
    const [blob] = pool.blobs;
    const [relay, next] = blob === undefined ? [] : pool.rankedFor(blob);
    if (blob === undefined || relay === undefined || next === undefined) throw new Error("no order");
    next.tooSlowFor.add(relay.name);
    const sent = () => pool.sent.get(blob.digest) ?? 0;
    const killed = { atMs: 0, sent: 0 };
    let wentOnAtMs: number | undefined;
    await pool.fill(() => {
      if (!relay.isKilled && (relay.held.get(blob.digest)?.at ?? 0) >= blob.sizeBytes / 2) {
        relay.kill();
        Object.assign(killed, { atMs: pool.clock.monotonicMs(), sent: sent() });
      }
      if (relay.isKilled && sent() > killed.sent) wentOnAtMs ??= pool.clock.monotonicMs();
    });
    const tookMs = (wentOnAtMs ?? Number.POSITIVE_INFINITY) - killed.atMs;
    t.ok(killed.atMs > 8 * CONNECT_MS_MAX, "its client has taken the first for down");
    t.ok(tookMs <= 60_000, `${tookMs} ms`);
    t.ok(pool.twiceBytes <= RELAY_LEAD_BYTES_MAX, `${pool.twiceBytes} bytes`);
  },
);

t.test("with the origin gone each becomes complete by what the others have", async (t) => {
  const pool = new Pool(5, sizes, { connect: 200, chunk: 50 });
  pool.isOriginUp = false;
  const edges = [...pool.edges.values()];
  for (const [index, { digest, sizeBytes }] of pool.blobs.entries()) {
    const content = new Content();
    content.isWhole = true;
    content.advance(sizeBytes);
    edges[(index * 7) % EDGES]?.held.set(digest, content);
  }
  await pool.fill();
  t.equal(pool.sent.size, 0);
});
