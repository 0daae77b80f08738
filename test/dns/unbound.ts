/** A real unbound on loopback that finds one zone at our server: it writes names in mixed case and tells clients' networks. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { freePort } from "../free-ports.ts";
import { dig } from "./dig.ts";

const READY_MS_MAX = 20_000;

export interface Unbound extends AsyncDisposable {
  readonly address: Address;
}

/** Resolves when it answers. */
export async function startUnbound(folder: string, zone: string, server: Address): Promise<Unbound> {
  const address = { host: "127.0.0.1", port: await freePort() };
  const file = join(folder, "unbound.conf");
  writeFileSync(file, configuration(folder, address, { zone, server }));
  const child = spawn("unbound", ["-d", "-p", "-c", file], { stdio: ["ignore", "inherit", "inherit"] });
  const exited = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await exited;
  };
  const limit = systemClock.deadline(READY_MS_MAX);
  while (!limit.aborted && child.exitCode === null) {
    const answer = await dig(address, "version.bind", "TXT", "CH").catch(() => undefined);
    if (answer !== undefined) return { address, [Symbol.asyncDispose]: stop };
  }
  await stop();
  throw new Error(`unbound does not answer: ${readFileSync(join(folder, "unbound.log"), "utf8")}`);
}

interface Stub {
  readonly zone: string;
  readonly server: Address;
}

function configuration(folder: string, { host, port }: Address, { zone, server }: Stub): string {
  const top = zone.split(".").at(-1);
  return `server:
  directory: "${folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: "unbound.log"
  verbosity: 0
  num-threads: 1
  interface: ${host}@${port}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  local-zone: "${top}." nodefault
  domain-insecure: "${zone}"
  module-config: "subnetcache iterator"
  send-client-subnet: ${server.host}
  client-subnet-always-forward: yes
  max-client-subnet-ipv4: 24
  use-caps-for-id: yes
  qname-minimisation-strict: yes
stub-zone:
  name: "${zone}"
  stub-addr: ${server.host}@${server.port}
remote-control:
  control-enable: no
`;
}
