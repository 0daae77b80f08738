/** Programs that believe it is another time: libfaketime before their C library, its offset in a file that may change. */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Edge, Ground, Member, Origin } from "#test/end-to-end/fleet.ts";

/** How long an offset that was read holds: every reading of a clock would open the file else. */
const CACHED_SECONDS = 1;
export const OFFSET_SEEN_MS = 1_500;
const DEPLOYED_ENVIRONMENT = join(import.meta.dirname, "..", "..", "deploy", "programs", "edge-node.env");

function findLibrary(): string | undefined {
  return globSync("/usr/lib/*/faketime/libfaketime.so.1")[0];
}

export function fakeClockLacks(): string | undefined {
  return findLibrary() === undefined ? "another time takes libfaketime (Debian package faketime)" : undefined;
}

export class FakeClock {
  readonly #offsetFile: string;
  readonly #environmentFile: string;

  constructor({ folder }: Ground) {
    this.#offsetFile = join(folder, "clock-offset");
    this.#environmentFile = join(folder, "fake-clock.env");
    const variables = [
      `LD_PRELOAD=${findLibrary()}`,
      `FAKETIME_TIMESTAMP_FILE=${this.#offsetFile}`,
      `FAKETIME_CACHE_DURATION=${CACHED_SECONDS}`,
      // Only what people call the time: intervals stay what they are, and so do the times of files.
      "FAKETIME_DONT_FAKE_MONOTONIC=1",
      "NO_FAKE_STAT=1",
    ];
    this.set(0);
    writeFileSync(this.#environmentFile, `${readFileSync(DEPLOYED_ENVIRONMENT, "utf8")}\n${variables.join("\n")}\n`);
  }

  /** Of all programs that have this clock, those that run too, within `OFFSET_SEEN_MS`. */
  set(offsetSeconds: number): void {
    writeFileSync(this.#offsetFile, `${offsetSeconds < 0 ? "" : "+"}${offsetSeconds}\n`);
  }

  /** The same program, to be started with this clock; the one that runs is another's. */
  edge(edge: Edge): Edge {
    return { ...edge, ...this.#faked(edge) };
  }

  origin(origin: Origin): Origin {
    return { ...origin, ...this.#faked(origin) };
  }

  #faked({ spec }: Member): Member {
    return { spec: { ...spec, environmentFile: this.#environmentFile }, running: undefined };
  }
}
