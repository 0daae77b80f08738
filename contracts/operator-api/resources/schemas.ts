/** The TypeBox schema of every kind's spec: from it come validation, defaults and the API reference. */
import Type, { type TSchema } from "typebox";
import { FILL_BYTES_PER_SECOND_DEFAULT } from "#domain/content/fill-window.ts";
import { DIGEST_PATTERN } from "#domain/content/release.ts";
import { NODE_ROLES } from "#domain/fleet/node.ts";
import { ROLLOUT_NAME } from "#domain/fleet/rollout.ts";
import { EVERY_NAME, TOMBSTONE_KINDS } from "#domain/fleet/tombstone.ts";
import { DOTTED_NAME_PATTERN, HOST_NAME_LENGTH_MAX, NAME_PATTERN } from "#domain/ids.ts";
import type { Kind } from "#domain/resource.ts";
import { closed, count, DURATION_SECONDS_MAX, name, seconds, specSchema } from "./fields.ts";
import { contentPolicy, placementPolicy } from "./policy-schemas.ts";

/** A site with more host names is split. */
export const HOSTNAMES_MAX = 100;
export const CACHE_RULES_MAX = 100;
/** One that signs, one that takes over, one that goes, and some for whoever else signs. */
export const SIGNED_URL_KEYS_MAX = 16;
export const SIGNED_PATHS_MAX = 100;
/** Beyond it no client is held back. */
export const CLIENT_REQUESTS_MAX = 1_000_000;
/** Long lists of paths are a prefix or a tag. */
export const PURGE_ENTRIES_MAX = 1000;
export const RENDER_CLASSES_MAX = 16;
export const RELEASES_KEPT_MAX = 100;
export const STEERING_ENTRIES_MAX = 64;
/** 8 kbit/s: a pool that is to get less is named by no policy. */
export const FILL_BYTES_PER_SECOND_MIN = 1000;
/** A host name, a colon and a port. */
export const PEER_ADDRESS_LENGTH_MAX = HOST_NAME_LENGTH_MAX + 6;
export const PEER_ADDRESS_PATTERN = "^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9._-]+):[0-9]{1,5}$";
/** A chain of some certificates, and a key that is an elliptic one. */
export const CERTIFICATE_LENGTH_MAX = 64 * 1024;
export const SEALED_KEY_LENGTH_MAX = 8 * 1024;
/** Edges of a pool. */
export const SEALED_KEYS_MAX = 1_000;
/** RFC 8555 section 8.1 asks for 128 bits at least. */
export const ACME_TOKEN_LENGTH_MAX = 512;
/** Each proves for a minute or two. */
export const WAVES_MAX = 16;
export const WAVE_POOLS_MAX = 1_000;
export const WAVE_STEPS_MAX = 4;
export const HALT_MESSAGE_LENGTH_MAX = 1_000;
const path = Type.String({ pattern: "^/", maxLength: 2048 });
const epochMs = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const site = specSchema<"Site">()(
  Type.Object(
    {
      hostnames: Type.Array(Type.String({ maxLength: HOST_NAME_LENGTH_MAX }), { minItems: 1, maxItems: HOSTNAMES_MAX }),
      publish: Type.Optional(
        Type.Object(
          {
            keepReleases: Type.Integer({ minimum: 1, maximum: RELEASES_KEPT_MAX, default: 5 }),
            indexDocument: Type.String({ minLength: 1, maxLength: 255, default: "index.html" }),
            notFoundDocument: Type.Optional(path),
          },
          closed,
        ),
      ),
      pull: Type.Optional(
        Type.Object(
          {
            upstream: Type.String({ maxLength: 2048 }),
            connectTimeoutMs: Type.Integer({ minimum: 10, maximum: 60_000, default: 2000 }),
            responseTimeoutMs: Type.Integer({ minimum: 10, maximum: 600_000, default: 10_000 }),
          },
          closed,
        ),
      ),
      cache: Type.Optional(
        Type.Object(
          {
            maxStaleSeconds: Type.Optional(seconds),
            rules: Type.Optional(
              Type.Array(
                Type.Object(
                  {
                    path,
                    freshnessSeconds: Type.Optional(seconds),
                    bypass: Type.Optional(Type.Boolean()),
                    shareSetCookie: Type.Optional(
                      Type.Boolean({ description: "whether responses that set cookies are stored, for everyone" }),
                    ),
                  },
                  closed,
                ),
                { maxItems: CACHE_RULES_MAX },
              ),
            ),
            compress: Type.Optional(
              Type.Boolean({ description: "whether edges compress what is worth it and comes uncompressed" }),
            ),
          },
          closed,
        ),
      ),
      signedUrls: Type.Optional(
        Type.Object(
          {
            keys: Type.Array(
              Type.Object(
                {
                  keyId: name(),
                  publicKey: Type.String({
                    pattern: "^[A-Za-z0-9_-]{43}$",
                    description: "the 32 octets of an Ed25519 key in base64url, as `perigee signing-key` prints them",
                  }),
                },
                closed,
              ),
              { minItems: 1, maxItems: SIGNED_URL_KEYS_MAX },
            ),
            paths: Type.Array(path, {
              minItems: 1,
              maxItems: SIGNED_PATHS_MAX,
              description: "what needs a signature: paths as in a URL, or prefixes ending in *",
            }),
          },
          closed,
        ),
      ),
      acme: Type.Optional(
        Type.Boolean({ description: "whether the origin orders a certificate for each host name (RFC 8555)" }),
      ),
      rateLimit: Type.Optional(
        Type.Object(
          {
            requestsPerSecond: Type.Number({ minimum: 0.01, maximum: CLIENT_REQUESTS_MAX }),
            burst: Type.Integer({ minimum: 1, maximum: CLIENT_REQUESTS_MAX }),
          },
          { ...closed, description: "of each client at each edge: an IPv4 address, or an IPv6 network of /64" },
        ),
      ),
    },
    closed,
  ),
);

