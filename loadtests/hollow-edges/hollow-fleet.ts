/** The processes of a hollow fleet, as the benchmark sees them: one command to all, what they hold as one answer. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Value } from "typebox/value";
import { type Command, type Told, toldSchema } from "./messages.ts";

export class HollowFleet implements AsyncDisposable {
  readonly #children: readonly ChildProcess[];

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children;
  }

  static async start(planFiles: readonly string[]): Promise<HollowFleet> {
    const fleet = new HollowFleet(
      planFiles.map((file) => fork(join(import.meta.dirname, "hollow-process.ts"), [file])),
    );
    await Promise.all(fleet.#children.map((child) => answerOf(child)));
    return fleet;
  }

  get pids(): readonly number[] {
    return this.#children.flatMap(({ pid }) => pid ?? []);
  }

  /** Of all processes together. */
  async tell(command: Command): Promise<Told> {
    const told = await Promise.all(
      this.#children.map((child) => {
        const answer = answerOf(child);
        child.send(command);
        return answer;
      }),
    );
    return {
      up: told.reduce((sum, { up }) => sum + up, 0),
      revision: Math.min(...told.map(({ revision }) => revision)),
      appliedAtMs: told.flatMap(({ appliedAtMs }) => appliedAtMs),
      downs: told.reduce((sum, { downs }) => sum + downs, 0),
      fault: told.map(({ fault }) => fault).find((reason) => reason !== "") ?? "",
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, "exit");
        child.disconnect();
        await ended;
      }),
    );
  }
}

async function answerOf(child: ChildProcess): Promise<Told> {
  const waiting = new AbortController();
  const gone = () => waiting.abort(new Error("a process of hollow edges has ended"));
  child.once("exit", gone);
  const [message] = await once(child, "message", { signal: waiting.signal });
  child.off("exit", gone);
  return Value.Parse(toldSchema, message);
}
