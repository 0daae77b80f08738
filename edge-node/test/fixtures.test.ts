/** What version 0.1.0 signed and an edge of it stored is read and verified. */
import { readFileSync } from "node:fs";
import t from "tap";
import { openManifest } from "#contracts/codec/manifest.ts";
import { checkSignature, importPublicKey, keyIdOf } from "#platform/identity/signatures.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { testFolder } from "#test/test-folder.ts";
import { POOL_SET_MIGRATIONS, PoolSet } from "../desired-state/pool-set.ts";

const FIXTURES = new URL("../../contracts/fixtures/0.1.0/", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, FIXTURES));

function keysOf(spki: string) {
  const key = importPublicKey(Buffer.from(spki, "base64"));
  return new Map([[keyIdOf(key), key]]);
}

t.test("a manifest of 0.1.0 is opened, and not when a byte of it has changed", async (t) => {
  const { claim, spki, manifest } = JSON.parse(read("manifest.json").toString());
  const bytes = read("manifest.bin");
  const check = (signed: Parameters<typeof checkSignature>[0]) => checkSignature(signed, keysOf(spki));
  t.same(openManifest(bytes, claim, check), manifest);
  const changed = Buffer.from(bytes.toString().replace("text/html", "text/evil"));
  t.throws(() => openManifest(changed, claim, check), { code: "digest-mismatch" });
});

t.test("rows that an edge of 0.1.0 stored are loaded, under the schema they were stored in", async (t) => {
  const { spki, floor, envelope, resources } = JSON.parse(read("edge-stored-rows.json").toString());
  const path = `${testFolder(t)}/desired.sqlite`;
  const recorded = openDatabase(path, { migrations: POOL_SET_MIGRATIONS.slice(0, 1), durability: "full" });
  recorded.prepare("INSERT INTO floor VALUES (1, ?, ?)").run(floor.epoch, floor.revision);
  for (const row of envelope) {
    const [payload, signature] = [row.payload, row.signature].map((text: string) => Buffer.from(text, "base64"));
    if (payload === undefined || signature === undefined) throw new Error("a row has both");
    recorded
      .prepare("INSERT INTO envelope VALUES (?, ?, ?, ?, ?)")
      .run(row.position, row.continues, payload, signature, row.key_id);
  }
  recorded.close();
  using database = openDatabase(path, { migrations: POOL_SET_MIGRATIONS, durability: "full" });
  const set = new PoolSet(database, { pool: "near", keys: () => keysOf(spki) });
  t.equal(set.damage, undefined);
  t.match(set.watermark, { epoch: 1, revision: 2 });
  t.same([...set.resources.values()], resources);
});
