/** What `perigee get` shows of each kind in a table: the columns an operator looks for first. Pure. */
import type { Kind } from "#domain/resource.ts";
import { fieldOf, textOf } from "../output.ts";

interface Column {
  readonly head: string;
  readonly cell: (item: unknown) => string;
}

const at = (head: string, ...path: readonly string[]): Column => ({
  head,
  cell: (item) => textOf(fieldOf(item, ...path)),
});
const list = (head: string, ...path: readonly string[]): Column => ({
  head,
  cell: (item) =>
    arrayOf(fieldOf(item, ...path))
      .map(textOf)
      .join(","),
});
const applied: Column = {
  head: "APPLIED BY",
  cell: (item) =>
    `${textOf(fieldOf(item, "status", "appliedBy"))} of ${textOf(fieldOf(item, "status", "edges"))} edges`,
};

const COLUMNS: Readonly<Record<Kind, readonly Column[]>> = {
  Site: [
    list("HOSTNAMES", "spec", "hostnames"),
    { head: "CONTENT", cell: contentOf },
    { head: "SERVED BY", cell: servedByOf },
  ],
  Release: [
    at("SITE", "spec", "site"),
    at("RELEASE", "spec", "generation"),
    { head: "ACTIVE FROM", cell: (item) => timeOf(fieldOf(item, "spec", "activateAtMs")) },
    at("CONTENT OF", "spec", "contentOf"),
    applied,
  ],
  NodePool: [
    at("REGION", "spec", "region"),
    { head: "LINKED", cell: (item) => shareOf(item, "linked", "nodes") },
    { head: "OFFLINE READY", cell: (item) => shareOf(item, "offlineReady", "nodes") },
    { head: "SLOTS FREE", cell: (item) => shareOf(item, "slotsFree", "slotsTotal") },
  ],
  Node: [
    at("ROLE", "spec", "role"),
    at("POOL", "spec", "pool"),
    { head: "STATE", cell: stateOf },
    { head: "LINK", cell: linkOf },
    at("APPLIED", "status", "status", "appliedRevision"),
    { head: "SYNCED", cell: (item) => conditionOf(item, "Synced") },
    { head: "OFFLINE READY", cell: (item) => conditionOf(item, "OfflineReady") },
    at("CONTENT URL", "status", "status", "contentUrl"),
  ],
  PlacementPolicy: [
    list("APPS", "spec", "apps"),
    list("SITES", "spec", "sites"),
    { head: "PRIORITY", cell: (item) => textOf(fieldOf(item, "spec", "priority") ?? 0) },
    { head: "MATCHES BY", cell: matchOf },
    applied,
  ],
  ContentPolicy: [list("SITES", "spec", "sites"), { head: "PREFETCH", cell: prefetchOf }, applied],
  RenderApp: [at("BUNDLE", "spec", "bundle", "site"), applied],
  Assignment: [at("POOL", "spec", "pool"), list("SITES", "spec", "sites"), list("APPS", "spec", "apps"), applied],
  SteeringTable: [at("POOL", "spec", "pool"), applied],
  Purge: [at("SITE", "spec", "site"), at("MATCH", "spec", "match", "kind"), applied],
  Revocation: [
    at("SUBJECT", "spec", "subject", "kind"),
    {
      head: "OF",
      cell: (item) => textOf(["name", "id", "keyId"].map((key) => fieldOf(item, "spec", "subject", key)).find(isThere)),
    },
    at("REASON", "spec", "reason"),
    applied,
  ],
  SiteCertificate: [
    at("HOST NAME", "spec", "hostname"),
    at("POOL", "spec", "pool"),
    { head: "EDGES", cell: (item) => String(arrayOf(fieldOf(item, "spec", "keys")).length) },
    applied,
  ],
  AcmeChallenge: [at("HOST NAME", "spec", "hostname"), applied],
  Tombstone: [at("KIND", "spec", "kind"), at("OF", "spec", "name"), applied],
  OriginEndpoint: [
    at("NODES", "spec", "nodeRpc"),
    at("ENROLMENT", "spec", "enrolment"),
    at("DELIVERY", "spec", "delivery"),
    applied,
  ],
  RolloutPolicy: [{ head: "WAVES", cell: wavesOf }],
  Rollout: [
    at("PHASE", "status", "phase"),
    { head: "WAVES", cell: wavesOf },
    { head: "HELD BACK", cell: heldBackOf },
    at("BECAUSE", "status", "because"),
  ],
};

