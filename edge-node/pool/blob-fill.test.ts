/** Edges of a pool over real mutual TLS that fill blobs from one another: siblings that lie, hang, are gone or know nothing. */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import t, { type Test } from "tap";
import { Failure } from "#domain/failure.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import { rankMembers } from "#domain/placement/bounded-load-hash.ts";
import { formatAddress } from "#platform/address.ts";
import { type Clock, systemClock } from "#platform/clock.ts";
import type { RunningListener } from "#platform/http/admin-listener.ts";
import { createAuthority, createCertificateRequest, issueCertificate } from "#platform/identity/authority.ts";
import { formatPemChain } from "#platform/identity/certificates.ts";
import { exportPrivateKey, generateSigningKey } from "#platform/identity/signatures.ts";
import { seededRandom, systemRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { BlobFetcher } from "../prefetch/blob-fetcher.ts";
import { BlobFolder } from "../published/blob-folder.ts";
import {
  BLOB_FIELD,
  formatBlobFields,
  formatBlobPath,
  formatContentRange,
  PART_BYTES,
  parseBlobPart,
} from "./blob-fields.ts";
import { BLOB_PARTS_SENT_MAX, BlobServing } from "./blob-serving.ts";
import type { Peer } from "./membership.ts";
import { BLOB_PATIENCE, PeerClients } from "./peer-clients.ts";
import { startPeerListener } from "./peer-listener.ts";
import { SiblingBlobs, UNKNOWN_MS_MAX } from "./sibling-blobs.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const BYTES_MAX = 1e9;
const authority = await createAuthority("test", { clock: systemClock, random: systemRandom });
const authoritiesPem = formatPemChain([authority.certificate]);
const random = seededRandom(3);

async function pairFor(name: string) {
  const key = generateSigningKey();
  const options = { clock: systemClock, random: systemRandom, lifetimeMs: 3_600_000 };
  const identity = { role: "edge", pool: "near", name } as const;
  const chain = [await issueCertificate(authority, await createCertificateRequest(key), identity, options)];
  return { keyPem: exportPrivateKey(key), chainPem: formatPemChain(chain) };
}

interface Blob {
  readonly digest: string;
  readonly bytes: Buffer;
  readonly sizeBytes: number;
  /** The edges of the pool in its order. */
  readonly ranked: readonly string[];
}

type Gate = (at: number, by: string) => Promise<void> | void;

/** An origin that counts, holds back and breaks off, and the edges of a pool in front of it. */
class Pool {
  readonly blobs = new Map<string, Blob>();
  /** Offsets at which the origin was asked, by whom, and what it sent. */
  readonly asked: { readonly by: string; readonly offset: number; sent: number }[] = [];
  readonly peers: Peer[] = [];
  /** Before each chunk that the origin sends, by digest. */
  readonly gates = new Map<string, Gate>();
  isOriginUp = true;
  readonly folder: string;
  readonly #names: readonly string[];

  constructor(t: Test, names: readonly string[]) {
    this.folder = testFolder(t);
    this.#names = names;
  }

  /** `home` is the first in its order, where one is said. */
  blob(sizeBytes: number, home?: string): Blob {
    for (;;) {
      const bytes = Buffer.from(random.bytes(sizeBytes));
      const digest = createHash("sha256").update(bytes).digest("hex");
      const ranked = rankMembers(digest, this.#names);
      if (home !== undefined && ranked[0] !== home) continue;
      const blob = { digest, bytes, sizeBytes, ranked };
      this.blobs.set(digest, blob);
      return blob;
    }
  }

  origin(by: string) {
    return async (digest: string, offset: number, _signal: AbortSignal, end = Number.POSITIVE_INFINITY) => {
      const { bytes: content } = this.blobs.get(digest) ?? {};
      if (!this.isOriginUp || content === undefined) throw new Failure("unavailable", "no origin", { retryable: true });
      const entry = { by, offset, sent: 0 };
      this.asked.push(entry);
      const gate = this.gates.get(digest);
      const bytes = async function* () {
        const last = Math.min(content.length, end);
        for (let at = offset; at < last; at += 64 * 1024) {
          await gate?.(at, by);
          const chunk = content.subarray(at, Math.min(last, at + 64 * 1024));
          yield chunk;
          entry.sent += chunk.length;
        }
      };
      return { offset, bytes: bytes() };
    };
  }

  get originBytes(): number {
    return this.asked.reduce((sum, { sent }) => sum + sent, 0);
  }
}

interface FillNode {
  readonly name: string;
  readonly folder: BlobFolder;
  readonly fetcher: BlobFetcher;
  readonly listener: RunningListener;
  /** Bytes by source, and names of those whose bodies were refused. */
  readonly filled: Record<"origin" | "sibling", number>;
  readonly refused: string[];
  ensure(blob: Blob): Promise<void>;
  has(blob: Blob): boolean;
}

type Answer = (incoming: IncomingMessage, response: ServerResponse, asker: string) => Promise<void>;

async function listenAs(t: Test, pool: Pool, name: string, answer: Answer): Promise<RunningListener> {
  const pair = await pairFor(name);
  const listener = await startPeerListener(
    {
      identity: {
        serverTls: (clientCertificate) => ({ ...pair, authoritiesPem, clientCertificate }),
        onRenewed: () => ({ [Symbol.dispose]: () => undefined }),
      },
      facts: () => ({
        ...{ view: { childPools: new Set<string>() }, pool: "near", applied: { epoch: 1, revision: 1 } },
        ...{ isMember: () => true, isRevoked: () => false, isServed: () => "unknown" },
      }),
      flowOf: () => undefined,
      blobs: { answer },
      events: { peerAnswered() {}, peerDeclined() {}, broke: (error) => t.fail(String(error)) },
    },
    LOCAL,
  );
  t.teardown(() => listener[Symbol.asyncDispose]());
  pool.peers.push({ name, pool: "near", address: formatAddress(listener.address) });
  return listener;
}

interface NodeChoices {
  readonly clock?: Clock;
  /** What its set has it hold; all unless said. */
  readonly wants?: (digest: string) => boolean;
  /** Of the other edges, those that it has in its set; all unless said. */
  readonly knows?: (name: string) => boolean;
}

async function startNode(t: Test, pool: Pool, name: string, choices: NodeChoices = {}): Promise<FillNode> {
  const { clock = systemClock, wants = () => true, knows = () => true } = choices;
  const folder = await BlobFolder.open(join(pool.folder, name), BYTES_MAX);
  const own = await pairFor(name);
  const clients = new PeerClients({
    tls: (serverName) => ({ authoritiesPem, serverName, own }),
    ...{ clock, random: systemRandom, patience: BLOB_PATIENCE },
  });
  const stop = new AbortController();
  const filled = { origin: 0, sibling: 0 };
  const refused: string[] = [];
  const siblings = new SiblingBlobs({
    view: () => ({
      ...{ self: name, isMember: true, parents: [], childPools: new Set<string>() },
      siblings: pool.peers.filter((peer) => peer.name !== name && knows(peer.name)),
    }),
    call: (peer, request, headMsMax) => clients.call(peer, request, headMsMax),
    ...{ clock, random: systemRandom, events: { askedForBlob() {} } },
  });
  const fetcher = new BlobFetcher({
    ...{ folder, siblings, clock, signal: stop.signal, origin: pool.origin(name) },
    events: {
      filled(from, bytes) {
        filled[from] += bytes;
      },
      bodyRefused: (from, names) => void refused.push(`${from} ${names.join(" ")}`),
    },
    fetched() {},
    fetchFailed() {},
  });
  const serving = new BlobServing({
    ...{ folder, fetcher, clock, events: { sentToSibling() {}, refusedSibling() {} } },
    sizeWanted: (digest) => (wants(digest) ? pool.blobs.get(digest)?.sizeBytes : undefined),
  });
  const listener = await listenAs(t, pool, name, (...call) => serving.answer(...call));
  t.teardown(async () => {
    stop.abort();
    await clients[Symbol.asyncDispose]();
  });
  const ensure = (blob: Blob) => fetcher.ensure(blob);
  return {
    name,
    folder,
    fetcher,
    listener,
    filled,
    refused,
    ensure,
    has: ({ digest }) => folder.has(digest),
  };
}

/** Bytes of the right length that are not the blob's. */
const lying =
  (pool: Pool, asked: string[]): Answer =>
  async (incoming, response) => {
    const part = parseBlobPart(incoming.url ?? "", fieldsOf(incoming.rawHeaders));
    const blob = pool.blobs.get(part?.digest ?? "");
    if (part === undefined || blob === undefined) throw new Error(`asked for ${incoming.url}`);
    asked.push(part.digest);
    const fields = { [BLOB_FIELD]: "whole", "content-range": formatContentRange(part, blob.sizeBytes) };
    response.writeHead(206, fields).end(Buffer.alloc(part.end + 1 - part.start, "wrong"));
  };

t.test("a sibling that gives wrong bytes is counted and asked no more, and another gives the blob", async (t) => {
  const pool = new Pool(t, ["liar", "one", "two"]);
  const asked: string[] = [];
  await listenAs(t, pool, "liar", lying(pool, asked));
  const nodes = { one: await startNode(t, pool, "one"), two: await startNode(t, pool, "two") };
  const blob = pool.blob(3 * PART_BYTES, "liar");
  const asker = nodes[blob.ranked[2] === "one" ? "one" : "two"];
  const holder = nodes[blob.ranked[1] === "one" ? "one" : "two"];
  await Promise.all([asker.ensure(blob), holder.ensure(blob)]);
  t.same(asker.refused, ["sibling liar"]);
  t.same(holder.refused, ["sibling liar"]);
  t.equal(pool.originBytes, blob.sizeBytes, "the origin sends it once");
  // The liar's, the holder's, and between them what the holder passed on before it knew what it had.
  t.ok([2, 3].includes(asker.filled.sibling / blob.sizeBytes), `${asker.filled.sibling} bytes by siblings`);
  const before = asked.length;
  const other = pool.blob(1000, "liar");
  await asker.ensure(other);
  t.equal(asked.length, before, "nobody asks the liar again");
  t.ok(await asker.folder.verify(other.digest));
});

t.test("who was given wrong bytes passes none of them on as a whole, and is blamed by nobody", async (t) => {
  const pool = new Pool(t, ["liar", "middle", "end"]);
  await listenAs(t, pool, "liar", lying(pool, []));
  const middle = await startNode(t, pool, "middle");
  const end = await startNode(t, pool, "end", { knows: (name) => name === "middle" });
  let blob = pool.blob(2 * PART_BYTES, "liar");
  while (blob.ranked[1] !== "middle") blob = pool.blob(2 * PART_BYTES, "liar");
  await Promise.all([end.ensure(blob), middle.ensure(blob)]);
  t.ok(end.has(blob) && middle.has(blob));
  t.same(middle.refused, ["sibling liar"]);
  t.notOk(end.refused.includes("sibling middle"), end.refused.join(", "));
});

t.test("a sibling that takes the question and says nothing more costs seconds, then the next is asked", async (t) => {
  const pool = new Pool(t, ["hanging", "one", "two"]);
  const clock = new VirtualClock();
  const asked = Promise.withResolvers<void>();
  await listenAs(t, pool, "hanging", async (_incoming, response) => {
    response.writeProcessing();
    asked.resolve();
  });
  const blob = pool.blob(PART_BYTES, "hanging");
  const [, first = "", second = ""] = blob.ranked;
  const holder = await startNode(t, pool, first);
  await holder.folder.receive(blob.digest, blob.sizeBytes, async () => ({ offset: 0, bytes: once(blob.bytes) }));
  const asker = await startNode(t, pool, second, { clock });
  const filled = asker.ensure(blob);
  await asked.promise;
  await clock.advance(16_000);
  await filled;
  t.equal(pool.asked.length, 0, "the holder had it");
  t.equal(asker.filled.sibling, blob.sizeBytes);
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

t.test("siblings that do not know the blob are waited for, then done without; the origin is last", async (t) => {
  const pool = new Pool(t, ["behind", "self"]);
  const clock = new VirtualClock();
  let asked = 0;
  await listenAs(t, pool, "behind", async (_incoming, response) => {
    asked += 1;
    response.writeHead(404, { "content-length": "0" }).end();
  });
  const self = await startNode(t, pool, "self", { clock });
  const blob = pool.blob(1000, "behind");
  let isDone = false;
  const filled = self.fetcher.ensureAll([blob]).then(() => {
    isDone = true;
  });
  for (let seen = 0; !isDone; ) {
    await until(() => isDone || asked > seen, "it is asked again");
    seen = asked;
    t.equal(pool.asked.length === 0 || clock.monotonicMs() >= UNKNOWN_MS_MAX, true, "for so long it may be on its way");
    await clock.advance(2_000);
  }
  await filled;
  t.ok(asked > 4, `asked ${asked} times`);
  t.same(
    pool.asked.map(({ by }) => by),
    ["self"],
  );
  const before = asked;
  await self.fetcher.ensureAll([pool.blob(1000, "behind")]);
  t.ok(asked <= before + 1, "the next blob waits for it no more, and asks it once whether it has it");
});

t.test("the next in line goes on where a relay broke off: the origin sends little twice", async (t) => {
  const pool = new Pool(t, ["one", "two", "three"]);
  const blob = pool.blob(12 * PART_BYTES);
  const half = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  pool.gates.set(blob.digest, async (at, by) => {
    if (by !== blob.ranked[0] || at < 6 * PART_BYTES) return;
    half.resolve();
    await go.promise;
  });
  const [relay, next, last] = await Promise.all(blob.ranked.map((name) => startNode(t, pool, name)));
  if (relay === undefined || next === undefined || last === undefined) throw new Error("three nodes");
  const lost = relay.ensure(blob).catch(() => undefined);
  const filling = [next.ensure(blob), last.ensure(blob)];
  await half.promise;
  await until(() => (next.fetcher.arriving(blob.digest)?.readable ?? 0) > 5 * PART_BYTES, "the next has come along");
  pool.peers.splice(0, pool.peers.length, ...pool.peers.filter(({ name }) => name !== relay.name));
  await relay.listener[Symbol.asyncDispose]();
  await Promise.all(filling);
  t.ok(next.has(blob) && last.has(blob));
  t.same([...new Set(pool.asked.map(({ by }) => by))], [relay.name, next.name]);
  const again = pool.asked.find(({ by }) => by === next.name);
  t.ok((again?.offset ?? 0) > 5 * PART_BYTES, `from ${again?.offset}`);
  t.ok(await next.folder.verify(blob.digest), "ranges of several make the whole");
  t.same([...next.refused, ...last.refused], []);
  go.resolve();
  await lost;
});

t.test("a sibling that is full says when to come again: it is waited for, and the origin is not asked", async (t) => {
  const pool = new Pool(t, ["full", "self"]);
  const clock = new VirtualClock();
  const blob = pool.blob(1000, "full");
  let asked = 0;
  await listenAs(t, pool, "full", async (_incoming, response) => {
    asked += 1;
    if (asked <= 3) return void response.writeHead(503, { "content-length": "0", "retry-after": "1" }).end();
    const fields = { [BLOB_FIELD]: "whole", "content-range": formatContentRange({ start: 0, end: 999 }, 1000) };
    response.writeHead(206, fields).end(blob.bytes);
  });
  const self = await startNode(t, pool, "self", { clock });
  let isDone = false;
  const filled = self.ensure(blob).then(() => {
    isDone = true;
  });
  for (let seen = 0; !isDone; ) {
    await until(() => isDone || asked > seen, "it is asked again");
    seen = asked;
    if (asked <= 3) await clock.advance(4_000);
  }
  await filled;
  t.equal(asked, 4);
  t.equal(pool.asked.length, 0);
});

t.test("who sends as many parts as it may says so to the next, and when to come again", async (t) => {
  const pool = new Pool(t, ["home", "asker"]);
  const blob = pool.blob(2 * PART_BYTES, "home");
  const gate = Promise.withResolvers<void>();
  pool.gates.set(blob.digest, (at) => (at < 1.5 * PART_BYTES ? undefined : gate.promise));
  const home = await startNode(t, pool, "home");
  const filled = home.ensure(blob);
  await until(() => (home.fetcher.arriving(blob.digest)?.readable ?? 0) > PART_BYTES, "half of it is there");
  const own = await pairFor("asker");
  const clients = new PeerClients({
    tls: (serverName) => ({ authoritiesPem, serverName, own }),
    ...{ clock: systemClock, random: systemRandom, patience: BLOB_PATIENCE },
  });
  t.teardown(() => clients[Symbol.asyncDispose]());
  const [peer] = pool.peers;
  if (peer === undefined) throw new Error("home listens");
  const part = { digest: blob.digest, mode: "fetch", start: PART_BYTES, end: 2 * PART_BYTES - 1 } as const;
  const ask = () =>
    clients.call(peer, { method: "GET", target: formatBlobPath(blob.digest), fields: formatBlobFields(part) }, 10_000);
  const answers = await Promise.all(Array.from({ length: BLOB_PARTS_SENT_MAX }, ask));
  t.ok(answers.every(({ status }) => status === 206));
  const refused = await ask();
  t.equal(refused.status, 503);
  t.same(refused.fields.get("retry-after"), ["1"]);
  gate.resolve();
  await filled;
  const whole = await Promise.all(answers.map(({ body }) => buffer(body)));
  t.ok(whole.every((bytes) => bytes.equals(blob.bytes.subarray(PART_BYTES))));
});

t.test("with the origin gone all become complete once they have every blob between them", async (t) => {
  const names = ["one", "two", "three", "four", "five"];
  const pool = new Pool(t, names);
  const nodes = await Promise.all(names.map((name) => startNode(t, pool, name)));
  const blobs = Array.from({ length: 15 }, () => pool.blob(30_000));
  for (const [index, { digest, sizeBytes, bytes }] of blobs.entries()) {
    // Each at one of them, whatever its order.
    await nodes[index % 5]?.folder.receive(digest, sizeBytes, async () => ({ offset: 0, bytes: once(bytes) }));
  }
  pool.isOriginUp = false;
  await Promise.all(nodes.map(({ fetcher }) => fetcher.ensureAll(blobs)));
  for (const node of nodes)
    t.ok(
      blobs.every((blob) => node.has(blob)),
      node.name,
    );
  const missing = pool.blob(1000);
  await t.rejects(
    nodes[0]?.ensure(missing) ?? Promise.resolve(),
    { code: "unavailable" },
    "what nobody has is not there",
  );
});

t.test("what no release names is fetched for no sibling, and given where it is there", async (t) => {
  const pool = new Pool(t, ["home", "asker"]);
  const clock = new VirtualClock();
  const blob = pool.blob(1000, "home");
  let asked = 0;
  const wants = (): boolean => {
    asked += 1;
    return false;
  };
  const home = await startNode(t, pool, "home", { wants });
  const asker = await startNode(t, pool, "asker", { clock });
  const filled = asker.ensure(blob);
  for (let seen = 0; !asker.has(blob); ) {
    await until(() => asker.has(blob) || asked > seen, "it is asked again");
    seen = asked;
    await clock.advance(2_000);
  }
  await filled;
  t.notOk(home.has(blob));
  t.same([...new Set(pool.asked.map(({ by }) => by))], ["asker"]);
});
