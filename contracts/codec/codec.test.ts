import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import t from "tap";
import type { PoolBatch } from "#domain/desired-state.ts";
import { isFailure } from "#domain/failure.ts";
import type { NodeStatus } from "#domain/fleet/node.ts";
import type { AnyResource } from "#domain/resource.ts";
import { NodeStatusSchema } from "../generated/perigee/v1/node_pb.js";
import { fromNodeStatus, toNodeStatus } from "./node-status.ts";
import { fromUint64 } from "./numbers.ts";
import { decodePoolBatch, encodePoolBatch, fromWatermark, toWatermark } from "./pool-batch.ts";
import { createSetDigest, setDigestOf } from "./set-digest.ts";

const FIXTURES = new URL("../fixtures/0.1.0/", import.meta.url);

const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?$/);
const whole = fc.nat(Number.MAX_SAFE_INTEGER);
const resource: fc.Arbitrary<AnyResource> = fc.record({
  apiVersion: fc.constant("perigee.dev/v1" as const),
  kind: fc.constant("Assignment" as const),
  metadata: fc.record({
    name,
    labels: fc.dictionary(name, fc.string({ maxLength: 20 }), { maxKeys: 3, noNullPrototype: true }),
    generation: whole,
    resourceVersion: whole,
    createdAtMs: whole,
  }),
  spec: fc.record({ pool: name, sites: fc.array(name, { maxLength: 4 }), apps: fc.array(name, { maxLength: 4 }) }),
});
const row = fc.oneof(
  resource.map((resource) => ({ revision: 1, kind: resource.kind, name: resource.metadata.name, resource })),
  fc.record({ revision: whole, kind: fc.constant("Site" as const), name, resource: fc.constant(undefined) }),
);
const batch: fc.Arbitrary<PoolBatch> = fc.record({
  epoch: whole,
  pool: name,
  from: whole,
  to: whole,
  snapshot: fc.boolean(),
  part: fc.nat(1000),
  last: fc.boolean(),
  rows: fc.array(row, { maxLength: 5 }),
  setDigest: fc.stringMatching(/^([0-9a-f]{64})?$/),
});
const text = fc.string({ maxLength: 20 });
const milliseconds = fc.double({ min: 0, max: 1e6, noNaN: true });
const status: fc.Arbitrary<NodeStatus> = fc.record(
  {
    incarnation: text,
    softwareVersion: text,
    contentUrl: text,
    hostname: text,
    epoch: whole,
    appliedRevision: whole,
    storeBytesUsed: whole,
    storeBytesMax: whole,
    certificateExpiresAtMs: whole,
    conditions: fc.array(
      fc.record({
        type: fc.constantFrom("OfflineReady" as const, "StoreHealthy" as const, "Ready" as const),
        status: fc.boolean(),
        reason: text,
        message: text,
        sinceMs: whole,
      }),
    ),
    sites: fc.array(
      fc.record(
        {
          site: name,
          activeGeneration: whole,
          desiredGeneration: whole,
          objectsMissing: fc.nat(1e6),
          releaseBytes: fc.integer({ min: 1 }),
        },
        { requiredKeys: ["site", "activeGeneration", "desiredGeneration", "objectsMissing"] },
      ),
    ),
    agents: fc.array(
      fc.record({
        agent: name,
        incarnation: text,
        ready: fc.boolean(),
        reasons: fc.array(text, { maxLength: 3 }),
        slots: fc.array(
          fc.record({ renderClass: name, total: fc.nat(99), free: fc.nat(99), frameMsP95: milliseconds }),
        ),
        sessions: fc.array(
          fc.record({
            session: text,
            attempt: fc.nat(99),
            app: name,
            renderClass: name,
            startedAtMs: whole,
            remotePathMsP50: milliseconds,
            remotePathMsP95: milliseconds,
            rttMs: milliseconds,
          }),
        ),
      }),
      { maxLength: 3 },
    ),
    peerAddress: fc.string({ minLength: 1, maxLength: 20 }),
  },
  {
    requiredKeys: [
      "incarnation",
      "softwareVersion",
      "contentUrl",
      "hostname",
      "epoch",
      "appliedRevision",
      "storeBytesUsed",
      "storeBytesMax",
      "certificateExpiresAtMs",
      "conditions",
      "sites",
      "agents",
    ],
  },
);

/** Generated records have no prototype; what is decoded has one. */
const same = (decoded: unknown, value: unknown) => isDeepStrictEqual(decoded, structuredClone(value));

t.test("a batch and a watermark come back from the wire as they were", async (t) => {
  fc.assert(
    fc.property(batch, (value) => same(decodePoolBatch(encodePoolBatch(value)), value)),
    { numRuns: 100 },
  );
  const watermark = fc.record({ epoch: whole, revision: whole, setDigest: fc.stringMatching(/^[0-9a-f]{64}$/) });
  fc.assert(fc.property(watermark, (value) => same(fromWatermark(toWatermark(value)), value)));
  t.pass("every generated case held");
});

t.test("a status comes back from the wire as it was", async (t) => {
  fc.assert(
    fc.property(status, (value) =>
      same(fromNodeStatus(fromBinary(NodeStatusSchema, toBinary(NodeStatusSchema, toNodeStatus(value)))), value),
    ),
    { numRuns: 100 },
  );
  t.pass("every generated case held");
});

t.test("whatever bytes arrive, decoding gives a batch or a Failure", async (t) => {
  const sample = encodePoolBatch({
    epoch: 1,
    pool: "near",
    from: 1,
    to: 2,
    snapshot: false,
    part: 0,
    last: true,
    rows: [],
    setDigest: "",
  });
  const twisted = fc
    .tuple(fc.nat(sample.length - 1), fc.nat(255))
    .map(([at, byte]) => Uint8Array.from(sample, (old, index) => (index === at ? byte : old)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), twisted), (bytes) => {
      try {
        decodePoolBatch(bytes);
        return true;
      } catch (error) {
        return isFailure(error);
      }
    }),
  );
  t.throws(() => fromUint64(2n ** 53n, "revision"), { code: "argument-invalid" });
});

t.test("the set digest depends on the set, not on its history or order", async (t) => {
  fc.assert(
    fc.property(fc.array(resource, { maxLength: 8 }), fc.array(resource, { maxLength: 4 }), (kept, gone) => {
      const digest = createSetDigest(setDigestOf(gone));
      for (const one of kept) digest.add(one);
      for (const one of gone) digest.remove(one);
      return digest.toHex() === setDigestOf(kept.toReversed());
    }),
  );
  t.pass("every generated case held");
});

t.test("what version 0.1.0 put on the wire is read", async (t) => {
  const recorded = decodePoolBatch(readFileSync(new URL("pool-batch.bin", FIXTURES)));
  t.strictSame(recorded, JSON.parse(readFileSync(new URL("pool-batch.json", FIXTURES), "utf8")));
  const node = fromNodeStatus(fromBinary(NodeStatusSchema, readFileSync(new URL("node-status.bin", FIXTURES))));
  t.strictSame(node, JSON.parse(readFileSync(new URL("node-status.json", FIXTURES), "utf8")));
});
