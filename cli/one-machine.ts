/** Runs the one-machine start for `perigee dev`: gives it the operator's commands, prints where everything is, waits. */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { TSchema } from "typebox";
import { Value } from "typebox/value";
import { stringify } from "yaml";
import { bundleClient } from "#client/bundle.ts";
import { joinTokenResultSchema, tokenResultSchema } from "#contracts/operator-api/operator.ts";
import { type OneMachine, type OneMachineOptions, startOneMachine } from "#deploy/one-machine/one-machine.ts";
import type { Operator } from "#deploy/one-machine/samples.ts";
import { POOLS, siteUrlAt, steeringUrlOf } from "#deploy/one-machine/topology.ts";
import { Failure } from "#domain/failure.ts";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/random.ts";
import { applyFiles } from "./commands/apply.ts";
import { publishFolder } from "./commands/publish.ts";
import { apiFor, type CommandSession } from "./commands/session.ts";
import type { ContextFile } from "./context.ts";
import type { Output } from "./output.ts";

const SILENT: Output = { line: () => {}, note: () => {} };

export async function runOneMachine(options: OneMachineOptions, session: CommandSession): Promise<void> {
  const { output, signal, killSignal } = session;
  const interrupted = signal.aborted ? undefined : once(signal, "abort");
  const begunMs = systemClock.monotonicMs();
  const seconds = () => ((systemClock.monotonicMs() - begunMs) / 1000).toFixed(1).padStart(5);
  const note = (text: string) => output.note(`${seconds()} s  ${text}`);
  note(`starting; data, configuration and logs are in ${options.data}`);
  const tokenFile = join(options.data, "operator-token");
  const started = startOneMachine(options, {
    clock: systemClock,
    random: systemRandom,
    signal,
    killSignal,
    note,
    openOperator: (origin) => operatorOf(origin, tokenFile),
    bundlePage: async (folder) => void (await bundleClient(folder)),
  });
  await using machine = await started.catch((error: unknown) => {
    if (signal.aborted) return undefined;
    throw error;
  });
  if (machine === undefined) return output.note("stopped before everything was up");
  const context: ContextFile = { origin: machine.plan.originUrl, scheduler: machine.plan.schedulerUrl, tokenFile };
  const contextFile = join(options.data, "context.yaml");
  writeFileSync(contextFile, stringify(context));
  for (const line of addressLines(machine, options, session, contextFile)) output.line(line);
  await interrupted;
  note("stopping everything in order; Ctrl-C again ends it at once");
}

function operatorOf(origin: string, tokenFile: string): Operator {
  const api = apiFor({ origin, scheduler: origin, token: readFileSync(tokenFile, "utf8").trim() });
  const post = async <S extends TSchema>(path: string, body: unknown, schema: S) => {
    const answer = await api.origin({ method: "POST", path, body });
    if (Value.Check(schema, answer)) return answer;
    throw new Failure("upstream-malformed", `${origin}${path} answered something else than it should`);
  };
  return {
    apply: async (files) => void (await applyFiles(() => api, files, { dryRun: false, force: false })),
    publish: (folder, site) => publishFolder(api, folder, site, SILENT),
    createJoinToken: (request) => post("/v1/join-tokens", request, joinTokenResultSchema),
    createAppToken: (request) => post("/v1/app-tokens", request, tokenResultSchema),
  };
}

function addressLines(
  { plan, pageFragment, programs }: OneMachine,
  { portOffset }: OneMachineOptions,
  { environment }: CommandSession,
  contextFile: string,
): readonly string[] {
  const row = (what: string, where: string) => `  ${what.padEnd(22)} ${where}`;
  const shown = relative(environment.folder, contextFile);
  const context = shown.startsWith("..") ? contextFile : shown;
  return [
    "",
    "Sent to the nearest edge by the scheduler:",
    row("VR page", steeringUrlOf("vr", portOffset)),
    row("it, with a kill button", `${steeringUrlOf("vr", portOffset)}${pageFragment}`),
    row("VR, boxes to throw", `${steeringUrlOf("vr", portOffset)}tabletop/`),
    row("site, published", steeringUrlOf("shop", portOffset)),
    row("site, pulled", steeringUrlOf("mirror", portOffset)),
    "The published site at each edge:",
    ...POOLS.map((pool) => row(`${pool.name}, ${pool.rttMs} ms away`, siteUrlAt("shop", pool, portOffset))),
    "For operators:",
    row("status page", `${plan.originUrl}/`),
    row("operator API", `${plan.originUrl}/docs`),
    row("scheduler API", `${plan.schedulerUrl}/docs`),
    ...programs
      .filter(({ state }) => state === "running")
      .map(({ name, adminUrl }) => row(`metrics of ${name}`, `${adminUrl}/metrics`)),
    row("command line", `node_modules/.bin/node cli/main.ts --context ${context} get nodes`),
    "Ctrl-C stops everything.",
  ];
}
