/** A stored resource of every kind, each field of its spec filled. Pure. */
import { ROLLOUT_NAME } from "#domain/fleet/rollout.ts";
import { type AnyResource, API_VERSION, type Kind, type SpecByKind } from "#domain/resource.ts";

const digest = "a".repeat(64);

const SPECS: { readonly [K in keyof SpecByKind]: SpecByKind[K] } = {
  Site: {
    hostnames: ["shop.example"],
    publish: { keepReleases: 5, indexDocument: "index.html", notFoundDocument: "/404.html" },
    cache: {
      maxStaleSeconds: 3600,
      rules: [
        { path: "/api/*", bypass: true },
        { path: "/a", freshnessSeconds: 60 },
      ],
    },
  },
  Release: {
    site: "shop",
    generation: 7,
    manifest: { digest, sizeBytes: 300, signature: "A".repeat(86), keyId: "669030c393d38bec" },
    activateAtMs: 1_790_000_000_000,
    contentOf: 5,
  },
  NodePool: {
    region: "eu",
    coordinates: { latitude: 50.5, longitude: 8.25 },
    autonomyDurationSeconds: 86_400,
    relay: true,
    parent: "core",
    fillBytesPerSecond: 2_500_000,
  },
  Node: { role: "edge", pool: "near", cordoned: true, draining: false },
  PlacementPolicy: {
    apps: ["hall"],
    sites: ["shop"],
    latencyBudgetMs: { strict: 25 },
    constraints: [{ label: "region", operator: "In", values: ["eu"] }],
    preferences: [{ label: "green", operator: "Exists", bonusMs: 3 }],
    capacityReserveRatio: 0.1,
    onNoFit: "queue",
    sessionSecondsMax: 3600,
    stickinessMs: 4,
  },
  ContentPolicy: {
    sites: ["shop"],
    replicas: 2,
    residency: { region: "eu" },
    prefetch: { windows: [{ days: ["sat", "sun"], from: "22:30", to: "05:00", timeZone: "Europe/Lisbon" }] },
    offline: { maxStaleSeconds: 600, denyAfterSeconds: 86_400 },
  },
  RenderApp: {
    bundle: { site: "vr", path: "/scenes/hall.json" },
    needs: { gpuShareRatio: 0.25, encoderSessions: 1, memoryBytes: 1_000_000, egressBitsPerSecond: 8_000_000 },
    classes: [{ name: "medium", eyeWidthPixels: 320, eyeHeightPixels: 360, frameRateHz: 30 }],
  },
  Assignment: { pool: "near", sites: ["shop"], apps: ["hall"] },
  SteeringTable: {
    pool: "near",
    edges: [
      {
        node: "near-1",
        pool: "near",
        contentUrl: "http://near-1.edge.example:7420",
        hostname: "near-1.edge.example",
      },
    ],
  },
  Purge: { site: "shop", match: { kind: "paths", paths: ["/a"] }, soft: true, atMs: 1_790_000_000_000 },
  Revocation: {
    subject: { kind: "node", name: "near-1", certificateSerial: "01ab" },
    reason: "stolen",
    subjectExpiresAtMs: 1_790_000_000_000,
  },
  SiteCertificate: {
    pool: "near",
    hostname: "shop.example",
    certificatePem: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    keys: [{ node: "near-1", sealedTo: "AAAA", sealed: "AAAA" }],
  },
  AcmeChallenge: { hostname: "shop.example", token: "a_b-c", keyAuthorization: "a_b-c.d_e-f" },
  Tombstone: { kind: "Site", name: "shop", atMs: 1_790_000_000_000 },
  OriginEndpoint: { enrolment: "a.example:7402", nodeRpc: "[2001:db8::1]:7401", delivery: "a.example:7403" },
  RolloutPolicy: { waves: [{ pools: ["near"] }] },
  Rollout: {
    waves: [
      { pools: ["near"], steps: [], halted: { node: "near-1", message: "three crashes" } },
      { pools: [], position: 5, steps: [{ position: 5, since: 7 }] },
    ],
  },
};

function envelope<K extends Kind>(kind: K, resourceVersion: number) {
  const name = kind.startsWith("Rollout") ? ROLLOUT_NAME : `a-${kind.toLowerCase()}`;
  const metadata = { name, labels: { team: "a" }, generation: 2, resourceVersion };
  return { apiVersion: API_VERSION, kind, metadata: { ...metadata, createdAtMs: 1_790_000_000_000 } } as const;
}

export const SAMPLE_RESOURCES: readonly AnyResource[] = [
  { ...envelope("Site", 1), spec: SPECS.Site },
  { ...envelope("Release", 2), spec: SPECS.Release },
  { ...envelope("NodePool", 3), spec: SPECS.NodePool },
  { ...envelope("Node", 4), spec: SPECS.Node },
  { ...envelope("PlacementPolicy", 5), spec: SPECS.PlacementPolicy },
  { ...envelope("ContentPolicy", 6), spec: SPECS.ContentPolicy },
  { ...envelope("RenderApp", 7), spec: SPECS.RenderApp },
  { ...envelope("Assignment", 8), spec: SPECS.Assignment },
  { ...envelope("SteeringTable", 9), spec: SPECS.SteeringTable },
  { ...envelope("Purge", 10), spec: SPECS.Purge },
  { ...envelope("Revocation", 11), spec: SPECS.Revocation },
  { ...envelope("SiteCertificate", 12), spec: SPECS.SiteCertificate },
  { ...envelope("AcmeChallenge", 13), spec: SPECS.AcmeChallenge },
  { ...envelope("Tombstone", 14), spec: SPECS.Tombstone },
  { ...envelope("OriginEndpoint", 15), spec: SPECS.OriginEndpoint },
  { ...envelope("RolloutPolicy", 16), spec: SPECS.RolloutPolicy },
  { ...envelope("Rollout", 17), spec: SPECS.Rollout },
];
