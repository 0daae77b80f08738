/** The status page: pools, nodes, sites, who serves what, what is cut off or dead; plain HTML, everything escaped. Pure. */
import type { NodeStatus } from "#domain/fleet/node.ts";
import type { Resource } from "#domain/resource.ts";
import {
  type FleetFacts,
  type Liveness,
  type NodeResourceStatus,
  nodeStatus,
  poolStatus,
  siteStatus,
} from "../observed/resource-status.ts";
import type { RolloutReport } from "../rollout/rollout-driver.ts";
import { duration, escapeHtml, page, table } from "./html.ts";

export interface PageFacts extends FleetFacts {
  readonly revision: number;
  readonly nowMs: number;
  readonly pools: readonly Resource<"NodePool">[];
  readonly sites: readonly Resource<"Site">[];
  /** `undefined` where nothing rolls out in waves. */
  readonly rollout?: RolloutReport | undefined;
}

export function renderPage(facts: PageFacts): string {
  const nodes = facts.nodes.map((node) => ({ node, status: nodeStatus(node, facts) }));
  return page(
    "Perigee",
    [
      summaryOf(
        facts.revision,
        nodes.map(({ status }) => status.liveness),
      ),
      rolloutOf(facts.rollout),
      table(
        "Pools",
        POOL_HEADS,
        facts.pools.map((pool) => poolCells(pool, facts)),
      ),
      table(
        "Nodes",
        NODE_HEADS,
        nodes.map(({ node, status }) => nodeCells(node, status, facts)),
      ),
      table(
        "Sites",
        SITE_HEADS,
        facts.sites.map((site) => siteCells(site, facts)),
      ),
    ].join("\n"),
  );
}

function summaryOf(revision: number, nodes: readonly Liveness[]): string {
  const count = (...wanted: Liveness[]) => nodes.filter((liveness) => wanted.includes(liveness)).length;
  const parts = `${count("connected")} connected, ${count("cut-off", "link-down")} cut off, ${count("dead")} dead`;
  return `<p>Revision ${revision}; ${nodes.length} nodes: ${parts}. <a href="/docs">API</a></p>`;
}

function rolloutOf(rollout: RolloutReport | undefined): string {
  if (rollout === undefined) return "";
  const heldBack = Math.max(0, ...rollout.waves.map((wave) => wave.heldBack));
  const words = {
    idle: "Roll-out: every pool has the newest.",
    rolling: `Roll-out under way, ${heldBack} held back from later pools: ${rollout.because}`,
    halted: `Roll-out halted, ${heldBack} held back from later pools: ${rollout.because}`,
  };
  return `<p>${mark(escapeHtml(words[rollout.phase]), TONES[rollout.phase])}</p>`;
}

const TONES = { idle: "good", rolling: "warn", halted: "bad" } as const;

const POOL_HEADS = ["Pool", "Region", "Edges linked", "Ready for an outage", "Goes on alone for", "Slots free"];

function poolCells({ metadata, spec }: Resource<"NodePool">, facts: PageFacts): string[] {
  const { nodes, linked, offlineReady, slotsFree, slotsTotal } = poolStatus(metadata.name, facts);
  return [
    escapeHtml(metadata.name),
    escapeHtml(spec.region),
    mark(`${linked} of ${nodes}`, linked === nodes ? "good" : "warn"),
    mark(`${offlineReady} of ${nodes}`, offlineReady === nodes ? "good" : "warn"),
    duration(spec.autonomyDurationSeconds * 1000),
    slotsTotal === 0 ? "–" : `${slotsFree} of ${slotsTotal}`,
  ];
}

const NODE_HEADS = ["Node", "Role", "Pool", "State", "Applied", "Store", "Certificate", "Slots free", "Problems"];

function nodeCells({ metadata, spec }: Resource<"Node">, known: NodeResourceStatus, facts: PageFacts): string[] {
  const agents = known.reportedBy?.map(({ agent }) => agent).slice(0, 1) ?? known.status?.agents ?? [];
  const slots = agents.flatMap((agent) => agent.slots);
  const [free, total] = [slots, slots].map((counts, index) =>
    counts.reduce((sum, slot) => sum + (index === 0 ? slot.free : slot.total), 0),
  );
  return [
    escapeHtml(metadata.name),
    spec.role,
    escapeHtml(spec.pool),
    stateCell(spec, known, facts.nowMs),
    known.status === undefined ? "–" : appliedCell(known.status, facts.revision),
    known.status === undefined ? "–" : storeCell(known.status),
    known.status === undefined ? "–" : certificateCell(known.status, facts.nowMs),
    slots.length === 0 ? "–" : `${free} of ${total}`,
    escapeHtml(problemsOf(known).join("; ")),
  ];
}

