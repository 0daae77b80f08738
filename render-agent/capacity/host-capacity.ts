/** What this machine can render: apps whose scene is here, their classes as calibrated, and the room beside what runs. */
import { Failure, isFailure } from "#domain/failure.ts";
import type { SlotCount } from "#domain/fleet/node.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { Clock } from "#platform/clock.ts";
import type { Scene } from "../scenes/scene-keeper.ts";
import type { HostedApp } from "../scenes/scene-source.ts";
import type { HostedClass, RunningClass } from "../session/session-host.ts";
import type { SessionProcess } from "../session/session-process.ts";
import type { HostHealth } from "../session/spares.ts";
import { type Calibration, estimateFrom } from "./calibration.ts";
import type { CalibrationJob, Calibrator } from "./calibrator.ts";
import { type HostRoom, type SessionCost, sessionsThatFit, slotCounts } from "./room.ts";

/** What an edge takes of one agent; the first by app and class count. */
const CLASSES_MAX = 64;
/** A process that could not be had now may be in this. */
const RETRY_MS = 5_000;

export interface CapacityOptions {
  readonly room: HostRoom;
  readonly calibrator: Calibrator;
  readonly apps: () => readonly HostedApp[];
  readonly sceneOf: (app: string) => Scene | undefined;
  readonly health: () => HostHealth;
  readonly isIdle: () => boolean;
  readonly takeProcess: () => Promise<SessionProcess>;
  readonly giveBack: (process: SessionProcess) => void;
  readonly clock: Clock;
  readonly onChange: () => void;
  readonly events: { calibrationFailed(failure: Failure): void };
}

interface Job extends CalibrationJob {
  readonly app: HostedApp;
}

export class HostCapacity implements AsyncDisposable {
  readonly #options: CapacityOptions;
  readonly #stopping = new AbortController();
  /** By job, of what was not measured. */
  #estimates = new Map<string, Calibration>();
  /** Jobs that there was no time to measure: estimated until the next start. */
  readonly #outOfTime = new Set<string>();
  #measuring: Promise<void> | undefined;
  #retry: Disposable | undefined;

  constructor(options: CapacityOptions) {
    this.#options = options;
  }

  /** Throws `placement-refused` for what is not rendered here, or not yet. */
  hostedClass(app: string, renderClass: string): HostedClass {
    const job = this.#jobs().find((one) => one.app.name === app && one.renderClass.name === renderClass);
    const calibration = job && this.#calibrationOf(job);
    if (job === undefined || calibration === undefined) {
      throw new Failure("placement-refused", `app ${app} in class ${renderClass} is not rendered here, or not yet`);
    }
    const { sceneFile, app: hosted } = job;
    return { renderClass: job.renderClass, sceneFile, detail: calibration.detail, cost: costOf(hosted, calibration) };
  }

