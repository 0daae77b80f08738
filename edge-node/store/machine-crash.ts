/**
 * Tells whether the machine went down while the store was open. The index is written without waiting for the disk: what
 * a killed process wrote is whole, what a machine without power wrote may be there in part, and has to be checked.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileDurably } from "#platform/files/durable.ts";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const IN_ORDER = "closed";
const DAMAGED = "damaged";

export class MachineCrash {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = join(folder, "opened");
  }

  /** True where what the index has must be checked before it is believed. From now on it is open. Throws as `writeFileDurably`. */
  async noteOpening(): Promise<boolean> {
    const before = await readFile(this.#path, "utf8").catch(() => undefined);
    const boot = await readFile(BOOT_ID, "utf8").catch(() => DAMAGED);
    await writeFileDurably(this.#path, boot);
    const isSameBoot = before === boot && boot !== DAMAGED;
    return before !== undefined && before !== IN_ORDER && !isSameBoot;
  }

  /** Once all is on the disk. */
  async noteClosed(): Promise<void> {
    await writeFileDurably(this.#path, IN_ORDER);
  }

  /** The index was read, and is not what was written. */
  async noteDamage(): Promise<void> {
    await writeFileDurably(this.#path, DAMAGED);
  }
}
