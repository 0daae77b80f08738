/** What speaks for and against the life of each edge: its link, answers to probes, and probes that failed; bounded. */
import type { NodeEvidence } from "./node-state.ts";

/** Two are enough to conclude; more only replace the oldest. */
export const OBSERVERS_MAX = 8;
/** A failure says nothing of now any more. */
const FAILURE_MS_MAX = 60_000;

interface Entry {
  isLinkUp: boolean;
  linkLastUpMs: number | undefined;
  lastAnsweredMs: number | undefined;
  /** When each observer's last try failed, the oldest first. */
  readonly failedMs: Map<string, number>;
}

/** Times are monotonic milliseconds. As many nodes as are members. */
export class EvidenceBook {
  readonly #entries = new Map<string, Entry>();
  #isLinkKnown = false;

  /** The origin cannot be asked any more: links that were up were so until now. */
  loseLinks(nowMs: number): void {
    this.#isLinkKnown = false;
    for (const entry of this.#entries.values()) {
      if (entry.isLinkUp) entry.linkLastUpMs = nowMs;
      entry.isLinkUp = false;
    }
  }

  /** All that the origin knows has been told. */
  knowLinks(): void {
    this.#isLinkKnown = true;
  }

  setLink(node: string, isUp: boolean, nowMs: number): void {
    const entry = this.#entry(node);
    if (isUp || entry.isLinkUp) entry.linkLastUpMs = nowMs;
    entry.isLinkUp = isUp;
    if (isUp) entry.failedMs.clear();
  }

  answered(node: string, nowMs: number): void {
    const entry = this.#entry(node);
    entry.lastAnsweredMs = nowMs;
    entry.failedMs.clear();
  }

  failed(node: string, observer: string, nowMs: number): void {
    const { failedMs } = this.#entry(node);
    failedMs.delete(observer);
    failedMs.set(observer, nowMs);
    const oldest = failedMs.keys().next();
    if (failedMs.size > OBSERVERS_MAX && oldest.done !== true) failedMs.delete(oldest.value);
  }

  of(node: string, nowMs: number): NodeEvidence {
    const { isLinkUp, linkLastUpMs, lastAnsweredMs, failedMs } = this.#entry(node);
    const failing = [...failedMs.values()].filter((atMs) => nowMs - atMs <= FAILURE_MS_MAX);
    const isLinkKnown = this.#isLinkKnown;
    return { isLinkKnown, isLinkUp, linkLastUpMs, lastAnsweredMs, failingObservers: failing.length };
  }

  retain(nodes: ReadonlySet<string>): void {
    for (const node of [...this.#entries.keys()]) if (!nodes.has(node)) this.#entries.delete(node);
  }

  #entry(node: string): Entry {
    const known = this.#entries.get(node);
    if (known !== undefined) return known;
    const entry: Entry = {
      isLinkUp: false,
      linkLastUpMs: undefined,
      lastAnsweredMs: undefined,
      failedMs: new Map(),
    };
    this.#entries.set(node, entry);
    return entry;
  }
}
