/**
 * Ports that stay free until who asked for them listens. They lie below those that the system gives to connections
 * that go out and to who listens at port 0, and each process takes them from a block that is its own while it lives.
 */
import { createServer, type Server } from "node:net";
import { isFree } from "#deploy/one-machine/free-ports.ts";
import type { Address } from "#platform/address.ts";
import { systemRandom } from "#platform/random.ts";

const HOST = "127.0.0.1";
const FIRST_PORT = 20_000;
/** Linux begins at 32,768 where `net.ipv4.ip_local_port_range` is as it comes. */
const END_PORT = 32_000;
const BLOCK_PORTS = 100;
const BLOCKS = (END_PORT - FIRST_PORT) / BLOCK_PORTS;

/** Never closed: their end is the process's. */
const blocks: Server[] = [];
let left: number[] = [];
let turn: Promise<unknown> = Promise.resolve();

/** None is given twice to a process. One that another program listens at is left out. */
export function freePort(): Promise<number> {
  const taken = turn.then(takePort);
  turn = taken.catch(() => undefined);
  return taken;
}

export async function freeAddress(): Promise<Address> {
  return { host: HOST, port: await freePort() };
}

async function takePort(): Promise<number> {
  for (let tries = 0; tries < BLOCKS * BLOCK_PORTS; tries += 1) {
    if (left.length === 0) left = await takeBlock();
    const port = left.shift() ?? 0;
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${FIRST_PORT} to ${END_PORT - 1} is free`);
}

/** Held by a name in the system's list of sockets, which goes with the process however it ends. */
async function takeBlock(): Promise<number[]> {
  const first = systemRandom.integer(BLOCKS);
  for (let step = 0; step < BLOCKS; step += 1) {
    const block = (first + step) % BLOCKS;
    const server = createServer();
    if (!(await holds(server, `\0perigee-test-ports-${block}`))) continue;
    server.unref();
    blocks.push(server);
    return Array.from({ length: BLOCK_PORTS }, (_, index) => FIRST_PORT + block * BLOCK_PORTS + index);
  }
  throw new Error(`all ${BLOCKS} blocks of ports are taken by tests that run`);
}

function holds(server: Server, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(path, () => resolve(true));
  });
}
