/** What came of a session's decision, as bytes. Pure. */
import { assert } from "#domain/assert.ts";
import { definedOf } from "#domain/placement/explain.ts";
import type { RecordedOutcome } from "../explain/explain-store.ts";
import type { ByteReader, ByteWriter } from "./bytes.ts";

/** The first three name what they are by their state alone. */
const CODES = ["placed", "degraded", "queued", "rejected", "best", "no-fit", "held-back"] as const;

/** Words are numbers of a segment's dictionary. */
export interface WordWriter {
  wordOf(text: string): number;
}

export type WordOf = (word: number) => string;

export function writeOutcome(out: ByteWriter, outcome: RecordedOutcome, words: WordWriter): void {
  const code = outcome.state === "kept" ? outcome.because : outcome.state;
  out.uint8(CODES.indexOf(code));
  switch (code) {
    case "placed":
    case "degraded":
    case "best":
      out.uint32(words.wordOf("pool" in outcome ? outcome.pool : ""));
      out.double(("marginMs" in outcome ? outcome.marginMs : undefined) ?? Number.NaN);
      break;
    default:
      out.uint32("pool" in outcome ? words.wordOf(outcome.pool) : 0);
      out.double(("bestAchievableMs" in outcome ? outcome.bestAchievableMs : undefined) ?? Number.NaN);
  }
  if ("renderClass" in outcome) out.uint32(words.wordOf(outcome.renderClass));
  if ("better" in outcome) {
    out.uint32(words.wordOf(outcome.better));
    out.text(outcome.reason);
  }
}

export function readOutcome(reader: ByteReader, wordOf: WordOf): RecordedOutcome {
  const code = CODES[reader.uint8()];
  assert(code !== undefined, "an outcome's code is one of those that are written");
  const pool = reader.uint32();
  const ms = definedOf(reader.double());
  switch (code) {
    case "placed":
    case "degraded":
      return { state: code, pool: wordOf(pool), marginMs: ms, renderClass: wordOf(reader.uint32()) };
    case "best":
      return { state: "kept", because: code, pool: wordOf(pool), marginMs: ms };
    case "no-fit":
      return { state: "kept", because: code, pool: wordOf(pool), bestAchievableMs: ms };
    case "held-back":
      return {
        ...{ state: "kept", because: code, pool: wordOf(pool) },
        ...{ better: wordOf(reader.uint32()), reason: reader.text() },
      };
    default:
      return { state: code, bestAchievableMs: ms };
  }
}
