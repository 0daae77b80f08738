import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { parseResourceInput } from "#contracts/operator-api/resources/parse.ts";
import { parseSourceDocuments } from "#platform/yaml/documents.ts";
import { loadNetworksTable } from "#scheduler/geo/networks-table.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { takeDataFolder } from "./data-folder.ts";
import { readPlaces } from "./sample/places.ts";
import { makeGallery } from "./sample/scene/gallery.ts";
import { LARGE_FILE_BYTES, makeSampleSite } from "./sample/site.ts";
import {
  type AppTokenWanted,
  applySampleResources,
  publishPage,
  publishSampleSite,
  SAMPLE_NETWORKS_FILE,
  type SampleParts,
} from "./samples.ts";
import { POOLS, planMachine } from "./topology.ts";

const GALLERY_BYTES_MAX = 200_000;
const YEAR_MS = 31_536_000_000;

/** An operator API that keeps what it was told. */
async function setUp(t: Test) {
  const clock = new VirtualClock();
  const applied: string[] = [];
  const published: { readonly site: string; readonly files: readonly string[] }[] = [];
  const appTokens: AppTokenWanted[] = [];
  const page = { text: "first" };
  const folder = await takeDataFolder(testFolder(t), clock, () => {});
  t.teardown(() => folder[Symbol.dispose]());
  const parts: SampleParts = {
    folder,
    plan: planMachine({ data: folder.path, networksFile: SAMPLE_NETWORKS_FILE, portOffset: 1000 }),
    operator: {
      apply: async (files) => void applied.push(...files.map((file) => readFileSync(file, "utf8"))),
      publish: async (from, site) => {
        published.push({ site, files: readdirSync(from, { recursive: true }).map(String).sort() });
        return `${site} published`;
      },
      createJoinToken: async () => ({ token: "token", pin: "pin" }),
      createAppToken: async (request) => {
        appTokens.push(request);
        return { token: `app-${appTokens.length}`, id: "id", expiresAtMs: clock.nowMs() + YEAR_MS };
      },
    },
    bundlePage: async (to) => writeFileSync(join(to, "index.html"), page.text),
    clock,
    note: () => {},
  };
  return { parts, clock, applied, published, appTokens, page };
}

t.test("the sample resources are valid, and the pulled site's upstream is where it listens", async (t) => {
  const { parts, applied } = await setUp(t);
  await applySampleResources(parts);
  const documents = parseSourceDocuments(applied[0] ?? "", "resources.yaml");
  t.ok(documents.length >= 9, `${documents.length} documents`);
  for (const { value } of documents) t.match(parseResourceInput(value), { kind: "valid" });
  t.match(applied[0], `upstream: ${parts.plan.upstreamUrl}\n`);
  t.match(parts.plan.upstreamUrl, /:8490$/);
  await applySampleResources(parts);
  t.equal(applied.length, 1, "what an operator made of it later stays");
});

t.test("the sample site is published once, the page whenever it differs", async (t) => {
  const { parts, clock, published, appTokens, page } = await setUp(t);
  for (let start = 0; start < 2; start += 1) {
    await publishSampleSite(parts);
    await publishPage(parts);
  }
  t.strictSame(
    published.map(({ site }) => site),
    ["shop", "vr"],
  );
  t.strictSame(published[1]?.files, [
    ...["apps", "apps/tabletop", "apps/tabletop/app.js", "apps/tabletop/scene.json"],
    ...["config.json", "index.html", "scenes", "scenes/gallery.glb", "scenes/hall.json"],
    ...["tabletop", "tabletop/config.json", "tabletop/index.html"],
  ]);
  t.strictSame(
    appTokens.map(({ app }) => app),
    ["hall", "tabletop"],
  );
  page.text = "second";
  await publishPage(parts);
  t.equal(published.length, 3, "a page that has changed");
  t.equal(appTokens.length, 2, "the tokens are kept");
  await clock.advance(YEAR_MS / 2 + 1);
  await publishPage(parts);
  t.equal(appTokens.length, 4, "half their life is over");
  t.equal(published.length, 4, "the page has it");
});

t.test("the sample site is some megabytes and the same every time", async (t) => {
  const folders = ["one", "two"].map((name) => join(testFolder(t, { one: {}, two: {} }), name));
  for (const folder of folders) makeSampleSite(folder);
  const [one = [], two = []] = folders.map((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name)),
  );
  const bytes = one.reduce((sum, file) => sum + statSync(file).size, 0);
  t.ok(bytes > LARGE_FILE_BYTES, `${bytes} bytes`);
  t.equal(one.length, two.length);
  for (const [index, file] of one.entries()) {
    t.ok(readFileSync(file).equals(readFileSync(two[index] ?? "")), `${file} is the same`);
  }
});

t.test("the sample gallery is small and the same every time", async (t) => {
  const gallery = makeGallery();
  t.ok(gallery.byteLength < GALLERY_BYTES_MAX, `${gallery.byteLength} bytes`);
  t.ok(Buffer.from(gallery).equals(makeGallery()));
});

t.test("the page is told where each pool is, and its clients", (t) => {
  const read = (name: string) => readFileSync(join(import.meta.dirname, "sample", name), "utf8");
  const { pools, here } = readPlaces(read("resources.yaml"), read("networks.yaml"));
  t.same(
    pools.map(({ name }) => name),
    POOLS.map(({ name }) => name),
  );
  t.match(pools[0], { region: "lisbon", latitude: 38.72, longitude: -9.14 });
  t.match(here, { latitude: Number, longitude: Number });
  t.end();
});

t.test("loopback is on the map", async (t) => {
  t.ok(loadNetworksTable(SAMPLE_NETWORKS_FILE).size >= 2);
});