const WORDS: Readonly<Record<Liveness, { readonly text: string; readonly tone: "good" | "warn" | "bad" | "none" }>> = {
  connected: { text: "connected", tone: "good" },
  "cut-off": { text: "cut off, serves on its own", tone: "warn" },
  "link-down": { text: "link down", tone: "warn" },
  dead: { text: "dead", tone: "bad" },
  "never-connected": { text: "never connected", tone: "none" },
};

function stateCell(spec: Resource<"Node">["spec"], known: NodeResourceStatus, nowMs: number): string {
  const { text, tone } = WORDS[known.liveness];
  const sinceMs = known.state?.sinceMs ?? known.linkSinceMs;
  const since = sinceMs === undefined ? [] : [`for ${duration(nowMs - sinceMs)}`];
  const heardBy = known.reportedBy?.map(({ edge }) => edge) ?? [known.relayedBy].filter((relay) => relay !== undefined);
  const through = heardBy.length > 0 ? [`by ${heardBy.join(", ")}`] : [];
  const asked = spec.draining ? ["draining"] : spec.cordoned ? ["cordoned"] : [];
  return mark(escapeHtml([text, ...through, ...since, ...asked].join(", ")), tone);
}

function appliedCell({ appliedRevision }: NodeStatus, revision: number): string {
  return mark(`${appliedRevision} of ${revision}`, appliedRevision < revision ? "warn" : "good");
}

function storeCell({ storeBytesUsed, storeBytesMax }: NodeStatus): string {
  return `${megabytes(storeBytesUsed)} of ${megabytes(storeBytesMax)}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** A node renews at 70 to 90 % of thirty days: with less than a day left it has failed to. */
function certificateCell({ certificateExpiresAtMs }: NodeStatus, nowMs: number): string {
  const leftMs = certificateExpiresAtMs - nowMs;
  if (leftMs <= 0) return mark("expired", "bad");
  return mark(`${duration(leftMs)} left`, leftMs < 86_400_000 ? "warn" : "good");
}

function problemsOf({ status, reportedBy = [] }: NodeResourceStatus): readonly string[] {
  const conditions = (status?.conditions ?? []).filter((condition) => !condition.status);
  const agents = reportedBy.flatMap(({ agent }) => (agent.ready ? [] : agent.reasons)).slice(0, 1);
  return [...conditions.map(({ type, reason, message }) => `${type}: ${message || reason}`), ...agents];
}

const SITE_HEADS = ["Site", "Host names", "Content", "Served by pool"];

function siteCells({ metadata, spec }: Resource<"Site">, facts: PageFacts): string[] {
  const { generation, servedBy } = siteStatus(metadata.name, facts);
  const pools = [...new Set(servedBy.map(({ pool }) => pool))].sort();
  const cells = pools.map((pool) => {
    const members = servedBy.filter((entry) => entry.pool === pool);
    const nodes = members.map(({ node, activeGeneration, objectsMissing }) => {
      const missing = objectsMissing === 0 ? "" : `, ${objectsMissing} objects on demand`;
      return `${node}: ${activeGeneration === 0 ? "nothing yet" : `generation ${activeGeneration}`}${missing}`;
    });
    const isNewest = members.every(({ activeGeneration }) => activeGeneration === generation);
    return mark(escapeHtml(`${pool} (${nodes.join("; ")})`), isNewest ? "good" : "warn");
  });
  const content = spec.pull === undefined ? `generation ${generation}` : `pulled from ${spec.pull.upstream}`;
  const served = spec.pull === undefined ? cells.join("<br>") || "none yet" : "every pool, on demand";
  return [escapeHtml(metadata.name), escapeHtml(spec.hostnames.join(", ")), escapeHtml(content), served];
}

/** The tone is in the words too: colour alone says nothing to some. */
function mark(html: string, tone: "good" | "warn" | "bad" | "none"): string {
  return tone === "none" ? html : `<span class="${tone}">${html}</span>`;
}
