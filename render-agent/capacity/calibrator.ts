/** Measures what render classes cost on this machine with real processes, one and then two at once; kept on disk. */
import { readFile } from "node:fs/promises";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { isFailure } from "#domain/failure.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { Clock } from "#platform/clock.ts";
import { writeFileDurably } from "#platform/files/durable.ts";
import type { MediaPlace } from "../session/messages.ts";
import type { SessionProcess } from "../session/session-process.ts";
import { type Calibration, calibrationOf, DETAILS, fitsPeriod } from "./calibration.ts";

const ALONE_MS = 400;
const TOGETHER_MS = 600;
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
    },
    { additionalProperties: false },
  ),
  { maxProperties: CALIBRATIONS_MAX },
);

export interface CalibrationJob {
  readonly renderClass: RenderClass;
  readonly sceneFile: string;
  readonly sceneDigest: string;
}

export interface CalibratorOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly events: {
    calibrated(job: CalibrationJob, calibration: Calibration): void;
    storageFailed(error: unknown): void;
  };
}

export interface Calibrator {
  find(adapterName: string, job: CalibrationJob): Calibration | undefined;
  /** As many as there is time for, in their order. Throws what starting a process and setting it up throw. */
  measure(adapter: Adapter, jobs: readonly CalibrationJob[], ports: MeasurePorts): Promise<void>;
}

export interface MeasurePorts {
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
  const { path, clock, events } = options;
  const known = new Map(Object.entries(await readStored(path)));
  return {
    find: (adapterName, job) => known.get(keyOf(adapterName, job)),
    async measure(adapter, jobs, { takeProcess, giveBack, signal }) {
      const untilMs = clock.monotonicMs() + CALIBRATION_MS_MAX;
      const pair: SessionProcess[] = [];
      try {
        for (const job of jobs) {
          if (signal.aborted || clock.monotonicMs() > untilMs) break;
          while (pair.length < 2) pair.push(await takeProcess());
          const [first, second] = pair;
          if (first === undefined || second === undefined) break;
          const calibration = await measureOne(first, second, adapter, job);
          known.set(keyOf(adapter.adapterName, job), calibration);
          events.calibrated(job, calibration);
        }
      } catch (error) {
        for (const process of pair.splice(0)) process.stop("not-calibrated");
        throw error;
      }
      for (const process of pair) giveBack(process);
      for (const key of [...known.keys()].slice(0, -CALIBRATIONS_MAX)) known.delete(key);
      await writeFileDurably(path, JSON.stringify(Object.fromEntries(known))).catch((error: unknown) => {
        if (!isFailure(error)) throw error;
        events.storageFailed(error);
      });
    },
  };
}

const NO_MEDIA: MediaPlace = { bindAddress: "127.0.0.1", port: 0 };

async function measureOne(
  first: SessionProcess,
  second: SessionProcess,
  { isSoftware }: Adapter,
  { renderClass, sceneFile }: CalibrationJob,
): Promise<Calibration> {
  const setupOf = (detail: number) => ({ renderClass, sceneFile, detail, media: NO_MEDIA });
  const { frameRateHz } = renderClass;
  let alone: readonly number[] = [];
  let chosen = 1;
  for (const detail of isSoftware ? DETAILS : [1]) {
    chosen = detail;
    await first.setUp(setupOf(detail));
    alone = await first.measure(ALONE_MS);
    if (fitsPeriod(alone, frameRateHz)) break;
  }
  await second.setUp(setupOf(chosen));
  const together = await Promise.all([first.measure(TOGETHER_MS), second.measure(TOGETHER_MS)]);
  return calibrationOf({ detail: chosen, alone, together: together.flat() }, frameRateHz);
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
