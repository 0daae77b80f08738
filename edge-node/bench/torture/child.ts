/** The process that is killed: the production store under a load that says what it does, before and after. */
import { writeSync } from "node:fs";
import type { Failure } from "#domain/failure.ts";
import { type Clock, systemClock } from "#platform/clock.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { openResponseStore, type ResponseStore } from "../../store/response-store.ts";
import type { StoredResponse } from "../../store/stored-response.ts";
import type { Found, Said } from "./ledger.ts";
import {
  bodyOf,
  GROUPS,
  groupPrefix,
  groupTag,
  headOf,
  keyOf,
  NO_FIELDS,
  pathOf,
  SITE,
  versionOf,
} from "./made-object.ts";

const STDOUT = 1;
const CHUNK_BYTES = 50_000;
const WRITES_AT_ONCE = 6;

export interface ChildOptions {
  readonly folder: string;
  readonly seed: number;
  /** Versions and times of this run are above those of all before it. */
  readonly base: number;
  readonly objects: number;
  readonly diskBytes: number;
}

const say = (said: Said | { readonly kind: "ready" }) => void writeSync(STDOUT, `${JSON.stringify(said)}\n`);

class Load {
  readonly #options: ChildOptions;
  readonly #store: ResponseStore;
  readonly #random: Random;
  readonly #tick: () => number;
  /** Objects that are being written, and whether a purge came meanwhile. */
  readonly #writing = new Map<number, { wasPurged: boolean }>();

  constructor(options: ChildOptions, store: ResponseStore, tick: () => number) {
    this.#options = options;
    this.#store = store;
    this.#random = seededRandom(options.seed);
    this.#tick = tick;
  }

  async verify(): Promise<void> {
    for (let number = 0; number < this.#options.objects; number += 1) {
      const found = await this.#store.find(keyOf(number), NO_FIELDS);
      say({ kind: "found", number, found: found && (await foundOf(number, found)) });
    }
  }

  /** Until it is killed. */
  async run(): Promise<never> {
    for (;;) {
      while (this.#writing.size >= WRITES_AT_ONCE) await new Promise(setImmediate);
      await this.#step();
    }
  }

  async #step(): Promise<void> {
    const number = this.#random.integer(this.#options.objects);
    const dice = this.#random.integer(100);
    if (this.#writing.has(number)) return await new Promise(setImmediate);
    if (dice < 70) void this.#write(number);
    else if (dice < 80) await this.#validate(number);
    else if (dice < 85) this.#remove(number);
    else if (dice < 90) this.#purge(number, dice % 2 === 0);
    else if (dice < 92) this.#purgeGroup(number % GROUPS, dice % 2 === 0);
    else await this.#read(number);
  }

  async #write(number: number): Promise<void> {
    const version = this.#tick();
    const writing = { wasPurged: false };
    this.#writing.set(number, writing);
    say({ kind: "begin", number, version });
    const storing = this.#store.begin(headOf({ number, version }, version), () => true);
    const body = bodyOf({ number, version });
    for (let at = 0; at < body.byteLength; at += CHUNK_BYTES) storing.write(body.subarray(at, at + CHUNK_BYTES));
    await storing.finish();
    if (!writing.wasPurged) say({ kind: "done", number, version });
    this.#writing.delete(number);
  }

  async #validate(number: number): Promise<void> {
    const found = await this.#store.find(keyOf(number), NO_FIELDS);
    if (found === undefined || this.#writing.has(number)) return;
    const { body } = found;
    say({ kind: "validate", number });
    this.#store.update({ ...headOf({ number, version: versionOf(found.fields) }, this.#tick()), body });
    say({ kind: "validated", number });
  }

  #remove(number: number): void {
    say({ kind: "remove", number });
    this.#store.remove(keyOf(number));
    say({ kind: "removed", number });
  }

  #purge(number: number, isSoft: boolean): void {
    this.#order({ kind: "purge", scope: "object", of: number, isSoft }, { kind: "paths", paths: [pathOf(number)] });
  }

  /** By tag and by prefix, in turns. */
  #purgeGroup(group: number, isSoft: boolean): void {
    const match =
      this.#random.integer(2) === 0
        ? { kind: "tags" as const, tags: [groupTag(group)] }
        : { kind: "prefix" as const, prefix: groupPrefix(group) };
    this.#order({ kind: "purge", scope: "group", of: group, isSoft }, match);
  }

  #order(
    said: Extract<Said, { kind: "purge" | "purged" }>,
    match: Parameters<ResponseStore["purge"]>[0]["match"],
  ): void {
    say(said);
    for (const [number, writing] of this.#writing) {
      const isNamed = said.scope === "object" ? number === said.of : number % GROUPS === said.of;
      if (isNamed) writing.wasPurged = true;
    }
    void this.#store.purge({ site: SITE, match, soft: said.isSoft, atMs: this.#tick() });
    say({ ...said, kind: "purged" });
  }

  async #read(number: number): Promise<void> {
    const found = await this.#store.find(keyOf(number), NO_FIELDS);
    if (found === undefined) return;
    if ((await foundOf(number, found))?.isWhole === false)
      throw new Error(`object ${number} has wrong bytes while the store runs`);
  }
}

async function foundOf(number: number, { body, fields, freshness }: StoredResponse): Promise<Found | undefined> {
  const version = versionOf(fields);
  const isSoft = freshness.alwaysValidate;
  const expected = bodyOf({ number, version });
  if (body instanceof Uint8Array) return { version, isSoft, isWhole: expected.equals(body) };
  await using opened = await body.open();
  if (opened === undefined) return undefined;
  const parts: Uint8Array[] = [];
  for await (const part of opened.read(0, body.byteLength - 1)) parts.push(part);
  return { version, isSoft, isWhole: expected.equals(Buffer.concat(parts)) };
}

/** Says what it finds, then works until it is killed. */
export async function runChild(options: ChildOptions): Promise<never> {
  let nowMs = options.base;
  const tick = () => {
    nowMs += 1;
    return nowMs;
  };
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  let isVerified = false;
  const fail = (failure: Failure) => {
    // A file that is replaced between its look-up and its opening is gone, and a miss.
    if (!isVerified || failure.code !== "not-found") throw failure;
  };
  const store = await openResponseStore({
    folder: options.folder,
    diskBytesMax: options.diskBytes,
    memoryBytesMax: 4 * 1024 * 1024,
    clock,
    random: seededRandom(options.seed),
    events: { lost: fail, notStored: fail, evicted: () => undefined, used: () => undefined },
  });
  const load = new Load(options, store, tick);
  await load.verify();
  isVerified = true;
  say({ kind: "ready" });
  return await load.run();
}
