/** The day that logs of decisions tell of, over the fleet as it is or as they had it; and what of it is not recorded. */
import { isDeepStrictEqual } from "node:util";
import { Failure } from "#domain/failure.ts";
import { parseNetwork } from "#domain/ip-networks.ts";
import { RTT_MS_UNKNOWN } from "#domain/latency/distance-model.ts";
import type { NamedPolicy } from "#domain/policy/policy-match.ts";
import type { Day, DayApp } from "#domain/simulation/day.ts";
import type { FleetPools } from "#domain/simulation/fleet-pools.ts";
import { makeRecordedDay, type RecordedCounts } from "#domain/simulation/recorded-day.ts";
import { RecordedLog } from "#scheduler/decision-log/recorded-log.ts";
import { PREFIX_LENGTH } from "#scheduler/geo/client-groups.ts";
import { poolsOf, type StatedFleet } from "./fleet.ts";
import { listLogFiles, readLogFile } from "./log-files.ts";
import { shortList } from "./report.ts";

/** Throws `argument-invalid` where no decision on a session can be read. */
export function readRecordedLogs(folders: readonly string[]): RecordedLog {
  const log = new RecordedLog();
  for (const file of listLogFiles(folders)) log.takeSegment(readLogFile(file), file.file);
  if (log.decisions > 0) return log;
  const [unread] = log.unread;
  const why = unread === undefined ? "" : `: ${unread.file}: ${unread.reason}`;
  throw new Failure(
    "argument-invalid",
    `--log ${folders.join(", ")}: no decision on a session can be read in it${why}`,
  );
}

/** Of a fleet that names no pools they are those of the logs, with what they held then. */
export function fleetOfLog({ pools }: RecordedLog, stated: StatedFleet): FleetPools {
  const logged = pools.list(stated.pools);
  const names = new Set(logged.map(({ name }) => name));
  const { pools: others, ...rest } = poolsOf({
    ...stated,
    pools: stated.pools.filter(({ metadata }) => !names.has(metadata.name)),
  });
  return { ...rest, pools: [...logged, ...others] };
}

export interface RecordedParts {
  /** Before the change. */
  readonly fleet: StatedFleet;
  readonly base: FleetPools;
  readonly apps: readonly DayApp[];
  /** Of before and after. */
  readonly policies: readonly Pick<NamedPolicy, "name" | "spec">[];
  readonly seed: number;
}

export interface RecordedDay {
  readonly day: Day;
  /** What of it is not recorded. */
  readonly notes: readonly string[];
  /** How it was, and how it is replayed before the change. */
  noteOf(placed: ReadonlyMap<number, string>): string;
}

/** Throws `argument-invalid` where nobody came that could be placed. */
export function dayOfLog(
  log: RecordedLog,
  { fleet, base: { pools }, apps, policies, seed }: RecordedParts,
): RecordedDay {
  const made = makeRecordedDay({ sessions: log.sessions, pools, apps, seed });
  if (made === undefined) {
    const asked = [...new Set(log.sessions.list().map(({ facts }) => facts.app))];
    const message = `--log: nobody came in it for an app of the fleet: the log has ${shortList(asked)}, the fleet ${shortList(apps.map(({ name }) => name))}`;
    throw new Failure("argument-invalid", message);
  }
  const { day, begunIn } = made;
  return {
    day,
    noteOf: (placed) => {
      const got = begunIn.flatMap((pool, group) => (pool === undefined ? [] : { pool, group }));
      const same = got.filter(({ pool, group }) => placed.get(group) === pool);
      return `before the change ${same.length} of ${got.length} sessions begin in the pool where the log has them`;
    },
    notes: [
      ...notesOfDay(made.counts),
      ...notesOfPools(log, fleet),
      ...notesOfPolicies(policies),
      ...notesOfFiles(log),
    ],
  };
}

function notesOfDay(counts: RecordedCounts): string[] {
  const { ranBefore, ofOtherApps, stays, rttsKnown, rttsEstimated, inPoolsGone, placeUnknown } = counts;
  const rtts = rttsKnown + rttsEstimated;
  const notes = [
    `stays: ${stays.ended} to the session's end, ${stays.renewals} to its last renewal, ${stays.others} as long as one of those, by lot`,
    `round trips: ${rttsKnown} of ${rtts} were measured by the session or its group, ${rttsEstimated} are estimated by distance`,
  ];
  if (ranBefore > 0) notes.push(`${ranBefore} sessions ran when the log began: they hold slots and are not counted`);
  if (placeUnknown > 0) {
    notes.push(
      `the place of ${placeUnknown} is unknown: pools that they did not measure are ${RTT_MS_UNKNOWN} ms away`,
    );
  }
  if (ofOtherApps.size > 0) notes.push(`left out, of apps that the fleet has not: ${countList(ofOtherApps)}`);
  if (inPoolsGone.size > 0) notes.push(`sessions began in pools that the fleet has not: ${countList(inPoolsGone)}`);
  return notes;
}

function notesOfPools({ pools }: RecordedLog, fleet: StatedFleet): string[] {
  if (fleet.pools.length === 0)
    return ["the fleet names no pools: they are those of the log, with what they held then"];
  const changed = fleet.pools.flatMap(({ metadata: { name, labels }, spec: { region, coordinates } }) => {
    const then = pools.find(name);
    const isSame =
      then === undefined ||
      isDeepStrictEqual(
        { labels: then.labels, region: then.region, coordinates: then.coordinates },
        { labels, region, coordinates },
      );
    return isSame ? [] : name;
  });
  if (changed.length === 0) return [];
  return [`labels, region or place are others than in the log, and count as they are now: ${shortList(changed)}`];
}

/** The log has of an address what a client's group has of it. */
function notesOfPolicies(policies: RecordedParts["policies"]): string[] {
  const finer = policies.filter(({ spec: { match } }) => {
    const asksAddress = match?.expression?.includes("address") === true;
    return asksAddress || (match?.cidrs ?? []).some((cidr) => isFiner(cidr));
  });
  if (finer.length === 0) return [];
  const lengths = `/${PREFIX_LENGTH[4]} or /${PREFIX_LENGTH[6]}`;
  const names = shortList([...new Set(finer.map(({ name }) => name))]);
  return [`the log has addresses to ${lengths}, of which the first stands for all: ${names} may ask for more`];
}

function isFiner(cidr: string): boolean {
  const parsed = parseNetwork(cidr);
  return parsed.kind === "network" && parsed.network.prefixLength > PREFIX_LENGTH[parsed.network.family];
}

function notesOfFiles({ torn, faulty, faults, unread }: RecordedLog): string[] {
  const notes: string[] = [];
  const [fault] = faults;
  const [other] = unread;
  if (torn > 0)
    notes.push(`${torn} segments end in what was not written whole: of a scheduler that writes, or was killed`);
  if (fault !== undefined) {
    notes.push(`left out, damaged: ${faulty} entries, the first of ${fault.file} at ${fault.offset}: ${fault.reason}`);
  }
  if (other !== undefined) notes.push(`left out: ${unread.length} segments, the first ${other.file}: ${other.reason}`);
  return notes;
}

function countList(counts: ReadonlyMap<string, number>): string {
  return shortList([...counts].map(([name, count]) => `${name} (${count})`));
}
