/** The status page: pools, nodes, who serves what, what is cut off or dead; plain HTML, everything escaped. Pure. */
import type { Resource } from "#domain/resource.ts";
import type { ObservedNode } from "../observed/observed-nodes.ts";

export interface PageFacts {
  readonly revision: number;
  readonly nowMs: number;
  readonly pools: readonly Resource<"NodePool">[];
  readonly nodes: readonly Resource<"Node">[];
  readonly sites: readonly Resource<"Site">[];
  readonly observed: readonly ObservedNode[];
}

const STYLE =
  "body{font:15px system-ui;margin:2rem;max-width:70rem}table{border-collapse:collapse;width:100%;margin:0 0 2rem}" +
  "th,td{text-align:left;padding:.35rem .7rem;border-bottom:1px solid #ddd}.bad{color:#b00020}.good{color:#146c2e}";

export function renderPage(facts: PageFacts): string {
  const observed = new Map(facts.observed.map((node) => [node.node, node]));
  const pools = facts.pools.map(({ metadata, spec }) => {
    const members = facts.nodes.filter((node) => node.spec.pool === metadata.name);
    const up = members.filter((node) => observed.get(node.metadata.name)?.linkUp === true).length;
    return [escapeHtml(metadata.name), escapeHtml(spec.region), `${up} of ${members.length} linked`];
  });
  const nodes = facts.nodes.map((node) => nodeCells(node, observed.get(node.metadata.name), facts));
  const sites = facts.sites.map(({ metadata, spec }) => [
    escapeHtml(metadata.name),
    escapeHtml(spec.hostnames.join(", ")),
    escapeHtml(serversOf(metadata.name, facts.observed)),
  ]);
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Perigee</title><style>${STYLE}</style></head><body>`,
    `<h1>Perigee</h1><p>Revision ${facts.revision}. <a href="/docs">API</a></p>`,
    table("Pools", ["Pool", "Region", "Nodes"], pools),
    table("Nodes", ["Node", "Role", "Pool", "State", "Applied", "Certificate", "Slots free", "Problems"], nodes),
    table("Sites", ["Site", "Host names", "Served by (generation)"], sites),
    "</body></html>",
  ].join("\n");
}

function nodeCells({ metadata, spec }: Resource<"Node">, observed: ObservedNode | undefined, facts: PageFacts) {
  const status = observed?.status;
  const expiresInDays = ((status?.certificateExpiresAtMs ?? 0) - facts.nowMs) / 86_400_000;
  const slots = (status?.agents ?? []).flatMap((agent) => agent.slots);
  const free = slots.reduce((sum, slot) => sum + slot.free, 0);
  const problems = (status?.conditions ?? []).filter((condition) => !condition.status);
  return [
    escapeHtml(metadata.name),
    spec.role,
    escapeHtml(spec.pool),
    stateCell(spec, observed),
    status === undefined ? "–" : `${status.appliedRevision} of ${facts.revision}`,
    status === undefined ? "–" : `${expiresInDays.toFixed(1)} days left`,
    slots.length === 0 ? "–" : `${free}`,
    escapeHtml(problems.map((condition) => `${condition.type}: ${condition.reason}`).join(", ")),
  ];
}

/** An agent has no link of its own: its edge speaks for it. Without a scheduler's word the link is all that is known. */
function stateCell(spec: Resource<"Node">["spec"], observed: ObservedNode | undefined): string {
  if (spec.role === "agent") return "through its edge";
  const fallback = observed === undefined ? "never connected" : observed.linkUp ? "connected" : "link down";
  const state = observed?.state?.state ?? fallback;
  const marks = [spec.draining ? "draining" : spec.cordoned ? "cordoned" : ""].filter((mark) => mark !== "");
  return `<span class="${state === "connected" ? "good" : "bad"}">${[state, ...marks].join(", ")}</span>`;
}

function serversOf(site: string, observed: readonly ObservedNode[]): string {
  const serving = observed.flatMap(({ node, status }) => {
    const generation = status?.sites.find((entry) => entry.site === site)?.activeGeneration ?? 0;
    return generation > 0 ? [`${node} (${generation})`] : [];
  });
  return serving.length === 0 ? "none yet" : serving.join(", ");
}

function table(title: string, heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = heads.map((text) => `<th>${text}</th>`).join("");
  const body = rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`).join("\n");
  return `<h2>${title}</h2><table><tr>${head}</tr>\n${body}</table>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}
