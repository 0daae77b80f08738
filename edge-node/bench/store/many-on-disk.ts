/** A store of very many objects on disk: from the start of the edge to its first hit, and what each takes of memory and disk. */
import { createHash } from "node:crypto";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { createServer, get } from "node:http";
import { join } from "node:path";
import { systemClock } from "#platform/clock.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import { openDatabase } from "#platform/sqlite/database.ts";
import { residentMb, startProcess } from "#test/bench/processes.ts";
import type { Row } from "#test/bench/report.ts";
import { bytesOnDisk, digestOf } from "../../store/disk-row.ts";
import { MIGRATIONS, prepareStatements } from "../../store/disk-schema.ts";
import { formatHead } from "../../store/head-text.ts";
import { cacheKeyOf, tagsOf } from "../../store/stored-response.ts";
import { madeBody, madeHead, madePath } from "./made-responses.ts";
import { openStore } from "./opened-store.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const FIRST_HIT_MS = 3_000;
const OBJECT_BYTES = 200;
/** Bodies that are there; the others have their rows only, and nobody asks for them. */
const BODIES = 1_000;
const ROWS_AT_ONCE = 10_000;
const DISK_BYTES = 64 * 1024 ** 3;

export async function measureMany(folder: string, objects: number): Promise<readonly Row[]> {
  const [many, none] = [join(folder, "many"), join(folder, "none")];
  for (const path of [many, none])
    await (await openStore(path, { disk: DISK_BYTES, memory: 1 }))[Symbol.asyncDispose]();
  const countedBytes = writeRows(many, objects);
  const indexBytes = statSync(join(many, "index.sqlite")).size;
  const withNone = await start(none, objects);
  const withMany = await start(many, objects);
  const each = ((withMany.residentMb - withNone.residentMb) * 1e6) / objects;
  return [
    {
      row: `first_hit_of_${objects}`,
      value: withMany.firstMs,
      unit: "ms",
      baseline: withNone.firstMs,
      target: FIRST_HIT_MS,
    },
    { row: "index_memory_each", value: Math.round(each), unit: "bytes", baseline: null, target: OBJECT_BYTES },
    {
      row: "index_on_disk_by_counted",
      value: rounded(indexBytes / countedBytes),
      unit: "ratio",
      baseline: null,
      target: 1,
    },
    { row: "index_on_disk_each", value: Math.round(indexBytes / objects), unit: "bytes", baseline: null, target: null },
  ];
}

/** As the store would have written them; answers what it counts for the rows alone. */
function writeRows(folder: string, objects: number): number {
  using database = openDatabase(join(folder, "index.sqlite"), { migrations: MIGRATIONS, durability: "normal" });
  const { insert, tag } = prepareStatements(database);
  const atMs = systemClock.nowMs();
  let countedBytes = 0;
  const write = (number: number) => {
    const head = madeHead(number, atMs);
    const body = madeBody(number);
    const seal = { bodyBytes: body.byteLength, slices: createHash("sha256").update(body).digest() };
    const file = `ffffffffffff-${number}`;
    if (number < BODIES) writeBody(folder, number, file, body);
    const bytes = bytesOnDisk(head, seal);
    countedBytes += bytesOnDisk(head, { ...seal, bodyBytes: 0 });
    const text = formatHead(head);
    const { lastInsertRowid } = insert.run(
      ...[cacheKeyOf(head), null, head.site, head.key, head.variant, text, file, seal.bodyBytes, seal.slices],
      ...[digestOf(text, head, seal), bytes, atMs, 1, 1 / bytes],
    );
    for (const name of tagsOf(head.fields)) tag.run(name, lastInsertRowid);
  };
  for (let from = 0; from < objects; from += ROWS_AT_ONCE)
    database.transaction(() => {
      for (let number = from; number < Math.min(objects, from + ROWS_AT_ONCE); number += 1) write(number);
    });
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  return countedBytes;
}

function writeBody(folder: string, number: number, file: string, body: Buffer): void {
  const path = join(folder, "bodies", String(number % 64));
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, file), body);
}

/** From the process's start to a whole answer out of the store, or from the upstream; memory after some of each. */
async function start(
  folder: string,
  objects: number,
): Promise<{ readonly firstMs: number; readonly residentMb: number }> {
  const upstream = createServer((_request, response) => {
    response.writeHead(200, { "cache-control": "no-store" }).end();
  });
  const { port } = await listen(upstream, { host: "127.0.0.1", port: 0 });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => closeServer(upstream));
  const beginMs = systemClock.monotonicMs();
  const edge = stack.use(
    await startProcess({
      command: process.execPath,
      words: [
        ...[join(ROOT, "cli", "main.ts"), "edge", "--listen", "127.0.0.1:0"],
        ...["--upstream", `http://127.0.0.1:${port}`, "--store", folder, "--disk-bytes", String(DISK_BYTES)],
      ],
      ready: /on (http:\S+)/,
    }),
  );
  const url = new URL(edge.said[1] ?? "");
  const isHit = await ask(url, madePath(1));
  const firstMs = Math.round(systemClock.monotonicMs() - beginMs);
  const isFilled = statSync(join(folder, "index.sqlite")).size > 1024 * 1024;
  if (isHit !== isFilled) throw new Error(`${madePath(1)} is ${isHit ? "" : "not "}answered from the store`);
  for (let number = 0; number < BODIES; number += 1) await ask(url, madePath(number));
  for (let number = 0; number < BODIES; number += 1) await ask(url, `/none/${number % objects}`);
  return { firstMs, residentMb: residentMb(edge.pid) };
}

function ask(url: URL, path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = { host: url.hostname, port: url.port, path, headers: { host: "bench.example" } };
    get(options, (answer) => {
      const isHit = String(answer.headers["cache-status"]).includes("hit");
      answer.resume().once("end", () => resolve(isHit));
    }).once("error", reject);
  });
}

const rounded = (value: number) => Math.round(value * 1000) / 1000;
