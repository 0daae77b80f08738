/** What a node stores on disk: written by the classes that own it, and read by them into something to compare. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openManifest } from "#contracts/codec/manifest.ts";
import { isFailure } from "#domain/failure.ts";
import { APPLIED_PURGES_MIGRATIONS, AppliedPurges } from "#edge-node/desired-state/applied-purges.ts";
import { ACTIVE_RELEASES_MIGRATIONS, ActiveReleases } from "#edge-node/published/active-releases.ts";
import { REPORT_QUEUE_MIGRATIONS, ReportQueue } from "#edge-node/reports/report-queue.ts";
import { openResponseStore } from "#edge-node/store/response-store.ts";
import { cacheKeyOf } from "#edge-node/store/stored-response.ts";
import { openJoinTokens } from "#origin/enrolment/join-tokens.ts";
import { openSqliteLog } from "#origin/log/sqlite-log.ts";
import { openRecords } from "#origin/records/records.ts";
import { checkSignature, importPublicKey, keyIdOf } from "#platform/identity/signatures.ts";
import { seededRandom } from "#platform/random.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { SAMPLE_RESOURCES } from "./sample-resources.ts";

const NOW_MS = 1_790_000_000_000;
const FIXTURES = new URL("../../contracts/fixtures/0.1.0/", import.meta.url);
const BODY = Buffer.from("<h1>stored</h1>");

const QUEUE = {
  bytesMax: 1024 * 1024,
  events: {
    reportsDropped: () => undefined,
    reportsCommitted: () => undefined,
    reportsWaiting: () => undefined,
    storageFailed: (error: unknown) => {
      throw error;
    },
  },
};

function toolsOf() {
  return { clock: new VirtualClock(NOW_MS), random: seededRandom(1) };
}

/** The manifest of 0.1.0: later versions read it too, so that any of them may record it again. */
function manifestFixture() {
  const { claim, spki } = JSON.parse(readFileSync(new URL("manifest.json", FIXTURES), "utf8"));
  const key = importPublicKey(Buffer.from(spki, "base64"));
  return { claim, bytes: readFileSync(new URL("manifest.bin", FIXTURES)), keys: new Map([[keyIdOf(key), key]]) };
}

function edgeDatabase(folder: string, name: string, migrations: readonly string[]) {
  return openDatabase(join(folder, `${name}.sqlite`), { migrations, durability: "full" });
}

export async function recordDatabases(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  recordOrigin(folder);
  await recordEdge(folder);
  // Empty folders are nothing to git.
  const bodies = join(folder, "responses", "bodies");
  for (const name of readdirSync(bodies)) {
    if (readdirSync(join(bodies, name)).length === 0) rmdirSync(join(bodies, name));
  }
}

function recordOrigin(folder: string): void {
  const tools = toolsOf();
  {
    using log = openSqliteLog(join(folder, "log.sqlite"));
    const writes = SAMPLE_RESOURCES.map((resource) => ({
      kind: resource.kind,
      name: resource.metadata.name,
      render: () => JSON.stringify(resource),
    }));
    log.write(writes);
    log.write([{ kind: "Assignment", name: "a-assignment", render: () => undefined }]);
    log.compact(3);
  }
  {
    using tokens = openJoinTokens(join(folder, "join-tokens.sqlite"), tools);
    const { token } = tokens.create({ role: "edge", name: "near-1", pool: "near", labels: { gpu: "no" } }, 60_000);
    tokens.redeem(token, "near-1");
  }
  using records = openRecords(join(folder, "records.sqlite"));
  records.append("near-1", [{ id: "r1", kind: "session-ended", atMs: 5n, json: Buffer.from("{}") }], 5);
}

