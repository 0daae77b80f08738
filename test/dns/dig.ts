/** `dig`, as an operator asks with it, and what it prints of an answer. */
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";
import type { Address } from "#platform/address.ts";

const run = promisify(execFile);
/** Of the whole of a question with its one try. */
const DIG_MS_MAX = 10_000;

export interface Dug {
  readonly status: string;
  readonly flags: readonly string[];
  /** TTL, type and data of each. */
  readonly answers: readonly { readonly ttlSeconds: number; readonly type: string; readonly value: string }[];
  /** `ADDRESS/SOURCE/SCOPE`; undefined where it is not told. */
  readonly subnet: string | undefined;
  readonly text: string;
}

/** Why it cannot be used here; undefined: it can. */
export function isMissing(program: "dig" | "unbound", from: string): string | undefined {
  const { error } = spawnSync(program, ["-h"], { stdio: "ignore" });
  return error === undefined ? undefined : `${program} is not installed (Debian: ${from})`;
}

export async function dig({ host, port }: Address, ...words: readonly string[]): Promise<Dug> {
  const args = [`@${host}`, "-p", String(port), "+tries=1", "+time=5", ...words];
  const { stdout: text } = await run("dig", args, { timeout: DIG_MS_MAX });
  const answers = [...text.matchAll(/^[^;\s]\S*\s+(\d+)\s+IN\s+(\S+)\s+(.+)$/gm)];
  return {
    status: /status: (\w+)/.exec(text)?.[1] ?? "",
    flags: (/^;; flags: ([^;]*);/m.exec(text)?.[1] ?? "").split(" "),
    answers: answers.map(([, ttl = "", type = "", value = ""]) => ({ ttlSeconds: Number(ttl), type, value })),
    subnet: /CLIENT-SUBNET: (\S+)/.exec(text)?.[1],
    text,
  };
}
