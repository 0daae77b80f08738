/** A release that took another's place gives way to it after crashes, and does not come back by itself. */
import { createHash } from "node:crypto";
import t from "tap";
import { MANIFEST_CONTEXT, type Manifest, type ReleaseSpec } from "#domain/content/release.ts";
import { generateSigningKey, signBytes } from "#platform/identity/signatures.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { ACTIVE_RELEASES_MIGRATIONS, ActiveReleases, type ActiveReleasesOptions } from "./active-releases.ts";
import { decideReleaseStep } from "./release-step.ts";

const key = generateSigningKey();
const keys = () => new Map([[key.keyId, key.publicKey]]);
const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");

function released(site: string, generation: number) {
  const files = { "/index.html": { digest: digestOf(`${generation}`), sizeBytes: 1, mediaType: "text/html" } };
  const manifest: Manifest = { formatVersion: 1, site, generation, createdAtMs: 1, files };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const signature = Buffer.from(signBytes(MANIFEST_CONTEXT, bytes, key)).toString("base64url");
  const reference = { digest: digestOf(bytes.toString()), sizeBytes: bytes.length, signature, keyId: key.keyId };
  const release: ReleaseSpec = { site, generation, manifest: reference, activateAtMs: 0 };
  return { release, bytes, manifest };
}

function world() {
  const database = openDatabase(":memory:", { migrations: ACTIVE_RELEASES_MIGRATIONS, durability: "full" });
  const start = (options: ActiveReleasesOptions = {}) => new ActiveReleases(database, keys, options);
  const activate = (active: ActiveReleases, site: string, generation: number) => {
    const { release, bytes, manifest } = released(site, generation);
    active.activate(release, bytes, manifest);
  };
  const served = (active: ActiveReleases) => ["shop", "news"].map((site) => active.get(site)?.generation ?? 0);
  return { start, activate, served };
}

t.test("what was proven stays beside what took its place, and is served again after crashes", async (t) => {
  for (const goBack of ["set", "releases"] as const) {
    const { start, activate, served } = world();
    const opened: string[] = [];
    const active = start({ beforeChange: () => void opened.push("opened") });
    activate(active, "shop", 1);
    active.prove(active.unproven());
    activate(active, "shop", 2);
    activate(active, "shop", 3);
    activate(active, "news", 1);
    t.same(served(active), [3, 1], goBack);
    t.same(
      [...active.unproven()],
      [
        ["shop", 3],
        ["news", 1],
      ],
      goBack,
    );
    t.equal(opened.length, 4, "each was told before it was served");
    const objects = [...active.all()].map(({ generation }) => generation);
    t.ok(objects.includes(1), "objects of what may be served again are needed");
    const back = start({ goBack });
    t.same(served(back), [1, 0], goBack);
    t.same(served(start()), [1, 0], `${goBack}: also after a further start`);
    const isHeld = goBack === "releases";
    t.same([back.quarantinedOf("shop"), back.quarantinedOf("news")], isHeld ? [3, 1] : [0, 0], goBack);
    t.equal(back.floorOf("shop"), 1, "what comes again is not refused for its generation");
    const step = (generation: number) =>
      decideReleaseStep({
        ...{ release: released("shop", generation).release, manifest: released("shop", generation).manifest },
        ...{ isFilled: false, missing: 0, nowMs: 1 },
        ...{ active: 1, floor: back.floorOf("shop"), quarantined: back.quarantinedOf("shop") },
      }).kind;
    t.same([step(3), step(4)], isHeld ? ["none", "activate"] : ["activate", "activate"], goBack);
    activate(back, "shop", 4);
    t.equal(back.quarantinedOf("shop"), 0, goBack);
    t.equal(start().quarantinedOf("shop"), 0, goBack);
  }
});

t.test("a site that was given up with a set that crashed is served again, from what it had", async (t) => {
  const { start, activate, served } = world();
  const active = start();
  activate(active, "shop", 1);
  active.prove(active.unproven());
  active.forget("shop");
  t.same(served(active), [0, 0]);
  t.ok([...active.all()].length === 1, "its objects stay");
  t.same(served(start({ goBack: "set" })), [1, 0]);
});

t.test("once proven, only the newest is kept; what changed in the meantime stays on trial", async (t) => {
  const { start, activate, served } = world();
  const active = start();
  activate(active, "shop", 1);
  const marked = active.unproven();
  activate(active, "news", 1);
  activate(active, "shop", 2);
  active.prove(marked);
  t.same(
    [...active.unproven()],
    [
      ["shop", 2],
      ["news", 1],
    ],
  );
  active.prove(active.unproven());
  t.equal([...active.all()].length, 2);
  t.same(served(start({ goBack: "releases" })), [2, 1]);
});

t.test("a manifest opens by the key that it came with, after that key is trusted no more", async (t) => {
  const database = openDatabase(":memory:", { migrations: ACTIVE_RELEASES_MIGRATIONS, durability: "full" });
  const { release, bytes, manifest } = released("shop", 1);
  new ActiveReleases(database, keys).activate(release, bytes, manifest);
  const other = generateSigningKey();
  const rotated = new ActiveReleases(database, () => new Map([[other.keyId, other.publicKey]]));
  t.same(rotated.damaged, []);
  t.equal(rotated.get("shop")?.generation, 1);
  database.exec("UPDATE active SET signature = (SELECT replace(hex(zeroblob(43)), '0', 'A'))");
  t.equal(new ActiveReleases(database, keys).damaged.length, 1, "and not whatever is there");
});
