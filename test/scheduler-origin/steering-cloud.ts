/** A real origin, edges as processes of their own and a scheduler in this process, over loopback. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import type { ProbeResult, ProbeTarget, SteerAnswer } from "#contracts/operator-api/sessions.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { loadConfig } from "#platform/config/load.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { schedulerConfigSchema } from "#scheduler/config.ts";
import { type RunningScheduler, startScheduler } from "#scheduler/scheduler.ts";
import { type Answer, type Asked, api, type Cloud, get, kill } from "../edge-origin/edge-and-origin.ts";

const MAIN = join(import.meta.dirname, "..", "..", "scheduler", "main.ts");
const LOCAL = "127.0.0.1:0";
const START_MS_MAX = 20_000;
export const CLIENT_URL = "http://steer.test:7410";

export interface SchedulerSettings {
  readonly folder: string;
  readonly settings: object;
}

/** A join token in a file, a table of networks, and what a scheduler needs to use them. */
export async function schedulerSettings(
  cloud: Cloud,
  folder: string,
  name: string,
  more: object = {},
): Promise<SchedulerSettings> {
  const answer: { token: string; pin: string } = JSON.parse(
    await api(cloud, "POST", "/v1/join-tokens", { role: "scheduler", name }),
  );
  mkdirSync(folder, { recursive: true });
  const tokenFile = join(folder, `${name}.token`);
  writeFileSync(tokenFile, answer.token);
  const networksFile = join(folder, "networks.yaml");
  const coordinates = { latitude: 38.72, longitude: -9.14 };
  writeFileSync(networksFile, JSON.stringify({ networks: [{ network: "127.0.0.0/8", group: "here", coordinates }] }));
  const { enrolment, nodeRpc } = cloud.listen;
  const settings = {
    dataDir: join(folder, name),
    name,
    join: { tokenFile, pin: answer.pin },
    origin: { enrolment, nodeRpc },
    listen: { client: LOCAL, admin: LOCAL },
    clientUrl: CLIENT_URL,
    networksFile,
    geoip: false,
    pricing: { enabled: true, turnSeconds: 1 },
    logLevel: "silent",
    ...more,
  };
  return { folder, settings };
}

export async function startSchedulerHere(t: Test, { settings }: SchedulerSettings): Promise<RunningScheduler> {
  const scheduler = await startScheduler(loadConfig(schedulerConfigSchema, { text: JSON.stringify(settings) }), {
    clock: systemClock,
    random: systemRandom,
    logger: createLogger({ program: "scheduler", level: "silent" }),
    softwareVersion: "0.1.0",
    signal: systemClock.deadline(START_MS_MAX),
  });
  t.teardown(() => scheduler[Symbol.asyncDispose]());
  return scheduler;
}

/** `node scheduler/main.ts`, with its configuration beside its data. */
export function spawnScheduler(t: Test, { folder, settings }: SchedulerSettings): ChildProcess {
  const file = join(folder, "scheduler.json");
  writeFileSync(file, JSON.stringify(settings));
  const child = spawn(process.execPath, [MAIN, "--config", file], { stdio: ["ignore", "inherit", "inherit"] });
  t.teardown(() => kill(child));
  return child;
}

export function askScheduler({ addresses }: RunningScheduler, path: string, asked: Asked = {}): Promise<Answer> {
  return get(addresses.client, path, { host: "steer.test", ...asked });
}

export async function post(scheduler: RunningScheduler, path: string, body: object, headers: object = {}) {
  const response = await fetch(`http://${formatAddress(scheduler.addresses.client)}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

/** The pools in the order of the answer; empty where there is none. */
export function poolsOf({ status, body }: Answer): readonly string[] {
  if (status !== 200) return [];
  const answer: SteerAnswer = JSON.parse(body.toString());
  return answer.edges.map(({ pool }) => pool);
}

/** Asks each edge as a client does, and says of each what its pool is to be measured as. */
export async function probeEach(
  probes: readonly ProbeTarget[],
  rttMsByPool: Readonly<Record<string, number>>,
): Promise<readonly ProbeResult[]> {
  return Promise.all(
    probes.map(async ({ url, token, pool }) => {
      const response = await fetch(`${url}/.perigee/v1/probe?token=${encodeURIComponent(token)}`);
      const { answer }: { answer: string } = JSON.parse(await response.text());
      const rttMs = rttMsByPool[pool] ?? 0;
      return { answer, rttMs: [rttMs, rttMs, rttMs] };
    }),
  );
}

export async function metric({ addresses }: RunningScheduler, line: string): Promise<number> {
  const { body } = await get(adminOf(addresses), "/metrics");
  const found = body
    .toString()
    .split("\n")
    .find((text) => text.startsWith(`perigee_scheduler_${line} `));
  return Number(found?.split(" ").at(-1) ?? 0);
}

export function adminOf({ admin }: RunningScheduler["addresses"]): Address {
  return admin;
}