const release = specSchema<"Release">()(
  Type.Object(
    {
      site: name(),
      generation: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
      manifest: Type.Object(
        {
          digest: Type.String({ pattern: DIGEST_PATTERN }),
          sizeBytes: count,
          signature: Type.String({ pattern: "^[A-Za-z0-9_-]{86}$" }),
          keyId: Type.String({ minLength: 1, maxLength: 128 }),
        },
        closed,
      ),
      activateAtMs: epochMs,
      contentOf: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
    },
    closed,
  ),
);

const nodePool = specSchema<"NodePool">()(
  Type.Object(
    {
      region: Type.String({ minLength: 1, maxLength: 63 }),
      coordinates: Type.Object(
        {
          latitude: Type.Number({ minimum: -90, maximum: 90 }),
          longitude: Type.Number({ minimum: -180, maximum: 180 }),
        },
        closed,
      ),
      autonomyDurationSeconds: Type.Integer({ minimum: 0, maximum: DURATION_SECONDS_MAX, default: 86_400 }),
      relay: Type.Boolean({ default: true }),
      parent: Type.Optional(name("the pool whose edges are asked for what this one lacks, before an upstream is")),
      fillBytesPerSecond: Type.Optional(
        Type.Integer({
          minimum: FILL_BYTES_PER_SECOND_MIN,
          maximum: Number.MAX_SAFE_INTEGER,
          description: `what copies that nobody has asked for may take of the pool's link; ${FILL_BYTES_PER_SECOND_DEFAULT} where it is not given`,
        }),
      ),
    },
    closed,
  ),
);

const node = specSchema<"Node">()(
  Type.Object(
    {
      role: Type.Enum([...NODE_ROLES]),
      pool: Type.String({ pattern: `^(-|${NAME_PATTERN.slice(1, -1)})$` }),
      cordoned: Type.Boolean({ default: false }),
      draining: Type.Boolean({ default: false }),
      peerAddress: Type.Optional(Type.String({ maxLength: PEER_ADDRESS_LENGTH_MAX, pattern: PEER_ADDRESS_PATTERN })),
    },
    closed,
  ),
);