  fits(cost: SessionCost, running: readonly SessionCost[]): boolean {
    return sessionsThatFit(cost, running, this.#options.room) > 0;
  }

  /** By class, of the costliest app that has it. */
  slots(running: readonly RunningClass[]): readonly SlotCount[] {
    const classes = new Map<string, { cost: SessionCost | undefined; frameMsP95: number }>();
    for (const { classes: offered } of this.#options.apps().map(({ spec }) => spec)) {
      for (const { name } of offered) {
        if (classes.size < CLASSES_MAX) classes.set(name, { cost: undefined, frameMsP95: 0 });
      }
    }
    for (const job of this.#jobs()) {
      const calibration = this.#calibrationOf(job);
      const known = classes.get(job.renderClass.name);
      if (calibration === undefined || known === undefined) continue;
      const cost = costlier(known.cost, costOf(job.app, calibration));
      classes.set(job.renderClass.name, { cost, frameMsP95: Math.max(known.frameMsP95, calibration.frameMsP95) });
    }
    const facts = [...classes].map(([renderClass, { cost, frameMsP95 }]) => {
      return { renderClass, cost, frameMsP95: slowestOf(running, renderClass) ?? frameMsP95 };
    });
    return slotCounts(
      facts,
      running.map(({ cost }) => cost),
      this.#options.room,
    );
  }

  /** `undefined` where at least one class can be rendered. */
  missing(): "no-app" | "scene-missing" | "calibrating" | undefined {
    if (this.#options.apps().length === 0) return "no-app";
    const jobs = this.#jobs();
    if (jobs.length === 0) return "scene-missing";
    return jobs.some((job) => this.#calibrationOf(job) !== undefined) ? undefined : "calibrating";
  }

  /** Apps, scenes, the GPU or what runs have changed: measures what is new, or estimates it while sessions run. */
  update(): void {
    const { health, isIdle } = this.#options;
    const missing = this.#jobs().filter(
      (job) => this.#measuredOf(job) === undefined && !this.#outOfTime.has(keyOf(job)),
    );
    if (missing.length === 0 || this.#measuring !== undefined || this.#stopping.signal.aborted) return;
    const adapter = health();
    if (adapter.kind !== "good") return;
    if (isIdle()) this.#measuring = this.#measure(adapter, missing);
    else this.#estimate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Failure("unavailable", "the agent is stopping"));
    this.#retry?.[Symbol.dispose]();
    await this.#measuring;
  }

  async #measure(adapter: Extract<HostHealth, { kind: "good" }>, jobs: readonly Job[]): Promise<void> {
    const { calibrator, events, clock, onChange, takeProcess, giveBack } = this.#options;
    try {
      await calibrator.measure(adapter, jobs, { takeProcess, giveBack, signal: this.#stopping.signal });
      for (const job of jobs) if (this.#measuredOf(job) === undefined) this.#outOfTime.add(keyOf(job));
      this.#estimate();
    } catch (error) {
      if (!isFailure(error)) throw error;
      if (this.#stopping.signal.aborted) return;
      events.calibrationFailed(error);
      this.#retry = clock.timer(RETRY_MS, () => this.update());
    } finally {
      this.#measuring = undefined;
    }
    onChange();
  }

  #estimate(): void {
    const jobs = this.#jobs();
    const measured = jobs.flatMap((job) => {
      const calibration = this.#measuredOf(job);
      return calibration === undefined ? [] : [{ size: job.renderClass, calibration }];
    })[0];
    if (measured === undefined) return;
    const left = jobs.filter((job) => this.#measuredOf(job) === undefined);
    this.#estimates = new Map(left.map((job) => [keyOf(job), estimateFrom(measured, job.renderClass)]));
  }

  #jobs(): readonly Job[] {
    return this.#options.apps().flatMap((app) => {
      const scene = this.#options.sceneOf(app.name);
      if (scene === undefined) return [];
      return app.spec.classes.map((renderClass: RenderClass) => {
        return { app, renderClass, sceneFile: scene.file, sceneDigest: scene.digest };
      });
    });
  }

  #calibrationOf(job: Job): Calibration | undefined {
    return this.#measuredOf(job) ?? this.#estimates.get(keyOf(job));
  }

  #measuredOf(job: Job): Calibration | undefined {
    const health = this.#options.health();
    return health.kind === "good" ? this.#options.calibrator.find(health.adapterName, job) : undefined;
  }
}

/** What sessions of the class are seen to take says more than a calibration; `undefined` while none has drawn. */
function slowestOf(running: readonly RunningClass[], renderClass: string): number | undefined {
  const times = running.flatMap((one) =>
    one.renderClass === renderClass && one.frameMsP95 > 0 ? [one.frameMsP95] : [],
  );
  return times.length === 0 ? undefined : Math.max(...times);
}

function costOf({ spec }: HostedApp, { slots }: Calibration): SessionCost {
  const { gpuShareRatio, memoryBytes } = spec.needs;
  return { shareRatio: Math.min(1, Math.max(1 / slots, gpuShareRatio)), memoryBytes };
}

function costlier(a: SessionCost | undefined, b: SessionCost): SessionCost {
  if (a === undefined) return b;
  const shareRatio = Math.max(a.shareRatio, b.shareRatio);
  return { shareRatio, memoryBytes: Math.max(a.memoryBytes, b.memoryBytes) };
}

function keyOf({ app, renderClass, sceneDigest }: Job): string {
  return `${app.name} ${renderClass.name} ${sceneDigest}`;
}
