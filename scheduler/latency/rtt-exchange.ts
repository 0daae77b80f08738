/** Round trips that one replica measured, told to the others through a stream in Redis: a replica that has just started reads what is kept there. */
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { isFailure } from "#domain/failure.ts";
import { type PathEnds, RttMap, type RttMapOptions, type RttSample } from "#domain/latency/rtt-map.ts";
import type { Clock } from "#platform/clock.ts";
import type { RedisScripts } from "#platform/redis/redis-scripts.ts";
import { ToldStream } from "#platform/redis/told-stream.ts";

/** What was measured here is known there after so long, at most and on average half of it. */
export const RTT_EXCHANGE_MS = 1_000;
/** Of one replica in one turn; what is more counts here only. */
export const RTT_SAMPLES_PER_TURN_MAX = 256;
/** Turns with samples that the stream keeps, of all replicas: some 20 MiB with every one full. */
export const RTT_TURNS_KEPT_MAX = 512;
/** Read by one script: what is longer is read by the next one, at once. */
const TURNS_PER_READ_MAX = 32;

const degrees = Type.Number({ minimum: -180, maximum: 180 });

/** Groups, pool, RTT in ms, age in ms when it was told, source, trust, and where client and pool are (latitude, longitude, each) or nothing. */
const Told = Type.Array(
  Type.Tuple([
    Type.Array(Type.String({ maxLength: 256 }), { maxItems: 8 }),
    Type.String({ maxLength: 256 }),
    Type.Number({ minimum: 0 }),
    Type.Number({ minimum: 0 }),
    Type.Union([Type.Literal("session"), Type.Literal("probe"), Type.Literal("resolver")]),
    Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
    Type.Union([Type.Tuple([]), Type.Tuple([degrees, degrees, degrees, degrees])]),
  ]),
  { maxItems: RTT_SAMPLES_PER_TURN_MAX },
);

export interface RttExchangeEvents {
  told(samples: number): void;
  learned(samples: number): void;
  /** Measured in a turn that had its most already, or told to nobody since Redis was not there. */
  untold(samples: number): void;
  /** What a replica of another version, or nobody of ours, wrote there. */
  unreadable(turn: string): void;
}

export interface RttExchangePorts {
  readonly redis: Pick<RedisScripts, "run">;
  readonly clock: Pick<Clock, "nowMs">;
  readonly events: RttExchangeEvents;
  /** Of this replica since it started. */
  readonly incarnation: string;
  readonly key: string;
}

interface Measured extends RttSample {
  readonly groups: readonly string[];
}

/** An RTT map that remembers what is to be told of it. */
export class SharedRttMap extends RttMap {
  readonly #ageMsMax: number;
  #untold: Measured[] = [];
  #leftOut = 0;

  constructor(options: RttMapOptions) {
    super(options);
    this.#ageMsMax = options.ageMsMax;
  }

  override record(groups: readonly string[], sample: RttSample): void {
    super.record(groups, sample);
    if (this.#untold.length < RTT_SAMPLES_PER_TURN_MAX) this.#untold.push({ ...sample, groups });
    else this.#leftOut += 1;
  }

  get ageMsMax(): number {
    return this.#ageMsMax;
  }

  /** What another replica measured. */
  learn({ groups, ...sample }: Measured): void {
    super.record(groups, sample);
  }

  takeUntold(): { readonly samples: readonly Measured[]; readonly leftOut: number } {
    const taken = { samples: this.#untold, leftOut: this.#leftOut };
    this.#untold = [];
    this.#leftOut = 0;
    return taken;
  }
}

export class RttExchange {
  readonly #map: SharedRttMap;
  readonly #ports: RttExchangePorts;
  readonly #stream: ToldStream;

  constructor(map: SharedRttMap, ports: RttExchangePorts) {
    this.#map = map;
    this.#ports = ports;
    this.#stream = new ToldStream({
      ...ports,
      ...{ turnsKeptMax: RTT_TURNS_KEPT_MAX, turnsPerReadMax: TURNS_PER_READ_MAX, lifetimeMs: map.ageMsMax },
    });
  }

  /** Tells what was measured since the last turn, and learns what the others told. Without Redis each replica goes by its own. */
  async turn(): Promise<void> {
    const { samples, leftOut } = this.#map.takeUntold();
    const { events } = this.#ports;
    try {
      let isBehind = await this.#exchange(samples);
      events.told(samples.length);
      events.untold(leftOut);
      while (isBehind) isBehind = await this.#exchange([]);
    } catch (error) {
      if (!isFailure(error)) throw error;
      events.untold(samples.length + leftOut);
    }
  }

  /** Whether there is more to read. */
  async #exchange(samples: readonly Measured[]): Promise<boolean> {
    const { turns, isBehind } = await this.#stream.exchange(this.#pack(samples));
    const nowMs = this.#ports.clock.nowMs();
    for (const { id, text, ageMs } of turns) this.#learn(id, text, nowMs - ageMs);
    return isBehind;
  }

  #pack(samples: readonly Measured[]): string {
    if (samples.length === 0) return "";
    const nowMs = this.#ports.clock.nowMs();
    return JSON.stringify(
      samples.map(({ groups, pool, rttMs, atMs, source, trustRatio = 1, ends }) => [
        groups,
        pool,
        rttMs,
        Math.max(0, nowMs - atMs),
        source,
        trustRatio,
        packEnds(ends),
      ]),
    );
  }

  #learn(id: string, text: string, toldAtMs: number): void {
    const { clock, events } = this.#ports;
    const told = parseTold(text);
    if (told === undefined) {
      events.unreadable(id);
      return;
    }
    const oldestMs = clock.nowMs() - this.#map.ageMsMax;
    let learned = 0;
    for (const [groups, pool, rttMs, ageMs, source, trustRatio, places] of told) {
      const atMs = toldAtMs - ageMs;
      if (atMs < oldestMs) continue;
      this.#map.learn({ groups, pool, rttMs, atMs, source, trustRatio, ends: parseEnds(places) });
      learned += 1;
    }
    events.learned(learned);
  }
}

function packEnds(ends: PathEnds | undefined): Static<typeof Told>[number][6] {
  if (ends === undefined) return [];
  const { client, pool } = ends;
  return [client.latitude, client.longitude, pool.latitude, pool.longitude];
}

function parseEnds(places: Static<typeof Told>[number][6]): PathEnds | undefined {
  if (places.length === 0) return undefined;
  const [clientLatitude, clientLongitude, latitude, longitude] = places;
  return { client: { latitude: clientLatitude, longitude: clientLongitude }, pool: { latitude, longitude } };
}

function parseTold(text: string) {
  try {
    const told: unknown = JSON.parse(text);
    return Value.Check(Told, told) ? told : undefined;
  } catch {
    return undefined;
  }
}