export const renderClassSchema = Type.Object(
  {
    name: name(),
    eyeWidthPixels: Type.Integer({ minimum: 64, maximum: 4096, multipleOf: 2 }),
    eyeHeightPixels: Type.Integer({ minimum: 64, maximum: 4096, multipleOf: 2 }),
    frameRateHz: Type.Integer({ minimum: 1, maximum: 144 }),
  },
  closed,
);

const renderApp = specSchema<"RenderApp">()(
  Type.Object(
    {
      bundle: Type.Object({ site: name(), path }, closed),
      needs: Type.Object(
        {
          gpuShareRatio: Type.Number({ minimum: 0, maximum: 1, default: 0.1 }),
          encoderSessions: Type.Integer({ minimum: 0, maximum: 4, default: 1 }),
          memoryBytes: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 268_435_456 }),
          egressBitsPerSecond: Type.Integer({ minimum: 0, maximum: 1_000_000_000, default: 8_000_000 }),
        },
        { ...closed, default: {} },
      ),
      classes: Type.Array(renderClassSchema, { minItems: 1, maxItems: RENDER_CLASSES_MAX }),
    },
    closed,
  ),
);

const assignment = specSchema<"Assignment">()(
  Type.Object({ pool: name(), sites: Type.Array(name()), apps: Type.Array(name()) }, closed),
);

const steeringTable = specSchema<"SteeringTable">()(
  Type.Object(
    {
      pool: name(),
      edges: Type.Array(
        Type.Object(
          {
            node: name(),
            pool: name(),
            contentUrl: Type.String({ maxLength: 2048 }),
            hostname: Type.String({ maxLength: HOST_NAME_LENGTH_MAX }),
          },
          closed,
        ),
        { maxItems: STEERING_ENTRIES_MAX },
      ),
    },
    closed,
  ),
);

const purge = specSchema<"Purge">()(
  Type.Object(
    {
      site: name(),
      match: Type.Union([
        Type.Object({ kind: Type.Literal("all") }, closed),
        Type.Object(
          { kind: Type.Literal("paths"), paths: Type.Array(path, { minItems: 1, maxItems: PURGE_ENTRIES_MAX }) },
          closed,
        ),
        Type.Object({ kind: Type.Literal("prefix"), prefix: path }, closed),
        Type.Object(
          {
            kind: Type.Literal("tags"),
            tags: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
              minItems: 1,
              maxItems: PURGE_ENTRIES_MAX,
            }),
          },
          closed,
        ),
      ]),
      soft: Type.Boolean({ default: false }),
      atMs: { ...epochMs, description: "for what was stored before; the origin's now where it is not given" },
    },
    closed,
  ),
);

const revocation = specSchema<"Revocation">()(
  Type.Object(
    {
      subject: Type.Union([
        Type.Object({ kind: Type.Literal("token"), id: Type.String({ minLength: 1, maxLength: 128 }) }, closed),
        Type.Object(
          {
            kind: Type.Literal("node"),
            name: name(),
            certificateSerial: Type.Optional(Type.String({ pattern: "^[0-9a-f]{1,64}$" })),
          },
          closed,
        ),
        Type.Object({ kind: Type.Literal("key"), keyId: Type.String({ minLength: 1, maxLength: 128 }) }, closed),
      ]),
      reason: Type.String({ minLength: 1, maxLength: 1000 }),
      subjectExpiresAtMs: epochMs,
    },
    closed,
  ),
);

const base64 = (maxLength: number) => Type.String({ pattern: "^[A-Za-z0-9+/]+={0,2}$", maxLength });

const siteCertificate = specSchema<"SiteCertificate">()(
  Type.Object(
    {
      pool: name(),
      hostname: Type.String({ maxLength: HOST_NAME_LENGTH_MAX }),
      certificatePem: Type.String({ maxLength: CERTIFICATE_LENGTH_MAX }),
      keys: Type.Array(
        Type.Object({ node: name(), sealedTo: base64(64), sealed: base64(SEALED_KEY_LENGTH_MAX) }, closed),
        { maxItems: SEALED_KEYS_MAX },
      ),
    },
    closed,
  ),
);

