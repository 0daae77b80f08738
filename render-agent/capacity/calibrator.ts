/** Measures what render classes cost on this machine with real processes, one, two, four and more at once; kept on disk. */
import { readFile } from "node:fs/promises";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { type Failure, isFailure } from "#domain/failure.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { Clock } from "#platform/clock.ts";
import { writeFileDurably } from "#platform/files/durable.ts";
import type { MediaPlace } from "../session/messages.ts";
import type { SessionProcess } from "../session/session-process.ts";
import {
  type Calibration,
  calibrationOf,
  DETAILS,
  fitsPeriod,
  judgeLevel,
  type LevelOutcome,
  type Machine,
  nextLevel,
} from "./calibration.ts";

/** Of one session, for the level of detail; of a level, in which each has its frames. */
const ALONE_MS = 500;
const LEVEL_MS = 1_000;
/** A neighbour's moment makes a level look worse than it is, and never better. */
const LEVEL_TRIES = 2;
/** Of all classes that are new; what there was no time for is estimated from what was measured. */
export const CALIBRATION_MS_MAX = 10_000;
export const CALIBRATIONS_MAX = 256;

const storedSchema = Type.Record(
  Type.String({ minLength: 1 }),
  Type.Object(
    {
      detail: Type.Number({ minimum: 0, maximum: 1 }),
      slots: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
      frameMsP95: Type.Number({ minimum: 0 }),
      overMsP95: Type.Number({ minimum: 0 }),
    },
    { additionalProperties: false },
  ),
  { maxProperties: CALIBRATIONS_MAX },
);

export interface CalibrationJob {
  readonly app: { readonly name: string };
  readonly renderClass: RenderClass;
  readonly sceneFile: string;
  readonly appFile?: string | undefined;
  /** Of the scene, and of its app where it has one. */
  readonly sceneDigest: string;
}

export interface CalibratorOptions {
  readonly path: string;
  readonly processors: number;
  readonly clock: Clock;
  readonly events: {
    calibrated(job: CalibrationJob, calibration: Calibration): void;
    appRefused(job: CalibrationJob, failure: Failure): void;
    storageFailed(error: unknown): void;
  };
}

export interface Calibrator {
  find(adapterName: string, job: CalibrationJob): Calibration | undefined;
  /** Why a job's app cannot be rendered: it failed when it was tried. */
  refusalOf(job: CalibrationJob): Failure | undefined;
  /**
   * As many as there is time for, in their order. Throws what starting a process and setting it up throw, once the others
   * are measured.
   */
  measure(adapter: Adapter, jobs: readonly CalibrationJob[], ports: MeasurePorts): Promise<void>;
}

export interface MeasurePorts {
  /** Places of this agent: more are not tried. */
  readonly sessionsMax: number;
  readonly takeProcess: () => Promise<SessionProcess>;
  readonly giveBack: (process: SessionProcess) => void;
  readonly signal: AbortSignal;
}

interface Adapter {
  readonly adapterName: string;
  readonly isSoftware: boolean;
}

/** A file that cannot be read is measured anew. */
export async function openCalibrator(options: CalibratorOptions): Promise<Calibrator> {
  const { path, clock, events, processors } = options;
  const known = new Map(Object.entries(await readStored(path)));
  /** By scene, until the next start. */
  const refused = new Map<string, Failure>();
  /** By scene, of the last round: they come after the others, for whom they may have left no time. */
  let missedLast: ReadonlySet<string> = new Set();
  /** After each: who is started again meanwhile does not measure it again. */
  const store = async (): Promise<void> => {
    for (const key of [...known.keys()].slice(0, -CALIBRATIONS_MAX)) known.delete(key);
    await writeFileDurably(path, JSON.stringify(Object.fromEntries(known))).catch((error: unknown) => {
      if (!isFailure(error)) throw error;
      events.storageFailed(error);
    });
  };
  return {
    find: (adapterName, job) => known.get(keyOf(adapterName, job)),
    refusalOf: ({ sceneDigest }) => refused.get(sceneDigest),
    async measure(adapter, jobs, ports) {
      const { signal, sessionsMax } = ports;
      const untilMs = clock.monotonicMs() + CALIBRATION_MS_MAX;
      const isMissed = ({ sceneDigest }: CalibrationJob): boolean => missedLast.has(sceneDigest);
      const missed = new Map<string, Failure>();
      using held = holdProcesses(ports);
      const machine = { processors, isSoftware: adapter.isSoftware };
      const means = { provide: held.provide, sessionsMax, machine };
      for (const job of jobs.toSorted((a, b) => Number(isMissed(a)) - Number(isMissed(b)))) {
        if (signal.aborted || clock.monotonicMs() > untilMs) break;
        if (refused.has(job.sceneDigest)) continue;
        const calibration = await measureOne(job, means).catch((error: unknown) => {
          if (!isFailure(error) || signal.aborted) throw error;
          return error;
        });
        if (isFailure(calibration)) {
          held.stop(calibration.code);
          if (OWN_FAULTS.some((code) => isFailure(calibration, code))) {
            refused.set(job.sceneDigest, calibration);
            events.appRefused(job, calibration);
          } else missed.set(job.sceneDigest, calibration);
          continue;
        }
        known.set(keyOf(adapter.adapterName, job), calibration);
        events.calibrated(job, calibration);
        await store();
      }
      held.giveBack();
      for (const key of [...refused.keys()].slice(0, -CALIBRATIONS_MAX)) refused.delete(key);
      missedLast = new Set(missed.keys());
      const [failure] = missed.values();
      if (failure !== undefined) throw failure;
    },
  };
}

