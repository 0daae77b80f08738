/** From the octets of a message to those of its answer, whatever comes: what breaks is SERVFAIL, and is told. */
import type { DnsEvents, DnsTransport } from "./events.ts";
import { type DnsQuery, QUERY_BYTES_MAX, readQuery } from "./query.ts";
import { type DnsAnswer, payloadBytesOf, writeFault, writeResponse, writeTruncated } from "./response.ts";
import type { ResponseRates } from "./response-rate.ts";
import { answerQuery, type ServedZones } from "./zone-answer.ts";

/** No answer of a zone is as long: the most is eight nameservers with four addresses each. */
export const RESPONSE_BYTES_MAX = 8_192;

export interface Responding extends ServedZones {
  readonly rates: ResponseRates;
  readonly events: DnsEvents;
}

/** `undefined`: nothing is sent. */
export function respond(
  responding: Responding,
  bytes: Buffer,
  { transport, from }: { readonly transport: DnsTransport; readonly from: string },
): Buffer | undefined {
  const { events, rates } = responding;
  if (bytes.length > QUERY_BYTES_MAX) return drop(events, "long");
  const read = readQuery(bytes);
  if (read.kind === "ignored") return drop(events, read.because);
  const verdict = rates[transport].take(from);
  const mayShorten = transport === "udp" && read.kind === "query";
  if (verdict === "drop" || (verdict === "shorten" && !mayShorten)) return drop(events, "rate");
  if (read.kind === "faulty") {
    events.answered(transport, read.rcode);
    return writeFault(read.head, read.rcode);
  }
  const { query } = read;
  if (verdict === "shorten") {
    events.truncated("rate");
    return writeTruncated(query, { rcode: "NOERROR", isAuthoritative: false });
  }
  const answer = decide(responding, query, from);
  events.answered(transport, answer.rcode);
  const limit = transport === "udp" ? payloadBytesOf(query) : RESPONSE_BYTES_MAX;
  return writeResponse(query, answer, limit, () => events.truncated("size"));
}

function decide(responding: Responding, query: DnsQuery, from: string): DnsAnswer {
  try {
    return answerQuery(responding, query, from);
  } catch (error) {
    responding.events.broke(error);
    const nothing = { answers: [], authority: [], additional: [], scopePrefixLength: undefined };
    return { rcode: "SERVFAIL", isAuthoritative: false, ...nothing };
  }
}

function drop(events: DnsEvents, because: Parameters<DnsEvents["dropped"]>[0]): undefined {
  events.dropped(because);
}
