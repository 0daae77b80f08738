/** Finds out before anything starts whether the ports that it needs are free. */
import { createServer } from "node:net";
import { Failure, isFailure } from "#domain/failure.ts";
import { closeServer, listen } from "#platform/http/listening.ts";
import type { MachinePlan } from "./topology.ts";

const HOST = "127.0.0.1";

/** Throws `unavailable` naming all that are taken. */
export async function checkPortsAreFree(plan: MachinePlan): Promise<void> {
  const taken: number[] = [];
  for (const port of tcpPortsOf(plan)) if (!(await isFree(port))) taken.push(port);
  if (taken.length === 0) return;
  throw new Failure(
    "unavailable",
    `in use on ${HOST}: port ${taken.join(", ")}; stop what listens there, or move all ports by --port-offset NUMBER`,
  );
}

export function tcpPortsOf({
  origin,
  scheduler,
  edges,
  agents,
  links,
  upstreamPort,
  controlPort,
}: MachinePlan): number[] {
  const programs = [origin, scheduler, ...edges, ...agents];
  const listening = programs.flatMap(({ settings }) => Object.values(Object(settings["listen"])).map(String));
  const ofPrograms = listening.map((address) => Number(address.split(":").at(-1)));
  const ofLinks = links.filter(({ protocol }) => protocol === "tcp").map(({ listenPort }) => listenPort);
  return [...ofPrograms, ...ofLinks, upstreamPort, controlPort];
}

/** Of this machine's loopback, over TCP. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await listen(server, { host: HOST, port });
  } catch (error) {
    if (!isFailure(error)) throw error;
    return false;
  }
  await closeServer(server);
  return true;
}