/** Those that are not given back are stopped, at once where the agent stops. */
function holdProcesses({ takeProcess, giveBack, signal }: MeasurePorts) {
  const held: SessionProcess[] = [];
  const stop = (because: string): void => {
    for (const process of held.splice(0)) process.stop(because);
  };
  const onAbort = (): void => stop("stopping");
  signal.addEventListener("abort", onAbort, { once: true });
  return {
    stop,
    async provide(count: number): Promise<readonly SessionProcess[]> {
      while (held.length < count) {
        held.push(await takeProcess());
        signal.throwIfAborted();
      }
      return held.slice(0, count);
    },
    giveBack(): void {
      for (const process of held.splice(0)) {
        process.rest();
        giveBack(process);
      }
    },
    [Symbol.dispose](): void {
      signal.removeEventListener("abort", onAbort);
      stop("not-calibrated");
    },
  };
}

/** Of what is to be rendered, whoever renders it: other apps are measured all the same. */
const OWN_FAULTS = ["app-failed", "app-invalid", "scene-invalid"] as const;

const NO_MEDIA: MediaPlace = { bindAddress: "127.0.0.1", port: 0 };

interface Measuring extends Pick<MeasurePorts, "sessionsMax"> {
  readonly provide: (count: number) => Promise<readonly SessionProcess[]>;
  readonly machine: Machine;
}

async function measureOne(
  { renderClass, sceneFile, appFile }: CalibrationJob,
  { provide, sessionsMax, machine }: Measuring,
): Promise<Calibration> {
  const setupOf = (detail: number) => ({ renderClass, sceneFile, appFile, detail, media: NO_MEDIA });
  const { frameRateHz } = renderClass;
  let chosen = 1;
  const [first] = await provide(1);
  for (const detail of machine.isSoftware ? DETAILS : [1]) {
    chosen = detail;
    await first?.setUp(setupOf(detail));
    const alone = await first?.measure(ALONE_MS);
    if (alone === undefined || fitsPeriod(alone.renderEncodeMs, frameRateHz)) break;
  }
  let ready = 1;
  const seen: LevelOutcome[] = [];
  const next = (): number | undefined => nextLevel(seen, sessionsMax, machine);
  for (let count = next(); count !== undefined; count = next()) {
    const level = await provide(count);
    for (const process of level.slice(ready)) {
      await process.setUp(setupOf(chosen));
      // Its connection is made; frames count from when all have one.
      await process.measure(0);
    }
    ready = Math.max(ready, count);
    seen.push(await tryLevel(level, frameRateHz, machine));
  }
  return calibrationOf(chosen, seen);
}

/** The better of its tries, the first that holds. */
async function tryLevel(
  level: readonly SessionProcess[],
  frameRateHz: number,
  machine: Machine,
): Promise<LevelOutcome> {
  const measure = async (): Promise<LevelOutcome> => {
    const frames = await Promise.all(level.map((process) => process.measure(LEVEL_MS)));
    return judgeLevel(frames, frameRateHz, machine);
  };
  let best = await measure();
  for (let tries = 1; tries < LEVEL_TRIES && !best.isHeld; tries += 1) {
    const next = await measure();
    if (next.isHeld || next.frameMsP95 < best.frameMsP95) best = next;
  }
  return best;
}

function keyOf(adapterName: string, { renderClass, sceneDigest }: CalibrationJob): string {
  const { eyeWidthPixels, eyeHeightPixels, frameRateHz } = renderClass;
  return `${adapterName} ${eyeWidthPixels}x${eyeHeightPixels}@${frameRateHz} ${sceneDigest}`;
}

async function readStored(path: string): Promise<Static<typeof storedSchema>> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    return Value.Check(storedSchema, value) ? value : {};
  } catch {
    return {};
  }
}
