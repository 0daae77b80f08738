/** Sends what a response in memory answers with by its head and its body alone: whole, HEAD, not modified. */
import { notModifiedHead, type OwnFields, rawFields, wholeHead } from "../front/hit-head.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import type { Exchange } from "./exchange.ts";
import { decideSelection } from "./selection.ts";

export interface MemoryHit {
  readonly stored: StoredResponse;
  readonly body: Uint8Array;
  readonly own: OwnFields;
}

/** False, and nothing is sent, where a part is asked for. */
export function sendFromMemory({ request, response }: Exchange, hit: MemoryHit, nowMs: number): boolean {
  const { stored, body, own } = hit;
  const { kind } = decideSelection(request, { ...stored, sizeBytes: body.byteLength }, nowMs);
  if (kind !== "whole" && kind !== "not-modified") return false;
  const head = kind === "whole" ? wholeHead(stored) : notModifiedHead(stored);
  response.writeHead(head.status, rawFields(head, own));
  if (kind === "whole" && request.method !== "HEAD") response.end(body);
  else response.end();
  return true;
}