const acmeChallenge = specSchema<"AcmeChallenge">()(
  Type.Object(
    {
      hostname: Type.String({ maxLength: HOST_NAME_LENGTH_MAX }),
      token: Type.String({ pattern: "^[A-Za-z0-9_-]+$", maxLength: ACME_TOKEN_LENGTH_MAX }),
      keyAuthorization: Type.String({ pattern: "^[A-Za-z0-9_.-]+$", maxLength: 2 * ACME_TOKEN_LENGTH_MAX }),
    },
    closed,
  ),
);

const tombstone = specSchema<"Tombstone">()(
  Type.Object(
    {
      kind: Type.Enum([...TOMBSTONE_KINDS]),
      name: Type.String({
        pattern: `^(\\${EVERY_NAME}|${NAME_PATTERN.slice(1, -1)})$`,
        description: "of the resource that is gone on purpose; * is every one of the kind that the log does not have",
      }),
      atMs: { ...epochMs, description: "the origin's now where it is not given" },
    },
    closed,
  ),
);

const hostAndPort = (description: string) =>
  Type.String({ maxLength: PEER_ADDRESS_LENGTH_MAX, pattern: PEER_ADDRESS_PATTERN, description });

const originEndpoint = specSchema<"OriginEndpoint">()(
  Type.Object(
    {
      enrolment: hostAndPort("its enrolment listener, as nodes reach it"),
      nodeRpc: hostAndPort("its listener for nodes"),
      delivery: hostAndPort("its listener for blobs"),
    },
    closed,
  ),
);

const pools = Type.Array(name(), { maxItems: WAVE_POOLS_MAX });

const rolloutPolicy = specSchema<"RolloutPolicy">()(
  Type.Object(
    {
      waves: Type.Array(Type.Object({ pools: { ...pools, minItems: 1 } }, closed), {
        minItems: 1,
        maxItems: WAVES_MAX,
        description: "pools that get a change first, then those that get it next; all others come last",
      }),
    },
    closed,
  ),
);

const rollout = specSchema<"Rollout">()(
  Type.Object(
    {
      waves: Type.Array(
        Type.Object(
          {
            pools,
            position: Type.Optional(count),
            steps: Type.Array(Type.Object({ position: count, since: count }, closed), { maxItems: WAVE_STEPS_MAX }),
            halted: Type.Optional(
              Type.Object({ node: name(), message: Type.String({ maxLength: HALT_MESSAGE_LENGTH_MAX }) }, closed),
            ),
          },
          closed,
        ),
        { minItems: 2, maxItems: WAVES_MAX + 1 },
      ),
    },
    closed,
  ),
);

export const SPEC_SCHEMAS = {
  Site: site,
  Release: release,
  NodePool: nodePool,
  Node: node,
  PlacementPolicy: placementPolicy,
  ContentPolicy: contentPolicy,
  RenderApp: renderApp,
  Assignment: assignment,
  SteeringTable: steeringTable,
  Purge: purge,
  Revocation: revocation,
  SiteCertificate: siteCertificate,
  AcmeChallenge: acmeChallenge,
  Tombstone: tombstone,
  OriginEndpoint: originEndpoint,
  RolloutPolicy: rolloutPolicy,
  Rollout: rollout,
} as const satisfies Record<Kind, TSchema>;

const DOTTED: ReadonlySet<Kind> = new Set(["Release", "Purge", "Revocation", "Tombstone"]);

/** Names of releases, purges, revocations and tombstones have dots; a fleet has one roll-out; all others are host labels. */
export function namePatternOf(kind: Kind): string {
  if (kind === "RolloutPolicy" || kind === "Rollout") return `^${ROLLOUT_NAME}$`;
  return DOTTED.has(kind) ? DOTTED_NAME_PATTERN : NAME_PATTERN;
}
