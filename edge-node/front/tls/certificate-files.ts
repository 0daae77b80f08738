/** Certificates from PEM files: loaded at the start, and again when the files change or when told to. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { fileReasonOf } from "#platform/files/reason.ts";
import type { Certificates } from "./certificates.ts";

/** A chain is some kilobytes. */
const PEM_BYTES_MAX = 1024 * 1024;
/** Of a folder; see CERTIFICATES_MAX for how many of them are served. */
const FOLDER_ENTRIES_MAX = 4_000;
/** Looked at by name rather than watched: links that are swapped and folders over the network tell no watcher. */
const FILES_POLL_MS = 10_000;

export type CertificateSource =
  | { readonly kind: "pair"; readonly certificateFile: string; readonly keyFile: string }
  /** `NAME.crt` or `NAME.pem` beside `NAME.key`, and `fullchain.pem` beside `privkey.pem`, here and one level below. */
  | { readonly kind: "folder"; readonly folder: string };

type PairOfFiles = Extract<CertificateSource, { kind: "pair" }>;

export interface CertificateFilesOptions {
  readonly sources: readonly CertificateSource[];
  readonly certificates: Certificates;
  readonly clock: Clock;
}

export class CertificateFiles implements AsyncDisposable {
  readonly #options: CertificateFilesOptions;
  /** What each pair's files looked like when they were last read. */
  readonly #seen = new Map<string, string>();
  readonly #polling: Disposable;
  /** One look at a time. */
  #looking: Promise<readonly Failure[]>;

  constructor(options: CertificateFilesOptions) {
    this.#options = options;
    this.#looking = this.#look("all");
    this.#polling = options.clock.every(FILES_POLL_MS, async () => void (await this.#next("changed")));
  }

  /** Resolves once every source has been read: with what was refused, of which the sources go on being looked at. */
  get loaded(): Promise<readonly Failure[]> {
    return this.#looking;
  }

  /** Reads every file again; a pair that is gone from its folder is no longer served. */
  reload(): Promise<readonly Failure[]> {
    return this.#next("all");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#polling[Symbol.dispose]();
    await this.#looking;
  }

  #next(which: "all" | "changed"): Promise<readonly Failure[]> {
    this.#looking = this.#looking.then(() => this.#look(which));
    return this.#looking;
  }

  async #look(which: "all" | "changed"): Promise<readonly Failure[]> {
    const { pairs, failures } = await listPairs(this.#options.sources);
    const refused = [...failures];
    for (const pair of pairs) {
      const failure = await this.#readPair(pair, which);
      if (failure !== undefined) refused.push(failure);
    }
    if (which === "all" && failures.length === 0) this.#forgetAllBut(pairs);
    this.#options.certificates.tellRemaining();
    return refused;
  }

  async #readPair({ certificateFile, keyFile }: PairOfFiles, which: "all" | "changed"): Promise<Failure | undefined> {
    const look = `${await appearanceOf(certificateFile)} ${await appearanceOf(keyFile)}`;
    if (which === "changed" && look === this.#seen.get(certificateFile)) return undefined;
    this.#seen.set(certificateFile, look);
    const certificatePem = await readPem(certificateFile);
    const keyPem = await readPem(keyFile);
    const { certificates } = this.#options;
    if (certificatePem instanceof Failure) return certificates.refuse(certificateFile, certificatePem);
    if (keyPem instanceof Failure) return certificates.refuse(certificateFile, keyPem);
    return certificates.offer(certificateFile, { certificatePem, keyPem });
  }

  #forgetAllBut(pairs: readonly PairOfFiles[]): void {
    const there = new Set(pairs.map(({ certificateFile }) => certificateFile));
    for (const source of [...this.#seen.keys()].filter((known) => !there.has(known))) {
      this.#seen.delete(source);
      this.#options.certificates.remove(source);
    }
  }
}

interface Listing {
  readonly pairs: readonly PairOfFiles[];
  readonly failures: readonly Failure[];
}

async function listPairs(sources: readonly CertificateSource[]): Promise<Listing> {
  const pairs: PairOfFiles[] = [];
  const failures: Failure[] = [];
  for (const source of sources) {
    if (source.kind === "pair") {
      pairs.push(source);
      continue;
    }
    try {
      pairs.push(...(await pairsIn(source.folder)));
    } catch (error) {
      failures.push(unreadable(source.folder, error));
    }
  }
  return { pairs, failures };
}

async function pairsIn(folder: string): Promise<PairOfFiles[]> {
  const names = await readdir(folder, { recursive: false });
  if (names.length > FOLDER_ENTRIES_MAX)
    throw new Failure("overloaded", `${folder} has ${names.length} entries, at most ${FOLDER_ENTRIES_MAX} are read`);
  const here = pairsOf(folder, names);
  const below: PairOfFiles[] = [];
  for (const name of names.filter((entry) => !/\.(key|crt|pem)$/.test(entry) && !entry.startsWith("."))) {
    const inner = await readdir(join(folder, name)).catch(() => []);
    below.push(...pairsOf(join(folder, name), inner));
  }
  return [...here, ...below];
}

/** In the order of their names, so that the same folder always has the same default. */
function pairsOf(folder: string, names: readonly string[]): PairOfFiles[] {
  const there = new Set(names);
  const keys = [...names].filter((name) => name.endsWith(".key") || name === "privkey.pem").sort();
  return keys.flatMap((key): PairOfFiles[] => {
    const stem = key.slice(0, -".key".length);
    const wanted = key === "privkey.pem" ? ["fullchain.pem"] : [`${stem}.crt`, `${stem}.pem`];
    const certificate = wanted.find((name) => there.has(name));
    if (certificate === undefined) return [];
    return [{ kind: "pair", certificateFile: join(folder, certificate), keyFile: join(folder, key) }];
  });
}

/** Changes whenever the file is written or another takes its name; follows links. */
async function appearanceOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino}:${size}:${mtimeMs}`;
  } catch (error) {
    return fileReasonOf(error);
  }
}

async function readPem(path: string): Promise<string | Failure> {
  try {
    const { size } = await stat(path);
    if (size > PEM_BYTES_MAX)
      return new Failure("certificate-invalid", `${path}: it has ${size} bytes, expected at most ${PEM_BYTES_MAX}`);
    return await readFile(path, "utf8");
  } catch (error) {
    return unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure("certificate-invalid", `${path}: ${fileReasonOf(error)}`, { cause: error });
}