async function recordEdge(folder: string): Promise<void> {
  const tools = toolsOf();
  const { claim, bytes, keys } = manifestFixture();
  {
    using database = edgeDatabase(folder, "releases", ACTIVE_RELEASES_MIGRATIONS);
    const manifest = openManifest(bytes, claim, (signed) => checkSignature(signed, keys));
    const release = { ...claim, manifest: { ...claim.manifest, sizeBytes: bytes.length }, activateAtMs: 1 };
    new ActiveReleases(database, () => keys).activate(release, bytes, manifest);
  }
  {
    using database = edgeDatabase(folder, "purges", APPLIED_PURGES_MIGRATIONS);
    const purges = SAMPLE_RESOURCES.filter((resource) => resource.kind === "Purge");
    new AppliedPurges(database, () => undefined).apply(1, purges, () => undefined);
  }
  {
    using database = edgeDatabase(folder, "reports", REPORT_QUEUE_MIGRATIONS);
    using queue = new ReportQueue(database, { ...tools, ...QUEUE });
    void queue.push({ id: "r1", kind: "link-up", value: {} });
  }
  await using store = await openStore(join(folder, "responses"));
  const storing = store.begin(HEAD, () => true);
  storing.write(BODY);
  await storing.finish();
}

const HEAD = {
  site: "front",
  webOrigin: "https://front.example",
  key: "/page?a=1",
  varyNames: ["accept-language"],
  variant: "accept-language=en",
  status: 200,
  fields: new Map([["cache-control", ["max-age=600"]]]),
  freshness: {
    receivedAtMs: NOW_MS,
    initialAgeSeconds: 1.5,
    lifetimeSeconds: 600,
    alwaysValidate: false,
    neverStale: false,
    hasSharedLifetime: false,
    staleWhileRevalidateSeconds: 0,
    staleIfErrorSeconds: 60,
  },
  requestedAtMs: NOW_MS,
};

function openStore(folder: string) {
  const silent = { lost: throwIt, notStored: throwIt, evicted: () => undefined, used: () => undefined };
  return openResponseStore({ folder, diskBytesMax: 1e8, memoryBytesMax: 1e6, events: silent, ...toolsOf() });
}

function throwIt(error: unknown): void {
  throw error;
}

/** Of a copy: opening may bring a database to a newer schema. */
export async function readDatabases(recorded: string) {
  const folder = mkdtempSync(join(tmpdir(), "perigee-databases-"));
  try {
    cpSync(recorded, folder, { recursive: true });
    return { origin: readOrigin(folder), edge: await readEdge(folder) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readOrigin(folder: string) {
  using log = openSqliteLog(join(folder, "log.sqlite"));
  using tokens = openJoinTokens(join(folder, "join-tokens.sqlite"), toolsOf());
  using records = openRecords(join(folder, "records.sqlite"));
  const token = Buffer.from(seededRandom(1).bytes(32)).toString("base64url");
  return {
    epoch: log.epoch,
    revision: log.revision(),
    compacted: log.compactedRevision(),
    resources: log.list().rows.map((row) => JSON.parse(row.json)),
    joinToken: codeOf(() => tokens.check(token, "near-1")),
    records: records.count(),
  };
}

function codeOf(work: () => unknown): string {
  try {
    work();
    return "none";
  } catch (error) {
    return isFailure(error) ? error.code : String(error);
  }
}

async function readEdge(folder: string) {
  const { keys } = manifestFixture();
  using releases = edgeDatabase(folder, "releases", ACTIVE_RELEASES_MIGRATIONS);
  using purges = edgeDatabase(folder, "purges", APPLIED_PURGES_MIGRATIONS);
  using reports = edgeDatabase(folder, "reports", REPORT_QUEUE_MIGRATIONS);
  await using store = await openStore(join(folder, "responses"));
  const active = new ActiveReleases(releases, () => keys);
  let appliedAgain = 0;
  const known = SAMPLE_RESOURCES.filter((resource) => resource.kind === "Purge");
  new AppliedPurges(purges, () => undefined).apply(1, known, () => {
    appliedAgain += 1;
  });
  const found = await store.find(cacheKeyOf(HEAD), new Map([["accept-language", ["en"]]]));
  const body = found?.body instanceof Uint8Array ? Buffer.from(found.body).toString() : undefined;
  return {
    release: active.get("shop"),
    damaged: active.damaged.length,
    purgesAppliedAgain: appliedAgain,
    reports: new ReportQueue(reports, { ...toolsOf(), ...QUEUE }).next()?.reports,
    response: found === undefined ? undefined : { ...found, fields: [...found.fields], body },
  };
}
