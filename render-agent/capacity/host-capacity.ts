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
import { type Calibration, estimateFrom, frameMsMax } from "./calibration.ts";
import type { CalibrationJob, Calibrator } from "./calibrator.ts";
import { describeFull, type HostRoom, type SessionCost, sessionsThatFit, slotCounts } from "./room.ts";

/** What an edge takes of one agent; the first by app and class count. */
const CLASSES_MAX = 64;
/** A process that could not be had now may be in this; what tells of changes does not bring it forward. */
export const RETRY_MS = 5_000;

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
  /** Of the round that measures. */
  #overtaken = new AbortController();
  #retry: Disposable | undefined;

  constructor(options: CapacityOptions) {
    this.#options = options;
  }

  /** Throws `placement-refused` for what is not rendered here, or not yet. */
  hostedClass(app: string, renderClass: string): HostedClass {
    const job = this.#jobs().find((one) => one.app.name === app && one.renderClass.name === renderClass);
    const calibration = job && this.#calibrationOf(job);
    const refusal = job && this.#options.calibrator.refusalOf(job);
    if (refusal !== undefined)
      throw new Failure("placement-refused", `app ${app} is not rendered here: ${refusal.message}`);
    if (job === undefined || calibration === undefined) {
      throw new Failure("placement-refused", `app ${app} in class ${renderClass} is not rendered here, or not yet`);
    }
    const { sceneFile, appFile, app: hosted } = job;
    return {
      renderClass: job.renderClass,
      sceneFile,
      appFile,
      detail: calibration.detail,
      cost: costOf(hosted, calibration),
      frames: framesOf(job.renderClass, calibration),
    };
  }

  /** Why one more does not fit, with the best that it could have; `undefined` where it does. */
  noRoomBecause({ cost, frames }: HostedClass, running: readonly SessionCost[]): string | undefined {
    const { room } = this.#options;
    return sessionsThatFit(cost, running, room) > 0 ? undefined : describeFull({ cost, frames, running, room });
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

  /**
   * Apps, scenes, the GPU or what runs have changed: measures what is new, or estimates it while sessions run. One that
   * comes ends a round: it would take the session's frames their time, and they its.
   */
  update(): void {
    const { health, isIdle } = this.#options;
    if (!isIdle()) this.#overtaken.abort(new Failure("unavailable", "a session has come"));
    const missing = this.#jobs().filter(
      (job) => this.#measuredOf(job) === undefined && !this.#outOfTime.has(keyOf(job)),
    );
    if (missing.length === 0 || this.#measuring !== undefined || this.#stopping.signal.aborted) return;
    const adapter = health();
    if (adapter.kind !== "good") return;
    if (!isIdle()) this.#estimate();
    else if (this.#retry === undefined) this.#measuring = this.#measure(adapter, missing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Failure("unavailable", "the agent is stopping"));
    this.#retry?.[Symbol.dispose]();
    await this.#measuring;
  }

  async #measure(adapter: Extract<HostHealth, { kind: "good" }>, jobs: readonly Job[]): Promise<void> {
    const { calibrator, events, clock, onChange, takeProcess, giveBack } = this.#options;
    const overtaken = new AbortController();
    this.#overtaken = overtaken;
    const signal = AbortSignal.any([this.#stopping.signal, overtaken.signal]);
    try {
      const { slotsMax: sessionsMax } = this.#options.room;
      await calibrator.measure(adapter, jobs, { takeProcess, giveBack, sessionsMax, signal });
      for (const job of jobs)
        if (this.#measuredOf(job) === undefined && !signal.aborted) this.#outOfTime.add(keyOf(job));
      this.#estimate();
    } catch (error) {
      if (!isFailure(error)) throw error;
      if (this.#stopping.signal.aborted) return;
      if (overtaken.signal.aborted) return this.#estimate();
      events.calibrationFailed(error);
      this.#retry = clock.timer(RETRY_MS, () => {
        this.#retry = undefined;
        this.update();
      });
    } finally {
      this.#measuring = undefined;
      if (!this.#stopping.signal.aborted) onChange();
    }
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
        const sceneDigest = scene.app === undefined ? scene.digest : `${scene.digest} ${scene.app.digest}`;
        return { app, renderClass, sceneFile: scene.file, appFile: scene.app?.file, sceneDigest };
      });
    });
  }

  #calibrationOf(job: Job): Calibration | undefined {
    if (this.#options.calibrator.refusalOf(job) !== undefined) return undefined;
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

/** By what was measured with one more than fit, scaled to a machine that is just full. */
function framesOf({ frameRateHz }: RenderClass, { slots, overMsP95 }: Calibration): HostedClass["frames"] {
  return { msMax: frameMsMax(frameRateHz), fullMsP95: (overMsP95 * slots) / (slots + 1) };
}

function costlier(a: SessionCost | undefined, b: SessionCost): SessionCost {
  if (a === undefined) return b;
  const shareRatio = Math.max(a.shareRatio, b.shareRatio);
  return { shareRatio, memoryBytes: Math.max(a.memoryBytes, b.memoryBytes) };
}

function keyOf({ app, renderClass, sceneDigest }: Job): string {
  return `${app.name} ${renderClass.name} ${sceneDigest}`;
}
