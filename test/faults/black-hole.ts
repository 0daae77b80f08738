/** Packets to and from ports of this machine that vanish, as behind a dead router: no answer and no refusal (iptables). */
import { spawnSync } from "node:child_process";
import type { Address } from "#platform/address.ts";

/** What is missing for it; `undefined` where nothing is. */
export function blackHoleLacks(): string | undefined {
  if (process.getuid?.() !== 0) return "packets vanish by the kernel's filter, which needs root";
  const { status } = iptables(["-S", "INPUT"]);
  return status === 0 ? undefined : "packets vanish by iptables (Debian package iptables), which does not work here";
}

export function blackHole(addresses: readonly Address[]): Disposable {
  const rules = addresses.flatMap(({ port }) =>
    ["--dport", "--sport"].map((end) => ["INPUT", "-i", "lo", "-p", "tcp", end, String(port), "-j", "DROP"]),
  );
  const remove = (): void => {
    process.off("exit", remove);
    for (const rule of rules) iptables(["-D", ...rule]);
  };
  // Rules outlive the process that made them.
  process.once("exit", remove);
  for (const rule of rules) {
    const { status, stderr } = iptables(["-I", ...rule]);
    if (status !== 0) throw new Error(`iptables ${rule.join(" ")}: ${stderr}`);
  }
  return { [Symbol.dispose]: remove };
}

function iptables(words: readonly string[]) {
  return spawnSync("iptables", ["-w", ...words], { encoding: "utf8" });
}
