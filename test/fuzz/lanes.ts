/** Fuzzes the fast lane's reading of requests against node:http, and the field grammar; a fault is replayed by its seed. */
import { parseCacheControl } from "#domain/http/cache-control.ts";
import { parseHttpDate } from "#domain/http/date.ts";
import { ifNoneMatchNames } from "#domain/http/entity-tag.ts";
import { endToEndFields, fieldsOf, listMembers } from "#domain/http/fields.ts";
import { resolveRanges } from "#domain/http/range.ts";
import { fieldsOfHead, type HeadReading, readHead } from "#edge-node/front/request-head.ts";
import { parseWebOrigin } from "#edge-node/request/edge-request.ts";
import { type Random, seededRandom } from "#platform/random.ts";
import { Reference, type SeenRequest, shownFields } from "./reference.ts";
import { mutated, wellFormed } from "./requests.ts";

/** Accepted ones are shown to node:http so many at a time. */
const BATCH = 64;
const SENTINEL = "GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n";

export interface FuzzOutcome {
  readonly cases: number;
  /** Of which the lane knew the end. */
  readonly accepted: number;
  /** Of which it would have looked for a stored response. */
  readonly simple: number;
  readonly faults: readonly string[];
}

interface Accepted {
  readonly text: string;
  readonly reading: Extract<HeadReading, { kind: "simple" | "framed" }>;
}

/** After more the first ones say enough. */
const FAULTS_MAX = 20;

export async function fuzzLanes(options: { readonly cases: number; readonly seed: number }): Promise<FuzzOutcome> {
  const random = seededRandom(options.seed);
  const reference = new Reference();
  const faults: string[] = [];
  const batch: Accepted[] = [];
  const counts = { accepted: 0, simple: 0 };
  const settle = async (): Promise<void> => {
    faults.push(...(await compare(reference, batch)));
    batch.length = 0;
  };
  for (let index = 0; index < options.cases && faults.length < FAULTS_MAX; index += 1) {
    const text = textOf(random);
    try {
      tryFields(random, text);
      const found = accept(text);
      if (found === undefined) continue;
      if (!isBegunAlike(random, found)) faults.push(`its beginning is not taken for one: ${JSON.stringify(text)}`);
      counts.accepted += 1;
      if (found.reading.kind === "simple") counts.simple += 1;
      batch.push(found);
    } catch (error) {
      faults.push(`${error instanceof Error ? error.stack : String(error)}: ${JSON.stringify(text)}`);
    }
    if (batch.length >= BATCH) await settle();
  }
  await settle();
  return { cases: options.cases, ...counts, faults };
}

function textOf(random: Random): string {
  const text = wellFormed(random);
  const bytes = random.integer(3) === 0 ? text : mutated(random, text);
  // A capital of a character may have no byte.
  return Buffer.from(bytes, "latin1").toString("latin1");
}

function accept(text: string): Accepted | undefined {
  const reading = readHead(Buffer.from(text, "latin1"), 0);
  return reading.kind === "simple" || reading.kind === "framed" ? { text, reading } : undefined;
}

/** Cut anywhere, the lane waits for the rest. */
function isBegunAlike(random: Random, { text, reading }: Accepted): boolean {
  const cut = text.slice(0, random.integer(reading.end));
  return readHead(Buffer.from(cut, "latin1"), 0).kind === "incomplete";
}

/** Whatever the text, the grammar of fields reads it. */
function tryFields(random: Random, text: string): void {
  const value = text.slice(random.integer(text.length + 1));
  parseCacheControl(value);
  listMembers(value);
  ifNoneMatchNames(value, '"a"');
  parseHttpDate(value, 0);
  resolveRanges(`bytes=${value}`, 1_000);
  parseWebOrigin("http", value);
  endToEndFields(fieldsOf(value.split(/[:\r\n]+/)));
}

/** All at once; where node:http sees something else, one by one. */
async function compare(reference: Reference, batch: readonly Accepted[]): Promise<readonly string[]> {
  const isLast = ({ text }: Accepted) => /^connection:[ \t]*close/im.test(text);
  const together = batch.filter((accepted) => !isLast(accepted));
  const seen = await reference.read(bytesOf(together), together.length + 1);
  const isAlike = seen?.length === together.length + 1 && together.every((one, index) => isSeen(one, seen[index]));
  const faults: string[] = [];
  for (const one of isAlike ? batch.filter(isLast) : batch) {
    const alone = await reference.read(
      isLast(one) ? Buffer.from(bytesOf([one]).subarray(0, one.reading.end)) : bytesOf([one]),
      isLast(one) ? 1 : 2,
    );
    const isRight = alone?.length === (isLast(one) ? 1 : 2) && isSeen(one, alone[0]);
    if (!isRight) faults.push(`node:http sees ${JSON.stringify(alone ?? "no request")} in ${JSON.stringify(one.text)}`);
  }
  return faults;
}

/** What the lane took for one request each, and one more, which nothing may have taken for a part of the last. */
function bytesOf(accepted: readonly Accepted[]): Buffer {
  return Buffer.from(accepted.map(({ text, reading }) => text.slice(0, reading.end)).join("") + SENTINEL, "latin1");
}

function isSeen({ text, reading }: Accepted, seen: SeenRequest | undefined): boolean {
  const [method, target] = text.split(" ", 2);
  if (seen?.method !== method || seen?.target !== target) return false;
  if (reading.kind === "framed") return true;
  const bytes = Buffer.from(text, "latin1");
  const isSame = seen?.target === bytes.toString("latin1", reading.target.from, reading.target.to);
  return isSame && seen?.fields === shownFields(fieldsOfHead(bytes, reading));
}
