/** An edge that holds out against what the origin distributes purges by it all the same. */
import { cpSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import t from "tap";
import { restoreOrigin } from "#origin/restore.ts";
import { formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { systemRandom } from "#platform/random.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  document,
  get,
  hasBody,
  joinSettings,
  startCloud,
  startEdgeHere,
  untilAnswer,
} from "./edge-and-origin.ts";

const site = (name: string) => document("Site", name, { hostnames: [`${name}.example`], publish: {} });

t.test("a purge is in force at an edge that refuses the set it comes with, and after its restart", async (t) => {
  const folder = testFolder(t);
  const first = await startCloud(t, join(folder, "origin"));
  let asked = 0;
  const upstream = createServer((_request, response) => {
    asked += 1;
    response.writeHead(200, { "cache-control": "max-age=600" }).end(`answer ${asked}`);
  });
  const address = await listen(upstream, { host: "127.0.0.1", port: 0 });
  t.teardown(() => closeServer(upstream));
  const front = { hostnames: ["front.example"], pull: { upstream: `http://${formatAddress(address)}` } };
  await api(first, "POST", "/v1/apply", { documents: [document("Site", "front", front)] });
  const settings = await joinSettings(first, folder, "near-1");
  const edge = await startEdgeHere(t, settings);
  const ask = (from: typeof edge) => get(from.addresses.content, "/page", { host: "front.example" });
  await untilAnswer(() => ask(edge), hasBody("answer 1"), "pulled");
  await first.origin[Symbol.asyncDispose]();
  const backup = join(folder, "backup");
  cpSync(first.dataDir, backup, { recursive: true });
  const later = await startCloud(t, first.dataDir, first);
  await api(later, "POST", "/v1/apply", { documents: [site("news"), site("blog")] });
  const hasBlog = ({ status }: { readonly status: number }) => status !== 421;
  await untilAnswer(() => get(edge.addresses.content, "/", { host: "blog.example" }), hasBlog, "the edge knows them");
  await later.origin[Symbol.asyncDispose]();

  rmSync(first.dataDir, { recursive: true });
  cpSync(backup, first.dataDir, { recursive: true });
  await restoreOrigin(first.dataDir, { clock: systemClock, random: systemRandom });
  const restored = await startCloud(t, first.dataDir, first);
  const status = async () => {
    const text = await api(restored, "GET", "/v1/resources/Node/near-1");
    return { status: 200, headers: {}, body: Buffer.from(text) };
  };
  await untilAnswer(status, ({ body }) => body.includes("ShrinkRefused"), "two sites of three would be gone");
  t.ok(hasBody("answer 1")(await ask(edge)), "stored");
  const match = { kind: "paths", paths: ["/page"] };
  const purge = { site: "front", match, soft: false, atMs: systemClock.nowMs() + 1 };
  await api(restored, "POST", "/v1/apply", { documents: [document("Purge", "p1", purge)] });
  await untilAnswer(() => ask(edge), hasBody("answer 2"), "pulled again after the purge");
  t.match((await status()).body.toString(), /ShrinkRefused/, "and the set is refused still");
  await restored.origin[Symbol.asyncDispose]();
  await edge[Symbol.asyncDispose]();
  const cold = await startEdgeHere(t, settings);
  t.equal((await ask(cold)).body.toString(), "answer 2", "also the purge is not applied twice");
});
