/**
 * What has not served for a minute yet is on trial: starts after a crash are counted on disk before anything of the set
 * is read, and too many of them go back to the set that was proven. Which revision it was is kept, and what was new in it.
 * An end that nothing says to be a crash of the process's own (`kill -9`, a power cut) is not counted.
 */
import type { Resources } from "#contracts/codec/set-state.ts";
import { type Failure, isFailure } from "#domain/failure.ts";
import { type Database, isBrokenDatabase, type Row } from "#platform/sqlite/database.ts";
import { type CrashEvidence, NO_EVIDENCE } from "./crash-evidence.ts";
import { versionOf } from "./subjects.ts";

export const TRIAL_MIGRATION = `
  CREATE TABLE proven (
    one INTEGER PRIMARY KEY CHECK (one = 1), chain INTEGER NOT NULL, position INTEGER NOT NULL,
    epoch INTEGER NOT NULL, revision INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE trial (
    one INTEGER PRIMARY KEY CHECK (one = 1), crashes INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'crashed', 'closed')), memory_kills INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE quarantine (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, revision INTEGER NOT NULL) STRICT;
  CREATE TABLE suspect (
    subject TEXT PRIMARY KEY, version INTEGER NOT NULL, revision INTEGER NOT NULL, quarantines INTEGER NOT NULL
  ) STRICT`;

/** Of a process, each within a minute of the last start or change. A fault of the machine seldom comes three times. */
export const CRASHES_MAX = 3;

/** Purges and revocations beside the set that are on trial too. */
const PROVE_ORDERS = "UPDATE orders SET state = 'proven' WHERE state = 'taken'";
const LEAVE_OUT_ORDERS = "UPDATE orders SET state = 'crashed' WHERE state = 'taken'";

/** A revision of the set, and where its last envelope is stored. */
export interface Position {
  readonly epoch: number;
  readonly revision: number;
  readonly chain: number;
  readonly position: number;
}

export interface Quarantine {
  readonly epoch: number;
  readonly revision: number;
  /** What a newer revision has to change before it is taken; empty where nothing is known. */
  readonly suspects: readonly Suspect[];
}

export interface Suspect {
  readonly subject: string;
  /** Its `resourceVersion` in the set that crashed; 0: it was gone there. */
  readonly version: number;
}

/** How this start came about, where the last one did not end in order. */
export type TrialOutcome =
  | { readonly kind: "none" }
  | { readonly kind: "crashed"; readonly crashes: number }
  /** With the set as it was proven; `releases`: the set was, and what it activated was not. */
  | { readonly kind: "went-back"; readonly to: "set" | "releases" };

export class Trial {
  readonly #database: Database;
  readonly #evidence: CrashEvidence;
  #proven: Position | undefined;
  #quarantine: Quarantine | undefined;
  #isOpen = false;
  #hasEnded = false;

  constructor(database: Database, evidence: CrashEvidence = NO_EVIDENCE) {
    this.#database = database;
    this.#evidence = evidence;
    this.#proven = positionOf(database.prepare("SELECT * FROM proven").get());
    this.#quarantine = this.#readQuarantine();
  }

  /** Once a process, before the set is read. A start that cannot be counted goes on: a full disk keeps no edge down. */
  begin(onFailed: (failure: Failure) => void): TrialOutcome {
    try {
      return this.#begin();
    } catch (error) {
      if (!isFailure(error) || isBrokenDatabase(error)) throw error;
      onFailed(error);
      return { kind: "none" };
    }
  }

  get proven(): Position | undefined {
    return this.#proven;
  }

