/** A session's decision as the body of an entry: what finds it and what a replay needs come first. Pure. */
import Type from "typebox";
import { Value } from "typebox/value";
import { assert } from "#domain/assert.ts";
import type { LabelRequirement } from "#domain/policy/placement-policy.ts";
import type { RecordedAsker, RecordedOutcome, SessionDecisionRecord } from "../explain/explain-store.ts";
import type { DecisionStep } from "../placement/session-decision.ts";
import { ByteReader, type ByteWriter } from "./bytes.ts";
import type { Entry } from "./entries.ts";
import { readOutcome, type WordOf, type WordWriter, writeOutcome } from "./outcome-codec.ts";

const ATTEMPT_AND_APP_BYTES = 8;
const TIER_AND_BECAUSE_BYTES = 8;
const POLICY_AND_CONSTRAINTS_BYTES = 8;
const BEFORE_OUTCOME_BYTES = ATTEMPT_AND_APP_BYTES + TIER_AND_BECAUSE_BYTES + POLICY_AND_CONSTRAINTS_BYTES;

export function writeSession(out: ByteWriter, record: SessionDecisionRecord, words: WordWriter): void {
  const { session, steps, attempt, app, tier, because, policy, constraints, client, coordinates, notes } = record;
  out.text(session);
  out.uint8(steps.length);
  for (const { renderClass, mayExceedLimit, record: packed } of steps) {
    out.uint32(words.wordOf(renderClass));
    out.uint8(mayExceedLimit ? 1 : 0);
    out.uint32(packed.byteLength);
    out.append(packed);
  }
  out.uint32(attempt);
  for (const word of [app, tier, because]) out.uint32(words.wordOf(word));
  out.uint32(policy === undefined ? 0 : words.wordOf(policy));
  out.uint32(words.wordOf(JSON.stringify(constraints)));
  writeOutcome(out, record.outcome, words);
  out.text(client);
  out.double(coordinates?.latitude ?? Number.NaN);
  out.double(coordinates?.longitude ?? Number.NaN);
  out.uint16(notes.length);
  for (const note of notes) out.text(note);
  writeAsker(out, record.asker, words);
}

/** 0 stands for what is not known. */
function writeAsker(out: ByteWriter, { tenant, country, asn, network }: RecordedAsker, words: WordWriter): void {
  out.uint32(tenant === undefined ? 0 : words.wordOf(tenant));
  out.uint32(country === undefined ? 0 : words.wordOf(country));
  out.uint32(asn ?? 0);
  out.text(network ?? "");
}

function readAsker(reader: ByteReader, wordOf: WordOf): RecordedAsker {
  const [tenant, country, asn] = [reader.uint32(), reader.uint32(), reader.uint32()];
  const network = reader.text();
  return {
    tenant: tenant === 0 ? undefined : wordOf(tenant),
    country: country === 0 ? undefined : wordOf(country),
    asn: asn === 0 ? undefined : asn,
    network: network === "" ? undefined : network,
  };
}

/** A step of which the record still lies in its segment. */
export interface LoggedStep {
  /** Word. */
  readonly renderClass: number;
  readonly mayExceedLimit: boolean;
  readonly recordAt: number;
  readonly recordEnd: number;
}

/** Reads as far as a replay needs it. */
export function readSteps(reader: ByteReader): LoggedStep[] {
  return Array.from({ length: reader.uint8() }, () => {
    const renderClass = reader.uint32();
    const mayExceedLimit = reader.uint8() === 1;
    const bytes = reader.uint32();
    const recordAt = reader.advance(bytes);
    return { renderClass, mayExceedLimit, recordAt, recordEnd: recordAt + bytes };
  });
}

/** Where `readSteps` has ended. */
export function readOutcomeAfterSteps(reader: ByteReader, wordOf: WordOf): RecordedOutcome {
  reader.advance(BEFORE_OUTCOME_BYTES);
  return readOutcome(reader, wordOf);
}

type LoggedProgress = Pick<SessionDecisionRecord, "session" | "tier" | "because" | "outcome">;

/** What a decision came to, without what it was made from. */
export function readProgress(bytes: Buffer, { bodyAt, bodyEnd }: Entry, wordOf: WordOf): LoggedProgress {
  const reader = new ByteReader(bytes, bodyAt, bodyEnd);
  const session = reader.text();
  readSteps(reader);
  reader.advance(ATTEMPT_AND_APP_BYTES);
  const [tier, because] = [wordOf(reader.uint32()), wordOf(reader.uint32())];
  reader.advance(POLICY_AND_CONSTRAINTS_BYTES);
  return { session, tier, because, outcome: readOutcome(reader, wordOf) };
}

/** Whether the entry is of the session of that name, in UTF-8. */
export function isOfSession(bytes: Buffer, { bodyAt, bodyEnd }: Entry, session: Uint8Array): boolean {
  const at = new ByteReader(bytes, bodyAt, bodyEnd);
  const length = at.uint32();
  const from = at.advance(length);
  return length === session.byteLength && bytes.compare(session, 0, length, from, from + length) === 0;
}

export function readSession(
  bytes: Buffer,
  { bodyAt, bodyEnd, atMs }: Entry,
  { id, wordOf }: { readonly id: string; readonly wordOf: WordOf },
): SessionDecisionRecord {
  const reader = new ByteReader(bytes, bodyAt, bodyEnd);
  const session = reader.text();
  const steps = readSteps(reader).map(({ renderClass, mayExceedLimit, recordAt, recordEnd }): DecisionStep => {
    return { renderClass: wordOf(renderClass), mayExceedLimit, record: bytes.subarray(recordAt, recordEnd) };
  });
  const attempt = reader.uint32();
  const app = wordOf(reader.uint32());
  const tier = wordOf(reader.uint32());
  const because = wordOf(reader.uint32());
  const policy = reader.uint32();
  const constraints = parseConstraints(wordOf(reader.uint32()));
  const outcome = readOutcome(reader, wordOf);
  const client = reader.text();
  const latitude = reader.double();
  const longitude = reader.double();
  const notes = Array.from({ length: reader.uint16() }, () => reader.text());
  const asker = readAsker(reader, wordOf);
  return {
    ...{ kind: "session", id, atMs, session, attempt, app, tier, because, outcome, steps, client, notes, constraints },
    asker,
    policy: policy === 0 ? undefined : wordOf(policy),
    coordinates: Number.isNaN(latitude) ? undefined : { latitude, longitude },
  };
}

const constraintsSchema = Type.Array(
  Type.Object({
    label: Type.String(),
    operator: Type.Union([
      Type.Literal("In"),
      Type.Literal("NotIn"),
      Type.Literal("Exists"),
      Type.Literal("DoesNotExist"),
    ]),
    values: Type.Optional(Type.Array(Type.String())),
  }),
);

/** None where the segment has lost them. */
function parseConstraints(text: string): readonly LabelRequirement[] {
  const value: unknown = text === "" ? [] : JSON.parse(text);
  assert(Value.Check(constraintsSchema, value), "constraints are read as they were written");
  return value.map(({ values, ...rest }) => (values === undefined ? rest : { ...rest, values }));
}
