/** What codings save and cost, and what the choice of a variant costs a hit, in time of the processor. `--bytes N --hits N`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CONTENT_CODINGS } from "#domain/http/content-coding.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import { systemClock } from "#platform/clock.ts";
import { encodeContent } from "#platform/content-coding.ts";
import { systemRandom } from "#platform/random.ts";
import { openResponseStore } from "../store/response-store.ts";
import { cacheKeyOf } from "../store/stored-response.ts";
import { Compressor } from "./compressor.ts";

const { values } = parseArgs({
  options: { bytes: { type: "string", default: "100000" }, hits: { type: "string", default: "500000" } },
});
const bytes = Number(values.bytes);
const hits = Number(values.hits);
/** Text as it is served: this repository's own. */
const text = readFileSync(join(import.meta.dirname, "..", "..", "package-lock.json")).subarray(0, bytes);

async function cpuMs(run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

for (const effort of ["live", "once"] as const) {
  for (const coding of CONTENT_CODINGS) {
    await encodeContent(coding, text, effort);
    let encodedBytes = 0;
    const rounds = 5;
    const ms = await cpuMs(async () => {
      for (let round = 0; round < rounds; round += 1)
        encodedBytes = (await encodeContent(coding, text, effort)).byteLength;
    });
    const share = ((100 * encodedBytes) / text.byteLength).toFixed(1);
    process.stdout.write(`${effort} ${coding.padEnd(5)} ${share.padStart(5)} %  ${(ms / rounds).toFixed(1)} ms\n`);
  }
}

const events = { lost() {}, notStored() {}, evicted() {}, used() {} };
const tools = { clock: systemClock, random: systemRandom, events };
await using store = await openResponseStore({ diskBytesMax: 0, memoryBytesMax: 1e8, ...tools });
const compressor = new Compressor({ store, events: { compressed() {}, skipped() {}, failed() {} } });
const named = { site: "films", webOrigin: "http://films.example", key: "/a.js" };
const freshness = {
  receivedAtMs: systemClock.nowMs(),
  initialAgeSeconds: 0,
  lifetimeSeconds: 3600,
  alwaysValidate: false,
  neverStale: false,
  hasSharedLifetime: false,
  staleWhileRevalidateSeconds: 0,
  staleIfErrorSeconds: 0,
};
const fields = fieldsOf(["content-type", "application/json", "etag", '"a"']);
const head = {
  ...named,
  varyNames: [],
  variant: "",
  status: 200,
  fields,
  freshness,
  requestedAtMs: freshness.receivedAtMs,
};
const storing = store.begin(head, () => true);
storing.write(text);
await storing.finish();
const asked = fieldsOf(["accept-encoding", "gzip, deflate, br, zstd"]);
const stored = store.findInMemory(cacheKeyOf(named), asked);
if (stored === undefined) throw new Error("it is stored");
await compressor.select(stored, asked);
await compressor.settled();
const run = async () => {
  for (let hit = 0; hit < hits; hit += 1) compressor.selectInMemory(stored, asked);
};
await run();
process.stdout.write(`a choice on a hit ${(((await cpuMs(run)) * 1e6) / hits).toFixed(0)} ns\n`);
