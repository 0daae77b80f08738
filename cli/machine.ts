/** Asks the running one-machine start of a data folder, and prints what it answers. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Value } from "typebox/value";
import { controlFileSchema, type MachineStatus, machineStatusSchema } from "#deploy/one-machine/control.ts";
import { controlFileIn } from "#deploy/one-machine/data-folder.ts";
import { Failure } from "#domain/failure.ts";
import { callApi } from "./api-client.ts";
import type { CommandSession } from "./commands/session.ts";
import { printValue, renderTable } from "./output.ts";

export interface MachineOptions {
  /** From where the command was given. */
  readonly data: string;
  readonly output: string;
}

export type MachineRequest =
  | { readonly method: "GET"; readonly path: "/" }
  | { readonly method: "POST"; readonly path: `/${string}/${string}` };

/** One after another; prints what the last one answers. Throws `unavailable` where nothing runs with the folder. */
export async function askMachine(
  session: CommandSession,
  options: MachineOptions,
  requests: readonly MachineRequest[],
): Promise<void> {
  let status: MachineStatus | undefined;
  for (const request of requests) status = await ask(session, options, request);
  if (status !== undefined) print(session, options, status);
}

async function ask(
  { environment }: CommandSession,
  { data }: MachineOptions,
  { method, path }: MachineRequest,
): Promise<MachineStatus> {
  const folder = resolve(environment.folder, data);
  const file = controlFileIn(folder);
  const control: unknown = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
  if (!Value.Check(controlFileSchema, control)) {
    throw new Failure("unavailable", `no \`perigee dev\` runs with the folder ${folder}: start it, or give its --data`);
  }
  const answer = await callApi({ method, base: control.url, path, token: control.token });
  if (Value.Check(machineStatusSchema, answer)) return answer;
  throw new Failure("upstream-malformed", `${control.url} answered something else than a machine's status`);
}

function print({ output }: CommandSession, options: MachineOptions, status: MachineStatus): void {
  if (options.output === "json") {
    printValue(output, "json", status);
    return;
  }
  const programs = status.programs.map(({ name, state, pid }) => [name, state, String(pid ?? "")]);
  const pools = status.pools.map(({ name, rttMs, isCut }) => [name, isCut ? "cut off" : `${rttMs} ms away`, ""]);
  output.line(renderTable(["NAME", "STATE", "PROCESS"], [...programs, ...pools]));
}
