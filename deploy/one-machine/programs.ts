/** The programs of a one-machine start: configured, joined once, supervised, stopped in order. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#platform/clock.ts";
import type { DataFolder } from "./data-folder.ts";
import type { Operator } from "./samples.ts";
import { type SupervisedProgram, type SupervisionEvents, superviseProgram } from "./supervised.ts";
import type { ProgramKind, ProgramPlan } from "./topology.ts";

/** Who others lean on stops after them: sessions are told first, the origin hears the last reports. */
const STOP_ORDER: readonly ProgramKind[] = ["agent", "edge", "scheduler", "origin"];

export interface ProgramsTools {
  readonly folder: DataFolder;
  readonly clock: Clock;
  readonly events: SupervisionEvents;
}

export class Programs implements AsyncDisposable {
  readonly #tools: ProgramsTools;
  readonly #held: { readonly plan: ProgramPlan; readonly program: SupervisedProgram }[] = [];

  constructor(tools: ProgramsTools) {
    this.#tools = tools;
  }

  get all(): readonly SupervisedProgram[] {
    return this.#held.map(({ program }) => program);
  }

  /** Ready when it resolves. `operator` makes the join token that a node needs at its first start. */
  async start(plan: ProgramPlan, operator: Pick<Operator, "createJoinToken"> | undefined, signal: AbortSignal) {
    const { folder, clock, events } = this.#tools;
    const { name, main, environmentFile, restartMsMin, adminUrl } = plan;
    const configFile = folder.configFile(name);
    const join = hasJoined(plan) ? {} : await joinSettings(plan, folder, operator);
    writeFileSync(configFile, `${JSON.stringify({ ...plan.settings, ...join }, null, 2)}\n`, { mode: 0o600 });
    const files = { logFile: folder.logFile(name), pidFile: folder.pidFile(name) };
    const spec = { name, main, environmentFile, configFile, adminUrl, restartMsMin, ...files };
    const program = superviseProgram(spec, clock, events);
    this.#held.push({ plan, program });
    await program.start(signal);
  }

  kill(): void {
    for (const { program } of this.#held) program.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const kind of STOP_ORDER) {
      const members = this.#held.filter(({ plan }) => plan.kind === kind);
      await Promise.all(members.map(({ program }) => program.stop()));
    }
  }
}

/** Its identity is what a join token is for, and is kept over restarts. */
export function hasJoined({ join: wanted, dataDir }: ProgramPlan): boolean {
  return wanted === undefined || existsSync(join(dataDir, "identity", "identity.json"));
}

async function joinSettings(
  { name, join: wanted }: ProgramPlan,
  folder: DataFolder,
  operator: Pick<Operator, "createJoinToken"> | undefined,
): Promise<object> {
  if (wanted === undefined || operator === undefined) return {};
  const { token, pin } = await operator.createJoinToken({ name, ...wanted });
  const tokenFile = folder.joinTokenFile(name);
  writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
  return { join: { tokenFile, pin } };
}