  /** `undefined` where the newest set is the one served. */
  get quarantine(): Quarantine | undefined {
    return this.#quarantine;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Durable when it returns: before what may crash. */
  open(): void {
    if (this.#isOpen) return;
    this.#writeOpen();
    this.#isOpen = !this.#hasEnded;
  }

  /** Within the transaction that stores another set; `took` is told once that is committed. */
  take(resources: Resources, changed: Iterable<string>, revision: number): void {
    // After going back, what crashed is not in the set that this one takes the place of.
    const isBack = this.#quarantine !== undefined;
    if (isBack) this.#database.exec("DELETE FROM quarantine");
    this.#writeOpen();
    const known = isBack ? this.#database.prepare("SELECT subject FROM suspect").all() : [];
    const write = this.#database.prepare(
      `INSERT INTO suspect VALUES (?1, ?2, ?3, 0) ON CONFLICT (subject) DO UPDATE
         SET version = ?2, revision = ?3, quarantines = 0 WHERE version <> ?2`,
    );
    for (const subject of new Set([...known.map((row) => String(row["subject"])), ...changed])) {
      write.run(subject, versionOf(resources, subject), revision);
    }
  }

  took(): void {
    this.#isOpen = !this.#hasEnded;
    this.#quarantine = undefined;
  }

  /** True where a set says of every suspect what the one said that crashed. */
  isSuspect(resources: Resources): boolean {
    const suspects = this.#quarantine?.suspects ?? [];
    return suspects.length > 0 && suspects.every(({ subject, version }) => versionOf(resources, subject) === version);
  }

  /** The revision has served for long enough. `isAll`: nothing that is newer is on trial. */
  prove(proven: Position, isAll: boolean): void {
    this.#database.transaction(() => {
      const { chain, position, epoch, revision } = proven;
      this.#database
        .prepare("INSERT OR REPLACE INTO proven VALUES (1, ?, ?, ?, ?)")
        .run(chain, position, epoch, revision);
      this.#database.prepare("DELETE FROM envelope WHERE chain < ?").run(chain);
      this.#database.prepare("DELETE FROM suspect WHERE revision <= ?").run(revision);
      this.#database.exec(isAll ? "DELETE FROM trial" : "UPDATE trial SET crashes = 0");
      if (isAll) this.#database.exec(PROVE_ORDERS);
    });
    this.#proven = proven;
    this.#isOpen = !isAll;
  }

  /** Nothing is on trial: what went back with the set has done so. */
  settle(): void {
    this.#database.exec(`DELETE FROM trial; ${PROVE_ORDERS}`);
    this.#isOpen = false;
  }

  /** The process ends in order: its next start is none after a crash. Idempotent. */
  close(): void {
    this.#end("closed");
  }

  /** The process ends, and not in order: by an error of its own that it can still write down. */
  crashed(): void {
    this.#end("crashed");
  }

  #end(state: "closed" | "crashed"): void {
    this.#hasEnded = true;
    if (!this.#isOpen) return;
    this.#database.prepare("UPDATE trial SET state = ?").run(state);
    this.#isOpen = false;
  }

  #begin(): TrialOutcome {
    const wasFatal = this.#evidence.takeFatalReport();
    const row = this.#database.prepare("SELECT * FROM trial").get();
    if (row === undefined) {
      // As a version that proved nothing has left it.
      if (this.#proven === undefined && this.#floor() !== undefined && !this.#isQuarantined()) this.open();
      return { kind: "none" };
    }
    const wasKilledForMemory = this.#evidence.memoryKills() > Number(row["memory_kills"]);
    const wasOpen = row["state"] === "open";
    const isCrash = row["state"] === "crashed" || (wasOpen && (wasFatal || wasKilledForMemory));
    const crashes = Number(row["crashes"]) + Number(isCrash);
    if (crashes >= CRASHES_MAX) return { kind: "went-back", to: this.#goBack() };
    this.#database.prepare("UPDATE trial SET crashes = ?").run(crashes);
    this.open();
    return isCrash ? { kind: "crashed", crashes } : { kind: "none" };
  }

  /** Reads nothing of what may have been the reason. The trial is over when `settle` says so. */
  #goBack(): "set" | "releases" {
    const floor = this.#floor();
    const proven = this.#proven;
    const isProven = floor?.epoch === proven?.epoch && floor?.revision === proven?.revision;
    if (floor === undefined || isProven || this.#isQuarantined()) {
      this.#database.exec(LEAVE_OUT_ORDERS);
      return "releases";
    }
    this.#database.transaction(() => {
      this.#database.exec(LEAVE_OUT_ORDERS);
      this.#database.prepare("INSERT INTO quarantine VALUES (1, ?, ?)").run(floor.epoch, floor.revision);
      this.#database.exec("UPDATE suspect SET quarantines = quarantines + 1");
      this.#database
        .prepare("DELETE FROM envelope WHERE NOT (chain = ? AND position <= ?)")
        .run(proven?.chain ?? 0, proven?.position ?? 0);
      this.#database.prepare("UPDATE trial SET crashes = ?, state = 'closed'").run(CRASHES_MAX);
    });
    this.#quarantine = this.#readQuarantine();
    return "set";
  }

  #floor(): { readonly epoch: number; readonly revision: number } | undefined {
    const row = this.#database.prepare("SELECT epoch, revision FROM floor").get();
    return row && { epoch: Number(row["epoch"]), revision: Number(row["revision"]) };
  }

  #isQuarantined(): boolean {
    return this.#database.prepare("SELECT 1 FROM quarantine").get() !== undefined;
  }

  /** Of several sets that crashed, the suspects are what was in all of them. */
  #readQuarantine(): Quarantine | undefined {
    const row = this.#database.prepare("SELECT epoch, revision FROM quarantine").get();
    if (row === undefined) return undefined;
    const suspects = this.#database
      .prepare(
        `SELECT subject, version FROM suspect
         WHERE quarantines > 0 AND quarantines = (SELECT max(quarantines) FROM suspect) ORDER BY subject`,
      )
      .all()
      .map((found) => ({ subject: String(found["subject"]), version: Number(found["version"]) }));
    return { epoch: Number(row["epoch"]), revision: Number(row["revision"]), suspects };
  }

  #writeOpen(): void {
    if (this.#isOpen) return;
    this.#database
      .prepare("INSERT INTO trial VALUES (1, 0, ?1, ?2) ON CONFLICT (one) DO UPDATE SET state = ?1, memory_kills = ?2")
      .run(this.#hasEnded ? "closed" : "open", this.#evidence.memoryKills());
  }
}

function positionOf(row: Row | undefined): Position | undefined {
  if (row === undefined) return undefined;
  const [epoch, revision, chain, position] = ["epoch", "revision", "chain", "position"].map((name) =>
    Number(row[name]),
  );
  if (epoch === undefined || revision === undefined || chain === undefined || position === undefined) return undefined;
  return { epoch, revision, chain, position };
}
