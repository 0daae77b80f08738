/** What single clients have measured and where they were sent, by address: for their own next decision only. Bounded. */

import { formatNetwork, networkOf, parseIp } from "#domain/ip-networks.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";

/** Some kilobytes each. The least recently used is forgotten and steered by its group's history. */
export const CLIENTS_MAX = 20_000;
/** Paths and networks change; a page that lives longer measures again. */
export const MEASURED_MS_MAX = 600_000;
/** A probe that failed may have been one lost packet. */
const UNANSWERED_MS_MAX = 60_000;
/** Pools of one client: ten rounds of six probes to ever other ones. */
const POOLS_MAX = 60;
const SITES_MAX = 32;
/** What one address adds to the history of its group for a pool while it is remembered: no client fills it alone. */
export const SAMPLES_RECORDED_MAX = 3;
/** An IPv6 user changes addresses within its network (RFC 8981). */
const CLIENT_PREFIX_LENGTH = { 4: 32, 6: 64 } as const;

interface MeasuredPool {
  readonly rttMs: number;
  readonly atMs: number;
}

interface Client {
  readonly measured: BoundedMap<string, MeasuredPool>;
  /** By node, when a probe of it was given out or found unanswered. */
  readonly issued: BoundedMap<string, number>;
  readonly unanswered: BoundedMap<string, true>;
  readonly recorded: BoundedMap<string, number>;
  readonly lastNode: BoundedMap<string, string>;
}

export class ClientMemory {
  readonly #clock: Clock;
  readonly #clients: BoundedMap<string, Client>;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#clients = new BoundedMap({ entriesMax: CLIENTS_MAX });
  }

  get size(): number {
    return this.#clients.size;
  }

  measuredRttMs(address: string, pool: string): number | undefined {
    return this.#find(address)?.measured.peek(pool)?.rttMs;
  }

  measuredPools(address: string): readonly string[] {
    return [...(this.#find(address)?.measured.entries() ?? [])].map(([pool]) => pool);
  }

  isUnanswered(address: string, node: string): boolean {
    return this.#find(address)?.unanswered.has(node) === true;
  }

  lastNode(address: string, site: string): string | undefined {
    return this.#find(address)?.lastNode.peek(site);
  }

  sentTo(address: string, site: string, node: string): void {
    this.#open(address).lastNode.set(site, node);
  }

  issued(address: string, nodes: readonly string[]): void {
    const { issued } = this.#open(address);
    for (const node of nodes) issued.set(node, this.#clock.monotonicMs());
  }

  /** Gives the nodes that were to be probed and are not among the answered. */
  answered(address: string, answers: readonly { node: string; pool: string; rttMs: number }[]): readonly string[] {
    const { measured, issued, unanswered } = this.#open(address);
    const atMs = this.#clock.monotonicMs();
    for (const { node, pool, rttMs } of answers) {
      measured.set(pool, { rttMs, atMs });
      issued.delete(node);
      unanswered.delete(node);
    }
    if (answers.length === 0) return [];
    const missing = [...issued.entries()].map(([node]) => node);
    for (const node of missing) unanswered.set(node, true);
    issued.clear();
    return missing;
  }

  /** How many of so many samples may still be recorded for the address's group; counts them as recorded. */
  takeSamples(address: string, pool: string, count: number): number {
    const { recorded } = this.#open(address);
    const before = recorded.peek(pool) ?? 0;
    const taken = Math.max(0, Math.min(count, SAMPLES_RECORDED_MAX - before));
    // What is full stays so for its time from the first sample on.
    if (taken > 0) recorded.set(pool, before + taken);
    return taken;
  }

  #find(address: string): Client | undefined {
    return this.#clients.get(keyOf(address));
  }

  #open(address: string): Client {
    const known = this.#find(address);
    if (known !== undefined) return known;
    const lasting = <V>(entriesMax: number, ms: number) =>
      new BoundedMap<string, V>({ entriesMax, lifetime: { ms, clock: this.#clock } });
    const client: Client = {
      measured: lasting(POOLS_MAX, MEASURED_MS_MAX),
      issued: lasting(POOLS_MAX, UNANSWERED_MS_MAX),
      unanswered: lasting(POOLS_MAX, UNANSWERED_MS_MAX),
      recorded: lasting(POOLS_MAX, MEASURED_MS_MAX),
      lastNode: lasting(SITES_MAX, MEASURED_MS_MAX),
    };
    this.#clients.set(keyOf(address), client);
    return client;
  }
}

function keyOf(address: string): string {
  const parsed = parseIp(address);
  return parsed === undefined ? address : formatNetwork(networkOf(parsed, CLIENT_PREFIX_LENGTH[parsed.family]));
}
