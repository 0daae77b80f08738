/** Derives how much of a session's latency budget is left for the network. Pure. */
import type { RenderAppSpec, RenderClass } from "../session/render-app.ts";

/** The access link that a frame is serialised on; slower ones show in the measured round trips under load. */
const ACCESS_BITS_PER_SECOND = 100_000_000;
/** Of a client that has not measured itself: hardware decoding of one frame, and jitter on a wired or good wireless link. */
const DECODE_MS_DEFAULT = 4;
const JITTER_MS_DEFAULT = 2;

export interface BudgetParts {
  readonly budgetMs: number;
  readonly renderEncodeMsP95: number;
  readonly decodeMs: number;
  readonly jitterMs: number;
  /** Time on the narrowest link for the bytes of one frame. */
  readonly serialisationMs: number;
}

export interface DeviceTimes {
  readonly decodeMs: number;
  readonly jitterMs: number;
}

export function deviceTimes(device: {
  readonly decodeMs?: number | undefined;
  readonly jitterMs?: number | undefined;
}): DeviceTimes {
  return { decodeMs: device.decodeMs ?? DECODE_MS_DEFAULT, jitterMs: device.jitterMs ?? JITTER_MS_DEFAULT };
}

/** What is the same on every node of a class. */
export interface FixedParts {
  readonly budgetMs: number;
  readonly device: DeviceTimes;
  readonly app: Pick<RenderAppSpec, "needs">;
  readonly renderClass: RenderClass;
}

export function budgetPartsOf(
  { budgetMs, device, app, renderClass }: FixedParts,
  renderEncodeMsP95: number,
): BudgetParts {
  const frameBits = app.needs.egressBitsPerSecond / renderClass.frameRateHz;
  return { budgetMs, renderEncodeMsP95, ...device, serialisationMs: (frameBits / ACCESS_BITS_PER_SECOND) * 1000 };
}

/** Parts that are the same wherever the session runs. */
export type SharedParts = Pick<BudgetParts, "decodeMs" | "jitterMs" | "serialisationMs">;

/** What distance does not change. */
export function fixedMs({ decodeMs, jitterMs, serialisationMs }: SharedParts, renderEncodeMsP95: number): number {
  return renderEncodeMsP95 + decodeMs + jitterMs + serialisationMs;
}

/** What the parts leave; negative where the pool cannot keep the budget at any distance. */
export function deriveRttLimitMs(parts: BudgetParts): number {
  return parts.budgetMs - fixedMs(parts, parts.renderEncodeMsP95);
}
