/** Decides what to do with a request given what the store holds (RFC 9111 section 4, RFC 5861). Pure. */
import { type Directives, deltaSeconds } from "#domain/http/cache-control.ts";
import type { Freshness } from "./storage.ts";

/** Nothing is stored for the target, or nothing that was negotiated as this request would be. */
export type Missing = "uri-miss" | "vary-miss";

/** The `because` words are those of RFC 9211 section 2.2 (`fwd`). */
export type LookupDecision =
  | { readonly kind: "serve"; readonly ageSeconds: number }
  | { readonly kind: "serve-stale-and-revalidate"; readonly ageSeconds: number }
  | { readonly kind: "validate"; readonly because: "stale" | "request" }
  | { readonly kind: "forward"; readonly because: Missing }
  /** `only-if-cached` and nothing that may be served: 504 (section 5.2.1.7). */
  | { readonly kind: "refuse"; readonly because: "only-if-cached" };

export function currentAgeSeconds(freshness: Freshness, nowMs: number): number {
  return freshness.initialAgeSeconds + Math.max(0, (nowMs - freshness.receivedAtMs) / 1000);
}

/** `asked` are the request's Cache-Control directives. */
export function decideLookup(found: Freshness | Missing, asked: Directives, nowMs: number): LookupDecision {
  const decision =
    typeof found === "string" ? { kind: "forward" as const, because: found } : decideStored(found, asked, nowMs);
  const needsUpstream = decision.kind === "forward" || decision.kind === "validate";
  return needsUpstream && asked.has("only-if-cached") ? { kind: "refuse", because: "only-if-cached" } : decision;
}

function decideStored(stored: Freshness, asked: Directives, nowMs: number): LookupDecision {
  const ageSeconds = currentAgeSeconds(stored, nowMs);
  const freshForSeconds = stored.lifetimeSeconds - ageSeconds;
  if (stored.alwaysValidate) return { kind: "validate", because: "stale" };
  if (!isAcceptable(asked, ageSeconds, freshForSeconds)) return { kind: "validate", because: "request" };
  if (freshForSeconds > 0) return { kind: "serve", ageSeconds };
  if (isStaleAcceptable(stored, asked, -freshForSeconds)) return { kind: "serve", ageSeconds };
  const maySoon = !stored.neverStale && -freshForSeconds <= stored.staleWhileRevalidateSeconds;
  return maySoon ? { kind: "serve-stale-and-revalidate", ageSeconds } : { kind: "validate", because: "stale" };
}

/** What the user agent insists on: no-cache, max-age, min-fresh (section 5.2.1). */
function isAcceptable(asked: Directives, ageSeconds: number, freshForSeconds: number): boolean {
  if (asked.has("no-cache")) return false;
  const maxAge = deltaSeconds(asked, "max-age");
  if (maxAge === "invalid" || (maxAge !== undefined && ageSeconds > maxAge)) return false;
  const minFresh = deltaSeconds(asked, "min-fresh");
  return minFresh === undefined || minFresh === "invalid" || freshForSeconds >= minFresh;
}

/** `max-stale` (section 5.2.1.2), where the response does not forbid stale. */
function isStaleAcceptable(stored: Freshness, asked: Directives, staleForSeconds: number): boolean {
  if (!asked.has("max-stale") || stored.neverStale || stored.hasSharedLifetime) return false;
  const maxStale = asked.get("max-stale") === undefined ? undefined : deltaSeconds(asked, "max-stale");
  return maxStale === undefined || (maxStale !== "invalid" && staleForSeconds <= maxStale);
}

/** How the upstream failed: it gave no answer, or one that says that it failed. */
export type UpstreamFailing = "disconnected" | "server-error";

/** A copy that nobody could validate for a day is no better than an error. */
export const DISCONNECTED_STALE_SECONDS_MAX = 86_400;

export interface StaleBounds {
  /** The Site's contract: how long past its lifetime a response may be served when the upstream fails. */
  readonly maxStaleSeconds?: number;
  /** How long where nothing names it and the upstream does not answer; at most `DISCONNECTED_STALE_SECONDS_MAX`. */
  readonly disconnectedStaleSeconds?: number;
  /** How long this edge has been cut off, and when the policy says to stop. */
  readonly cutOffSeconds?: number;
  readonly denyAfterSeconds?: number;
}

export type StaleDecision =
  | {
      readonly kind: "serve-stale";
      readonly ageSeconds: number;
      readonly because: "still-fresh" | "stale-if-error" | "max-stale" | "disconnected";
    }
  | { readonly kind: "fail"; readonly because: "forbidden" | "too-stale" | "denied" };

/**
 * What to do when the upstream has failed: stale where the response or the Site names it; without a name where the
 * upstream does not answer at all (RFC 9111 section 4.2.4) and nothing forbids it, `s-maxage` included.
 */
export function decideOnFailure(
  stored: Freshness,
  failing: UpstreamFailing,
  bounds: StaleBounds,
  nowMs: number,
): StaleDecision {
  const { maxStaleSeconds, cutOffSeconds = 0, denyAfterSeconds = Number.POSITIVE_INFINITY } = bounds;
  const { disconnectedStaleSeconds = DISCONNECTED_STALE_SECONDS_MAX } = bounds;
  if (cutOffSeconds > denyAfterSeconds) return { kind: "fail", because: "denied" };
  if (stored.neverStale) return { kind: "fail", because: "forbidden" };
  const ageSeconds = currentAgeSeconds(stored, nowMs);
  const staleForSeconds = ageSeconds - stored.lifetimeSeconds;
  // A user agent wanted it validated.
  if (staleForSeconds <= 0) return { kind: "serve-stale", ageSeconds, because: "still-fresh" };
  const byResponse = Math.max(stored.staleIfErrorSeconds, stored.staleWhileRevalidateSeconds);
  if (staleForSeconds <= byResponse) return { kind: "serve-stale", ageSeconds, because: "stale-if-error" };
  if (staleForSeconds <= (maxStaleSeconds ?? 0)) return { kind: "serve-stale", ageSeconds, because: "max-stale" };
  if (maxStaleSeconds !== undefined || byResponse >= 0) return { kind: "fail", because: "too-stale" };
  if (stored.hasSharedLifetime || failing === "server-error") return { kind: "fail", because: "forbidden" };
  return staleForSeconds <= Math.min(disconnectedStaleSeconds, DISCONNECTED_STALE_SECONDS_MAX)
    ? { kind: "serve-stale", ageSeconds, because: "disconnected" }
    : { kind: "fail", because: "too-stale" };
}