export function headsOf(kind: Kind): readonly string[] {
  return ["NAME", "GENERATION", ...COLUMNS[kind].map(({ head }) => head)];
}

export function cellsOf(kind: Kind, item: unknown): readonly string[] {
  const [name, generation] = ["name", "generation"].map((key) => textOf(fieldOf(item, "metadata", key)));
  return [name ?? "", generation ?? "", ...COLUMNS[kind].map(({ cell }) => cell(item))];
}

/** By whom the origin hears the node: itself, or a sibling that relays for it. */
function linkOf(item: unknown): string {
  if (fieldOf(item, "status", "linkUp") !== true) return "";
  const relay = fieldOf(item, "status", "relayedBy");
  return isThere(relay) ? `by ${textOf(relay)}` : "direct";
}

function prefetchOf(item: unknown): string {
  const windows = arrayOf(fieldOf(item, "spec", "prefetch", "windows"));
  if (windows.length === 0) return textOf(fieldOf(item, "spec", "prefetch"));
  return windows.map((window) => `${textOf(fieldOf(window, "from"))}–${textOf(fieldOf(window, "to"))}`).join(",");
}

/** The lists that its match has, as `perigee policy match` names them. */
function matchOf(item: unknown): string {
  const match = fieldOf(item, "spec", "match");
  return typeof match === "object" && match !== null ? Object.keys(match).join(",") : "anybody";
}

function contentOf(item: unknown): string {
  const upstream = fieldOf(item, "spec", "pull", "upstream");
  if (isThere(upstream)) return `pulled from ${textOf(upstream)}`;
  const generation = fieldOf(item, "status", "generation");
  return generation === 0 ? "no release yet" : `release ${textOf(generation)}`;
}

/** `near 7, far 6`: pools with the generations that their nodes serve. */
function servedByOf(item: unknown): string {
  if (isThere(fieldOf(item, "spec", "pull"))) return "every pool";
  const byPool = new Map<string, Set<string>>();
  for (const entry of arrayOf(fieldOf(item, "status", "servedBy"))) {
    const pool = textOf(fieldOf(entry, "pool"));
    byPool.set(pool, (byPool.get(pool) ?? new Set()).add(textOf(fieldOf(entry, "activeGeneration"))));
  }
  return [...byPool].map(([pool, generations]) => `${pool} ${[...generations].sort().join("/")}`).join(", ");
}

function stateOf(item: unknown): string {
  const marks = ["draining", "cordoned"].filter((mark) => fieldOf(item, "spec", mark) === true).slice(0, 1);
  return [textOf(fieldOf(item, "status", "liveness")), ...marks].join(",");
}

/** Of an edge that says it; others and earlier versions do not. */
function conditionOf(item: unknown, type: string): string {
  const conditions = arrayOf(fieldOf(item, "status", "status", "conditions"));
  const condition = conditions.find((candidate) => fieldOf(candidate, "type") === type);
  if (condition === undefined) return "";
  return fieldOf(condition, "status") === true ? "yes" : `no: ${textOf(fieldOf(condition, "reason"))}`;
}

function shareOf(item: unknown, part: string, whole: string): string {
  const total = fieldOf(item, "status", whole);
  return total === 0 || !isThere(total) ? "" : `${textOf(fieldOf(item, "status", part))} of ${textOf(total)}`;
}

/** `near > far, rim > all others`. */
function wavesOf(item: unknown): string {
  const waves = arrayOf(fieldOf(item, "spec", "waves")).map((wave) => arrayOf(fieldOf(wave, "pools")).map(textOf));
  return [...waves.filter((pools) => pools.length > 0).map((pools) => pools.join(", ")), "all others"].join(" > ");
}

function heldBackOf(item: unknown): string {
  const counts = arrayOf(fieldOf(item, "status", "waves")).map((wave) => fieldOf(wave, "heldBack"));
  return String(Math.max(0, ...counts.map(Number)));
}

function timeOf(value: unknown): string {
  return typeof value === "number" ? new Date(value).toISOString() : "";
}

function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isThere(value: unknown): boolean {
  return value !== undefined && value !== null;
}
