/** A real TURN server (coturn) on loopback, which knows its users by a shared secret. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import type { IceServer } from "#domain/session/ice-server.ts";
import { systemClock } from "#platform/clock.ts";
import { turnCredential } from "#platform/ice/ice-servers.ts";
import { freeUdpPort } from "../render-agent/free-udp-port.ts";
import { patiently } from "../render-agent/patience.ts";

/** Any request that it answers: a binding request without attributes (RFC 8489 section 5). */
const BINDING_REQUEST = Buffer.from("000100002112a442000102030405060708090a0b", "hex");
const RELAYED_PORTS = ["--min-port=42000", "--max-port=44999"];

/** Why there is none here; `undefined`: there is. */
export function turnIsMissing(): string | undefined {
  const { error } = spawnSync("turnserver", ["--version"]);
  return error === undefined ? undefined : "turnserver is not installed (Debian: coturn)";
}

export interface TurnServer extends AsyncDisposable {
  /** As a client or an agent is handed it, by this secret. */
  iceServers(secret: string): readonly IceServer[];
}

export async function startTurnServer(folder: string, secret: string): Promise<TurnServer> {
  const port = await freeUdpPort();
  const child = spawn("turnserver", [
    ...["-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", `--listening-port=${port}`, ...RELAYED_PORTS],
    ...["--use-auth-secret", `--static-auth-secret=${secret}`, "--realm=perigee.test", "--allow-loopback-peers"],
    ...["--no-tls", "--no-dtls", "--no-cli", `--pidfile=${join(folder, "pid")}`, `--userdb=${join(folder, "users")}`],
    ...["--log-file=stdout", "--simple-log"],
  ]);
  try {
    await patiently(() => answers(port), "the TURN server");
  } catch (error) {
    await stop(child);
    throw error;
  }
  const url = `turn:127.0.0.1:${port}?transport=udp`;
  return {
    iceServers(by) {
      const expiresAtSeconds = Math.floor(systemClock.nowMs() / 1000) + 600;
      return [{ urls: [url], ...turnCredential(by, "s-1", expiresAtSeconds) }];
    },
    [Symbol.asyncDispose]: () => stop(child),
  };
}

async function answers(port: number): Promise<boolean> {
  const socket = createSocket("udp4");
  try {
    socket.send(BINDING_REQUEST, port, "127.0.0.1");
    await once(socket, "message", { signal: systemClock.deadline(200) });
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
