/** Answers names of a zone with edges: decided as for JSON and redirects, for a client's group, and kept for as long as it is sure. */
import { formatNetwork, networkOf, parseIp } from "#domain/ip-networks.ts";
import type { Clock } from "#platform/clock.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import type { DnsClient, NameLookup, ZoneNames } from "#platform/dns/zone-names.ts";
import type { FleetEdge } from "../facts/fleet.ts";
import { MEASURED_MS_MAX } from "../steering/client-memory.ts";
import type { RankedEdge } from "../steering/content-decision.ts";
import type { SteeringEvents, SteeringService } from "../steering/steering-service.ts";
import { type TtlBounds, ttlSecondsOf } from "./answer-ttl.ts";
import { type NamedFleet, ZoneContents } from "./zone-contents.ts";

/** Of a site for a network of a group, some kilobytes each; who is forgotten begins with a short TTL. */
const CHOICES_MAX = 20_000;
/** One decision answers all queries of a network for so long: resolvers keep it for longer. */
const DECIDED_MS_MAX = 1_000;

export interface DnsSteeringPorts {
  readonly fleet: NamedFleet;
  readonly steering: Pick<SteeringService, "rankFor">;
  /** How many bits of the address say its group, and all that policies ask. */
  groupPrefixLength(address: string): number;
  /** Of the desired state. */
  revision(): number;
  readonly bounds: TtlBounds;
  readonly events: Pick<SteeringEvents, "steered" | "noEdge">;
  readonly clock: Pick<Clock, "monotonicMs">;
}

interface Choice {
  readonly ranked: readonly RankedEdge[];
  readonly atMs: number;
  /** Since when the first one is the first. */
  readonly sinceMs: number;
  /** When it counted last as a client of the site. */
  readonly countedAtMs: number;
}

export function createDnsSteering(ports: DnsSteeringPorts): ZoneNames {
  const { fleet, clock, bounds } = ports;
  const contents = new ZoneContents(fleet, clock);
  const choices = new BoundedMap<string, Choice>({ entriesMax: CHOICES_MAX });
  return {
    serial: () => ports.revision(),
    lookUp(name, zone, client): NameLookup {
      const found = contents.now().find(name, zone);
      switch (found.kind) {
        case "absent":
        case "empty":
          return found;
        case "node":
          return atNode(found.node, bounds);
        case "site":
          return atSite(ports, choose(ports, choices, found.site, client), client);
      }
    },
  };
}

/** Where a node is does not hang on how it stands: who has its name was sent there. */
function atNode({ contentUrl }: FleetEdge, { ttlSecondsMax }: TtlBounds): NameLookup {
  return { kind: "edges", edges: [{ contentUrl, scoreMs: 0 }], ttlSeconds: ttlSecondsMax, scopePrefixLength: 0 };
}

function choose(
  { steering, groupPrefixLength, clock }: DnsSteeringPorts,
  choices: BoundedMap<string, Choice>,
  site: string,
  { address }: DnsClient,
): Choice {
  const ip = parseIp(address);
  const key = `${site}\0${ip === undefined ? "" : formatNetwork(networkOf(ip, groupPrefixLength(address)))}`;
  const nowMs = clock.monotonicMs();
  const before = choices.get(key);
  if (before !== undefined && nowMs - before.atMs < DECIDED_MS_MAX) return before;
  const last = before?.ranked[0]?.edge.node;
  // As often as a single client that comes again.
  const isNew = before === undefined || nowMs - before.countedAtMs >= MEASURED_MS_MAX;
  const ranked = steering.rankFor(site, { address, lastNode: last, isNew });
  const isSame = before !== undefined && ranked[0]?.edge.node === last;
  const choice = {
    ranked,
    atMs: nowMs,
    sinceMs: isSame ? before.sinceMs : nowMs,
    countedAtMs: isNew ? nowMs : before.countedAtMs,
  };
  choices.set(key, choice);
  return choice;
}

function atSite(
  { events, bounds, clock, groupPrefixLength }: DnsSteeringPorts,
  { ranked, sinceMs }: Choice,
  { address, sourcePrefixLength }: DnsClient,
): NameLookup {
  const [best] = ranked;
  if (best === undefined) {
    events.noEdge();
    return { kind: "unavailable" };
  }
  events.steered(best.rtt.source);
  const other = ranked.find(({ edge }) => edge.pool !== best.edge.pool);
  const standing = {
    heldMs: clock.monotonicMs() - sinceMs,
    isWell: best.edge.state === "connected" && best.edge.isHeard,
    marginMs: other && other.scoreMs - best.scoreMs,
  };
  return {
    kind: "edges",
    edges: ranked.map(({ edge, scoreMs }) => ({ contentUrl: edge.contentUrl, scoreMs })),
    ttlSeconds: ttlSecondsOf(standing, bounds),
    scopePrefixLength: sourcePrefixLength === undefined ? 0 : groupPrefixLength(address),
  };
}
