/** Request traces, and the share of requests and bytes that a cache of a size answers. */
import { readFileSync } from "node:fs";

/** Parallel arrays: the object that request n is for, small numbers from nought, and its bytes. */
export interface Trace {
  readonly name: string;
  readonly objects: Int32Array;
  readonly bytes: Float64Array;
  readonly objectCount: number;
  /** Of all objects, each once. */
  readonly footprintBytes: number;
}

/** True for a hit; what was missed is kept or not. */
export type Cache = (object: number, bytes: number) => boolean;

export interface HitRatios {
  readonly object: number;
  readonly byte: number;
}

/** Lines `time,key,size` below a head. Throws the file system's error where there is no such file. */
export function readTrace(name: string, path: string, requestsMax = Number.POSITIVE_INFINITY): Trace {
  const lines = readFileSync(path, "utf8").trim().split("\n").slice(1);
  const rows = lines.slice(0, Math.min(lines.length, requestsMax)).map((line) => line.split(","));
  return traceOf(
    name,
    rows.map(([, key = "", size = ""]) => [key, Number(size)]),
  );
}

export function traceOf(name: string, requests: readonly (readonly [key: string, bytes: number])[]): Trace {
  const numbers = new Map<string, number>();
  const objects = new Int32Array(requests.length);
  const bytes = new Float64Array(requests.length);
  let footprintBytes = 0;
  for (const [index, [key, size]] of requests.entries()) {
    if (!(size > 0)) throw new Error(`${name}: request ${index + 1} has the size ${size}, expected one above nought`);
    const known = numbers.get(key);
    if (known === undefined) footprintBytes += size;
    objects[index] = known ?? numbers.size;
    bytes[index] = size;
    numbers.set(key, objects[index] ?? 0);
  }
  return { name, objects, bytes, objectCount: numbers.size, footprintBytes };
}

export function replay({ objects, bytes }: Trace, cache: Cache): HitRatios {
  let hits = 0;
  let hitBytes = 0;
  let allBytes = 0;
  for (const [index, object] of objects.entries()) {
    const size = bytes[index] ?? 0;
    allBytes += size;
    if (!cache(object, size)) continue;
    hits += 1;
    hitBytes += size;
  }
  return { object: hits / objects.length, byte: hitBytes / allBytes };
}
