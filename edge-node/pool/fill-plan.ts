/**
 * Decides what an edge does next for a blob that it lacks: ask a sibling, wait for one, or fetch it from the origin.
 * Pure.
 *
 * The edges of a pool that are not gone stand in the blob's order (rendezvous hashing), in which each asks the one that
 * is its parent in a tree of four: the first asks the origin, so the origin sends a blob once, and nobody sends it more
 * than four times. One that is slow stays in the order and is waited for: time is all that it costs. As with tiers an
 * edge lets only those before itself fetch for it, so that none waits, over others, for itself; what a sibling has
 * already it may be asked for in any order.
 */
import type { Digest } from "#domain/content/release.ts";
import { rankMembers } from "#domain/placement/bounded-load-hash.ts";
import type { Peer, TierView } from "./membership.ts";

/** Fifty edges are three hops deep, and a blob costs none of them more than four times its bytes. */
export const FILL_FAN_OUT = 4;

/** While the origin answers: the two that come next have what this node had before it lost it, or before it came. */
export const HOLDERS_ASKED_MAX = 2;
/** Where one before this node is gone: what it had fetched is with those that it sent it to, and those they sent it to. */
export const HEIRS_ASKED_MAX = 8;
/** Without a byte for so long another one further up is asked too: all of fifty within 15 s. */
export const FURTHER_UP_MS = 5_000;
/** For those that may have what comes next and are slow or full: more than it takes to find one gone. */
export const HOLDER_PATIENCE_MS_MAX = 40_000;
/** Without a byte, of siblings that all live: then this node fetches what comes next itself. Nobody waits for it. */
export const FILL_PATIENCE_MS_MAX = 600_000;
/** The same where a request waits. */
export const ASKED_PATIENCE_MS_MAX = 10_000;

/** Of a sibling that was asked to fetch: not now, does not know of it yet, or could not get it. */
export type FillAnswer = "busy" | "absent" | "unable";

export interface FillFacts {
  readonly view: Pick<TierView, "self" | "isMember" | "siblings">;
  /** False of those that are gone or lied, and of those that have no use for what this pool is to have; true of the slow. */
  readonly isAnswering: (name: string) => boolean;
  /** What siblings said since the last byte, or the last wait. */
  readonly answers: ReadonlyMap<string, FillAnswer>;
  /** Since the last byte. */
  readonly waitedMs: number;
  /** Nobody waits for it but the pool. */
  readonly isAhead: boolean;
  /** Siblings that said, or failed to say, whether they have what comes next. */
  readonly holdersAsked: ReadonlySet<string>;
  /** Those that could not say it at once. */
  readonly holdersBusy: ReadonlySet<string>;
  /** Of late: whoever may have it is asked before it is. */
  readonly isOriginDown: boolean;
  /** For this blob, now. */
  readonly hasOriginFailed: boolean;
}

export type FillStep =
  /** It fetches the blob if it must, and sends it while it arrives. */
  | { readonly kind: "ask-to-fetch"; readonly peer: Peer }
  /** It sends what it has of it, and does nothing else. */
  | { readonly kind: "ask-holder"; readonly peer: Peer }
  | { readonly kind: "wait"; readonly peer: Peer }
  | { readonly kind: "origin" }
  | { readonly kind: "give-up" };

export function decideFillStep(digest: Digest, facts: FillFacts): FillStep {
  const { view, isAnswering, answers, waitedMs, isAhead } = facts;
  const patienceMs = isAhead ? FILL_PATIENCE_MS_MAX : ASKED_PATIENCE_MS_MAX;
  const peers = new Map(view.siblings.map((peer) => [peer.name, peer]));
  const ranked = rankMembers(digest, [...peers.keys(), ...(view.isMember ? [view.self] : [])]);
  const before = view.isMember ? ranked.slice(0, ranked.indexOf(view.self)) : ranked;
  const parents = parentsOf(before.filter((name) => isAnswering(name) && answers.get(name) !== "unable"));
  const [parent = ""] = parents;
  const awaited = waitedMs < patienceMs ? peers.get(parent) : undefined;
  if (awaited !== undefined) {
    const unasked = peers.get(nextParent(parents, facts) ?? "");
    return unasked === undefined ? { kind: "wait", peer: awaited } : { kind: "ask-to-fetch", peer: unasked };
  }
  const holders = holdersOf(ranked, before, facts);
  const unasked = peers.get(holders.find((name) => !facts.holdersBusy.has(name)) ?? "");
  if (unasked !== undefined) return { kind: "ask-holder", peer: unasked };
  const busy = waitedMs < Math.min(HOLDER_PATIENCE_MS_MAX, patienceMs) ? peers.get(holders[0] ?? "") : undefined;
  if (busy !== undefined) return { kind: "wait", peer: busy };
  return { kind: facts.hasOriginFailed ? "give-up" : "origin" };
}

/** The nearest; one further up for each that does not know of the blob, and for each while without a byte. */
function nextParent(parents: readonly string[], { answers, waitedMs }: FillFacts): string | undefined {
  const absent = parents.filter((name) => answers.get(name) === "absent").length;
  const asked = parents.slice(0, 1 + absent + Math.floor(waitedMs / FURTHER_UP_MS));
  return asked.find((name) => !answers.has(name));
}

/** Of the one that comes after `before`, the nearest first, the first of all last. */
function parentsOf(before: readonly string[]): readonly string[] {
  const parents: string[] = [];
  for (let at = before.length; at > 0; ) {
    at = Math.floor((at - 1) / FILL_FAN_OUT);
    parents.push(...before.slice(at, at + 1));
  }
  return parents;
}

/** Of those that are worth a question, the ones that have not said what they have. */
function holdersOf(ranked: readonly string[], before: readonly string[], facts: FillFacts): readonly string[] {
  const { view, isAnswering, holdersAsked, hasOriginFailed, isOriginDown } = facts;
  const isHeir = before.some((name) => !isAnswering(name));
  const most = hasOriginFailed || isOriginDown ? ranked.length : isHeir ? HEIRS_ASKED_MAX : HOLDERS_ASKED_MAX;
  const left = Math.max(0, most - holdersAsked.size);
  return ranked.filter((name) => name !== view.self && isAnswering(name) && !holdersAsked.has(name)).slice(0, left);
}
