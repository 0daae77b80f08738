/** A decision on content as the body of an entry: JSON, for few of them are kept. Pure. */
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { assert } from "#domain/assert.ts";
import { RTT_SOURCES } from "#domain/placement/candidate.ts";
import type { ContentDecisionRecord } from "../explain/explain-store.ts";
import type { SteeringDecision, SteeringRequest } from "../steering/content-decision.ts";
import type { Entry } from "./entries.ts";

/** What a replay of a decision on content needs beside its explanation. */
export interface AskedSteering {
  readonly request: SteeringRequest;
  readonly decision: SteeringDecision;
}

const text = Type.String();
const maybe = Type.Optional(text);
const milliseconds = Type.Number();
const requirement = {
  label: text,
  operator: Type.Enum(["In", "NotIn", "Exists", "DoesNotExist"]),
  values: Type.Optional(Type.Array(text)),
};
const labels = Type.Record(text, text);
const contentSchema = Type.Object({
  site: text,
  client: text,
  policy: maybe,
  notes: Type.Array(text),
  considered: Type.Array(
    Type.Object({
      name: text,
      rttMs: Type.Optional(milliseconds),
      rttSource: text,
      rejection: Type.Optional(Type.Object({ rule: text, reason: text })),
      terms: Type.Optional(Type.Record(text, milliseconds)),
    }),
  ),
  /** Names of nodes, the best first. */
  ranked: Type.Array(text),
  candidates: Type.Array(
    Type.Object({
      ...{ node: text, pool: text, labels, siteFault: maybe, rttMs: milliseconds },
      errorMs: Type.Optional(milliseconds),
      state: Type.Enum(["connected", "cut-off", "dead"]),
      source: Type.Enum([...RTT_SOURCES]),
      ...{ isHeard: Type.Boolean(), cordoned: Type.Boolean(), draining: Type.Boolean(), isUnanswered: Type.Boolean() },
    }),
  ),
  rules: Type.Object({
    constraints: Type.Array(Type.Object(requirement)),
    preferences: Type.Array(Type.Object({ ...requirement, bonusMs: milliseconds })),
    stickinessMs: milliseconds,
    residency: Type.Array(labels),
  }),
  lastNode: maybe,
  tieKey: text,
});
type LoggedContent = Static<typeof contentSchema>;

export function contentBody(record: ContentDecisionRecord, { request, decision }: AskedSteering): Buffer {
  const { site, client, policy, notes, candidates: considered } = record;
  const { constraints, preferences, stickinessMs, residency } = request.rules;
  const candidates = request.candidates.map(({ edge, labels, rtt, siteFault, isUnanswered }) => {
    const { node, pool, state, isHeard, cordoned, draining } = edge;
    const standing = { node, pool, state, isHeard, cordoned, draining };
    return { ...standing, labels, siteFault, isUnanswered, rttMs: rtt.rttMs, source: rtt.source, errorMs: rtt.errorMs };
  });
  const rules = { constraints, preferences, stickinessMs, residency };
  const ranked = decision.ranked.map(({ edge }) => edge.node);
  const { lastNode, tieKey } = request;
  const what = { site, client, policy, notes, considered, ranked };
  return Buffer.from(JSON.stringify({ ...what, candidates, rules, lastNode, tieKey }));
}

function parse(bytes: Buffer, { bodyAt, bodyEnd }: Entry): LoggedContent {
  const value: unknown = JSON.parse(bytes.toString("utf8", bodyAt, bodyEnd));
  assert(Value.Check(contentSchema, value), "a decision on content is read as it was written");
  return value;
}

export function readContent(bytes: Buffer, entry: Entry, id: string): ContentDecisionRecord {
  const { site, client, policy, notes, considered } = parse(bytes, entry);
  const candidates = considered.map(({ name, rttMs, rttSource, rejection, terms }) => ({
    ...{ name, rttMs, rttSource, rejection, terms },
  }));
  return { kind: "content", id, atMs: entry.atMs, site, client, policy, notes, candidates };
}

/** Decides again what the entry was made from, and says whether the answer is the same in each number and in its order. */
export function replaysContent(
  bytes: Buffer,
  entry: Entry,
  decide: (request: SteeringRequest) => SteeringDecision,
): boolean {
  const logged = parse(bytes, entry);
  const candidates = logged.candidates.map(
    ({ labels, rttMs, source, errorMs, siteFault, isUnanswered, ...standing }) => {
      // What the core does not look at.
      const unread = { contentUrl: "", hostname: "", sites: undefined, storeBytesMax: undefined };
      const rtt = { rttMs, source, ...(errorMs === undefined ? {} : { errorMs }) };
      return { edge: { ...standing, ...unread }, labels, rtt, siteFault, isUnanswered };
    },
  );
  const { constraints, preferences, stickinessMs, residency } = logged.rules;
  const rules = {
    constraints: constraints.map(withValues),
    preferences: preferences.map(withValues),
    ...{ stickinessMs, residency },
  };
  const { ranked, considered } = decide({ candidates, rules, lastNode: logged.lastNode, tieKey: logged.tieKey });
  const again = { considered, ranked: ranked.map(({ edge }) => edge.node) };
  return JSON.stringify(again) === JSON.stringify({ considered: logged.considered, ranked: logged.ranked });
}

function withValues<R extends { readonly values?: readonly string[] | undefined }>({ values, ...rest }: R) {
  return values === undefined ? rest : { ...rest, values };
}
