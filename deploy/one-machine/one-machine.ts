/** Starts Perigee on one machine: every program as a process, distances by links, samples; stops all in order. */
import { join } from "node:path";
import { isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import { bundleProgram } from "../programs/bundle.ts";
import { ask } from "./ask.ts";
import { startControl } from "./control.ts";
import { takeDataFolder } from "./data-folder.ts";
import { checkPortsAreFree } from "./free-ports.ts";
import { startLinks } from "./links.ts";
import { hasJoined, Programs } from "./programs.ts";
import { startSampleUpstream } from "./sample/upstream.ts";
import {
  applySampleResources,
  type Operator,
  publishPage,
  publishSampleSite,
  SAMPLE_NETWORKS_FILE,
} from "./samples.ts";
import type { SupervisedProgram, SupervisionEvents } from "./supervised.ts";
import { type MachinePlan, POOLS, type ProgramPlan, planMachine, siteUrlAt, steeringUrlOf } from "./topology.ts";

/** From the last program's readiness to every edge serving the samples: some megabytes, a status, a decision. */
const SERVED_MS_MAX = 60_000;
const SERVED_POLL_MS = 200;
const ANSWER_MS_MAX = 5_000;

export interface OneMachineOptions {
  /** Absolute. */
  readonly data: string;
  readonly portOffset: number;
}

export interface OneMachineTools {
  readonly clock: Clock;
  readonly random: Random;
  /** Ends the start; what runs then is stopped in order. */
  readonly signal: AbortSignal;
  /** Everything ends at once. */
  readonly killSignal: AbortSignal;
  readonly note: (text: string) => void;
  /** Opens the operator API with the token that the origin has written. */
  readonly openOperator: (originUrl: string) => Operator;
  readonly bundlePage: (folder: string) => Promise<void>;
}

export interface OneMachine extends AsyncDisposable {
  readonly plan: MachinePlan;
  readonly programs: readonly SupervisedProgram[];
  /** Added to the VR page's address, the page can kill what serves it. */
  readonly pageFragment: string;
}

/** Everything answers when it resolves. Throws `unavailable` where a program or port cannot be had. */
export async function startOneMachine(options: OneMachineOptions, tools: OneMachineTools): Promise<OneMachine> {
  await using starting = new AsyncDisposableStack();
  const { clock, note, signal } = tools;
  const folder = starting.use(await takeDataFolder(options.data, clock, note));
  const plan = await planBundled(options);
  await checkPortsAreFree(plan);
  const upstreamAddress = { host: "127.0.0.1", port: plan.upstreamPort };
  starting.use(await startSampleUpstream(upstreamAddress, clock));
  const links = starting.use(await startLinks(plan.links, tools));
  const programs = starting.use(new Programs({ folder, clock, events: eventsOf(note) }));
  tools.killSignal.addEventListener("abort", () => programs.kill());
  const failing = new AbortController();
  const limits = AbortSignal.any([signal, failing.signal]);
  try {
    await startInOrder({ ...tools, signal: limits }, { plan, folder, programs });
  } catch (error) {
    // The others need not get ready first to be stopped.
    failing.abort(error);
    throw error;
  }
  await untilServed(options.portOffset, { ...tools, signal: limits });
  const killable = [...plan.edges, ...plan.agents].map(({ name }) => name);
  const steered = { port: plan.controlPort, file: folder.controlFile, programs: programs.all, killable, links };
  const { pageFragment } = starting.use(await startControl({ ...tools, ...steered }));
  const running = starting.move();
  return { plan, pageFragment, programs: programs.all, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Edges start from their bundle, as they are deployed. */
async function planBundled(options: OneMachineOptions): Promise<MachinePlan> {
  const plan = planMachine({ ...options, networksFile: SAMPLE_NETWORKS_FILE });
  const main = await bundleProgram("edge-node", join(options.data, "programs"));
  return { ...plan, edges: plan.edges.map((edge) => ({ ...edge, main })) };
}

interface Parts {
  readonly plan: MachinePlan;
  readonly folder: Awaited<ReturnType<typeof takeDataFolder>>;
  readonly programs: Programs;
}

/** Only what waits for another waits: the first start joins by way of the origin, agents by way of their edge. */
async function startInOrder(tools: OneMachineTools, { plan, folder, programs }: Parts): Promise<void> {
  const { signal, openOperator } = tools;
  const { origin, scheduler, edges, agents } = plan;
  const start = async (program: ProgramPlan, operator?: Operator): Promise<void> => {
    try {
      await programs.start(program, operator, signal);
    } catch (error) {
      // Content is served without a renderer: a machine that has none still shows the rest.
      if (!isFailure(error) || program.kind !== "agent" || signal.aborted) throw error;
      tools.note(`${program.name} cannot be had, so its pool renders nothing: ${error.message}`);
    }
  };
  const [joined, joining] = [true, false].map((wanted) =>
    [scheduler, ...edges, ...agents].filter((program) => hasJoined(program) === wanted),
  );
  const early = (joined ?? []).map((program) => start(program));
  const whenOriginIsReady = async (): Promise<void> => {
    await start(origin);
    const operator = openOperator(plan.originUrl);
    const parts = { ...tools, folder, plan, operator };
    await applySampleResources(parts);
    const first = (joining ?? []).filter(({ kind }) => kind !== "agent");
    const later = (joining ?? []).filter(({ kind }) => kind === "agent");
    const joinAll = async (): Promise<void> => {
      await Promise.all(first.map((program) => start(program, operator)));
      // One after the other: each measures what it can render, on processors that the other would take from it.
      for (const program of later) await start(program, operator);
    };
    await Promise.all([joinAll(), publishSampleSite(parts), publishPage(parts)]);
  };
  await Promise.all([...early, whenOriginIsReady()]);
}

/** What people open must answer: the sample at each edge. */
async function untilServed(portOffset: number, { clock, signal, note }: OneMachineTools): Promise<void> {
  const atEdges = POOLS.map((pool) => siteUrlAt("shop", pool, portOffset));
  const limit = clock.deadline(SERVED_MS_MAX, signal);
  for (const url of [...atEdges, steeringUrlOf("shop", portOffset)]) {
    while (!(await answers(url, clock, limit)) && !limit.aborted) {
      await clock.sleep(SERVED_POLL_MS, limit).catch(() => undefined);
    }
    signal.throwIfAborted();
    if (limit.aborted) return note(`${url} does not answer yet; see the logs`);
  }
}

async function answers(url: string, clock: Clock, limit: AbortSignal): Promise<boolean> {
  const asked = await ask(new URL(url), clock.deadline(ANSWER_MS_MAX, limit)).catch(() => undefined);
  return asked !== undefined && asked.status >= 200 && asked.status < 400;
}

function eventsOf(note: (text: string) => void): SupervisionEvents {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return {
    started: (program, tookMs) => note(`${program} is ready (${seconds(tookMs)})`),
    ended: (program, how, againInMs) => note(`${program} has ended (${how}): again in ${seconds(againInMs)}`),
    gaveUp: (program, restarts) => note(`${program} ended ${restarts} times in a row and is left: see its log`),
  };
}
