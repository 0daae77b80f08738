/** How many sessions of a class fit beside those that run: one vector of what the hardware has, shared by all classes. Pure. */
import type { SlotCount } from "#domain/fleet/node.ts";

/** What a session of one class and app takes. */
export interface SessionCost {
  /** Of render and encode time, as calibrated: 1 is the whole machine. */
  readonly shareRatio: number;
  readonly memoryBytes: number;
}

export interface HostRoom {
  /** Whatever is measured: processes, UDP ports, the operator's word. */
  readonly slotsMax: number;
  readonly memoryBytes: number;
}

/** Ten shares of a tenth are a whole, whatever binary fractions say. */
const ROUNDING = 1e-9;

/** One session always fits an empty machine: slow is told, not hidden. */
export function sessionsThatFit(cost: SessionCost, running: readonly SessionCost[], room: HostRoom): number {
  const slots = room.slotsMax - running.length;
  if (running.length === 0 && slots > 0) return Math.max(1, fit(cost, 1, room.memoryBytes, slots));
  const shareLeft = 1 - running.reduce((sum, { shareRatio }) => sum + shareRatio, 0);
  const bytesLeft = room.memoryBytes - running.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  return fit(cost, shareLeft, bytesLeft, slots);
}

function fit({ shareRatio, memoryBytes }: SessionCost, shareLeft: number, bytesLeft: number, slots: number): number {
  const byShare = shareRatio === 0 ? slots : Math.floor(shareLeft / shareRatio + ROUNDING);
  const byMemory = memoryBytes === 0 ? slots : Math.floor(bytesLeft / memoryBytes);
  return Math.max(0, Math.min(slots, byShare, byMemory));
}

/** Of a class: what a frame may take until it is whole at its receiver, and what it takes on a machine that is just full. */
export interface FrameBounds {
  readonly msMax: number;
  readonly fullMsP95: number;
}

export interface FullMachine {
  /** Of the session that does not fit. */
  readonly cost: SessionCost;
  readonly frames: FrameBounds;
  readonly running: readonly SessionCost[];
  readonly room: HostRoom;
}

/** What is missing for one more, and the best value that it could have here. */
export function describeFull({ cost, frames, running, room }: FullMachine): string {
  const sessions = running.length === 1 ? "1 session runs" : `${running.length} sessions run`;
  if (running.length >= room.slotsMax) return `${sessions}, as many as this agent has places for`;
  const share = running.reduce((sum, { shareRatio }) => sum + shareRatio, cost.shareRatio);
  if (share <= 1 + ROUNDING) return `${sessions}, and the memory that is left is less than another needs`;
  const bestMs = frames.fullMsP95 * share;
  const limit = `of the ${frames.msMax.toFixed(1)} ms that they may take`;
  // The processors' reserve may be what is missing: then the frames of one more would be in time, and somebody else's not.
  if (bestMs <= frames.msMax)
    return `${sessions}; frames of one more would take ${bestMs.toFixed(1)} ms at best (p95), ${limit}, out of the reserve of this node`;
  return `${sessions}; frames of one more would take ${bestMs.toFixed(1)} ms at best (p95), instead ${limit}`;
}

export interface ClassFacts {
  readonly renderClass: string;
  /** Of the costliest app that is ready; `undefined` where none is. */
  readonly cost: SessionCost | undefined;
  readonly frameMsP95: number;
}

export function slotCounts(
  classes: readonly ClassFacts[],
  running: readonly SessionCost[],
  room: HostRoom,
): readonly SlotCount[] {
  return classes.map(({ renderClass, cost, frameMsP95 }) => {
    const total = cost === undefined ? 0 : sessionsThatFit(cost, [], room);
    const free = cost === undefined ? 0 : Math.min(total, sessionsThatFit(cost, running, room));
    return { renderClass, total, free, frameMsP95 };
  });
}
