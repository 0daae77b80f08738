/** What happened in a simulated run, as a running digest: two runs of one seed that differ anywhere have different ones. */
import { createHash } from "node:crypto";

export class Trace {
  readonly #hash = createHash("sha256");
  readonly #print: ((line: string) => void) | undefined;

  constructor(print?: (line: string) => void) {
    this.#print = print;
  }

  /** Rare enough to be read by a person, too. */
  tell(atMs: number, what: string): void {
    this.#hash.update(`${atMs} ${what}\n`);
    this.#print?.(`${(atMs / 1000).toFixed(3).padStart(8)} s  ${what}`);
  }

  message(atMs: number, way: string, bytes: Uint8Array): void {
    this.#hash.update(`${atMs} ${way} `);
    this.#hash.update(bytes);
  }

  digest(): string {
    return this.#hash.digest("hex");
  }
}
