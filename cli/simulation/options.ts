/** The options that what-ifs over a fleet share. Pure. */
import { Failure } from "#domain/failure.ts";

/** A tenth and ten times of what a day is taken to be; beyond it another fleet is what is asked for. */
const LOAD_MIN = 0.1;
const LOAD_MAX = 10;
const SLOTS_PER_GPU_MAX = 1000;
const SEED_MAX = 4_294_967_295;
export const SEED_DEFAULT = "1";

export function parseLoad(text: string): number {
  return parseNumber("--load", text, { from: LOAD_MIN, to: LOAD_MAX });
}

export function parseSlotsPerGpu(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseNumber("--slots-per-gpu", text, { from: 0.1, to: SLOTS_PER_GPU_MAX });
}

export function parseSeed(text: string): number {
  return parseWhole("--seed", text, { from: 0, to: SEED_MAX });
}

export function parseWhole(name: string, text: string, range: { readonly from: number; readonly to: number }): number {
  if (/^\d{1,10}$/.test(text)) return parseNumber(name, text, range);
  throw new Failure("argument-invalid", `${name} must be a whole number, got ${JSON.stringify(text)}`);
}

function parseNumber(name: string, text: string, { from, to }: { readonly from: number; readonly to: number }): number {
  const value = /^\d{1,10}(\.\d{1,10})?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= from && value <= to) return value;
  throw new Failure("argument-invalid", `${name} must be ${from} to ${to}, got ${JSON.stringify(text)}`);
}
