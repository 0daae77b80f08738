/** Decides which edges serve a site's content to a client: filter, score, rank, and the record that explains it. Pure. */
import type { SteerAnswer } from "#contracts/operator-api/sessions.ts";
import { explainSource } from "#domain/placement/explain.ts";
import { type Labels, meetsRequirement } from "#domain/placement/labels.ts";
import { siteUrlOf } from "#domain/placement/steering-table.ts";
import { findResidencyBreach } from "#domain/policy/content-rules.ts";
import type { PlacementPolicySpec } from "#domain/policy/placement-policy.ts";
import type { ContentCandidate } from "../explain/explain-store.ts";
import type { FleetEdge } from "../facts/fleet.ts";
import type { RttFact } from "../placement/candidates.ts";
import { hashOf } from "./rendezvous.ts";

/** Above every round trip: an edge of which nobody hears is taken only where there is no other. */
export const SILENCE_PENALTY_MS = 10_000;

export const STEERING_RULES = [
  "dead",
  "draining",
  "cordoned",
  "label-constraint",
  "residency",
  "site-inactive",
] as const;
export type SteeringRule = (typeof STEERING_RULES)[number];

export interface EdgeCandidate {
  readonly edge: FleetEdge;
  readonly labels: Labels;
  readonly rtt: RttFact;
  /** Why the site cannot be had there; undefined where it can. */
  readonly siteFault: string | undefined;
  /** The client was given a probe of it and brought no answer. */
  readonly isUnanswered: boolean;
}

export interface SteeringRules extends Pick<PlacementPolicySpec, "constraints" | "preferences" | "stickinessMs"> {
  /** Labels that the content policies demand. */
  readonly residency: readonly Labels[];
}

export interface SteeringRequest {
  readonly candidates: readonly EdgeCandidate[];
  readonly rules: SteeringRules;
  /** Where this client was sent last; undefined for a new one. */
  readonly lastNode: string | undefined;
  /** Orders edges that are as good: the same for the same clients of a site. */
  readonly tieKey: string;
}

export interface RankedEdge extends EdgeCandidate {
  /** The sum of its terms, the lowest is the best. */
  readonly scoreMs: number;
}

export interface SteeringDecision {
  /** The best first. */
  readonly ranked: readonly RankedEdge[];
  /** In the order of pools' and nodes' names. */
  readonly considered: readonly ContentCandidate[];
}

export function decideSteering(request: SteeringRequest): SteeringDecision {
  const scored = request.candidates.map((candidate) => {
    const rejection = findSteeringRejection(candidate.edge, candidate, request.rules);
    const terms = rejection === undefined ? termsOf(candidate, request) : undefined;
    return { candidate, rejection, terms, tie: hashOf(`${request.tieKey}\0${candidate.edge.node}`) };
  });
  const open = scored.flatMap(({ candidate, terms, tie }) =>
    terms === undefined ? [] : [{ candidate, tie, scoreMs: Object.values(terms).reduce((sum, ms) => sum + ms, 0) }],
  );
  open.sort(
    (a, b) => a.scoreMs - b.scoreMs || a.tie - b.tie || (a.candidate.edge.node < b.candidate.edge.node ? -1 : 1),
  );
  const considered = scored.map(({ candidate: { edge, rtt }, rejection, terms }) => ({
    name: `${edge.node} (${edge.pool})`,
    rttMs: rtt.rttMs,
    rttSource: explainSource({ ...rtt, errorMs: rtt.errorMs, isPlaceKnown: rtt.errorMs !== undefined }),
    rejection,
    terms,
  }));
  return {
    ranked: open.map(({ candidate, scoreMs }) => ({ ...candidate, scoreMs })),
    considered: considered.sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

export interface SteeringRejection {
  readonly rule: SteeringRule;
  readonly reason: string;
}

/** The first rule that an edge fails; undefined where users may be sent to it. */
export function findSteeringRejection(
  edge: FleetEdge,
  { labels, siteFault }: Pick<EdgeCandidate, "labels" | "siteFault">,
  { constraints, residency }: Pick<SteeringRules, "constraints" | "residency">,
): SteeringRejection | undefined {
  if (edge.state === "dead") return { rule: "dead", reason: "two observers cannot reach it and none can" };
  if (edge.draining) return { rule: "draining", reason: "the node is draining" };
  if (edge.cordoned) return { rule: "cordoned", reason: "the node takes no new users" };
  const unmet = constraints.find((requirement) => !meetsRequirement(labels, requirement));
  if (unmet !== undefined) {
    const values = unmet.values === undefined ? "" : ` [${unmet.values.join(", ")}]`;
    return { rule: "label-constraint", reason: `label ${unmet.label} ${unmet.operator}${values} does not hold` };
  }
  const breach = findResidencyBreach(labels, residency);
  if (breach !== undefined) return { rule: "residency", reason: `the content may not be there: ${breach}` };
  return siteFault === undefined ? undefined : { rule: "site-inactive", reason: siteFault };
}

function termsOf({ edge, labels, rtt, isUnanswered }: EdgeCandidate, { rules, lastNode }: SteeringRequest) {
  const matched = rules.preferences.filter((preference) => meetsRequirement(labels, preference));
  const silences = (edge.isHeard ? 0 : 1) + (isUnanswered ? 1 : 0);
  return {
    rtt: rtt.rttMs,
    preference: 0 - matched.reduce((sum, { bonusMs }) => sum + bonusMs, 0),
    stickiness: edge.node === lastNode ? 0 - rules.stickinessMs : 0,
    silence: silences * SILENCE_PENALTY_MS,
  };
}

/** As clients get it. */
export function rankedEdgeOf({ edge, rtt }: EdgeCandidate, site: string): SteerAnswer["edges"][number] {
  const { node, pool } = edge;
  return { node, pool, url: siteUrlOf(edge, site), rttMs: rtt.rttMs, source: rtt.source };
}
