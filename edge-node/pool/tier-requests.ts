/** Asks peers in the order of the plan until one answers; counts what is under way, and passes by who failed of late. */
import { isFailure } from "#domain/failure.ts";
import { fieldValue, listMembers } from "#domain/http/fields.ts";
import type { Clock } from "#platform/clock.ts";
import type { PurgeMark } from "../desired-state/applied-purges.ts";
import type { UpstreamRequest, UpstreamResponse } from "../upstream/upstream-client.ts";
import type { Peer, TierView } from "./membership.ts";
import type { PeerHealth } from "./peer-health.ts";
import { formatTierRequest, parseDecline, TIER_FIELD } from "./tier-fields.ts";
import { type AskedBy, type Candidate, PEERS_ASKED_MAX, planTiers, type Tier } from "./tier-plan.ts";

/** One call to one peer; throws a `Failure` where it has no head in time. */
export type CallPeer = (peer: Peer, request: UpstreamRequest, headMsMax: number) => Promise<UpstreamResponse>;

/** What became of a question to a peer: an answer, a word why not, or nothing. */
export type TierOutcome = "answered" | "declined" | "failed";

export interface TierRequestsOptions {
  readonly view: () => TierView;
  readonly call: CallPeer;
  readonly health: PeerHealth;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** How far this node has applied purges. */
  readonly applied: () => PurgeMark;
  readonly events: { asked(tier: Tier, outcome: TierOutcome, peer: string): void };
}

export interface AskedFor {
  readonly site: string;
  /** For all peers together: what the site gives its upstream, which is asked after them. */
  readonly headMsMax: number;
}

export class TierRequests {
  readonly #options: TierRequestsOptions;
  /** Under way, by node. */
  readonly #loads = new Map<string, number>();

  constructor(options: TierRequestsOptions) {
    this.#options = options;
  }

  /** `undefined` where no peer answers: then the upstream is asked. */
  async ask(wanted: AskedFor, request: UpstreamRequest): Promise<UpstreamResponse | undefined> {
    const { view, health, clock } = this.#options;
    const untilMs = clock.monotonicMs() + wanted.headMsMax;
    const key = `${wanted.site} ${request.target}`;
    const loadOf = (name: string) => this.#loads.get(name) ?? 0;
    const plan = planTiers(key, { view: view(), askedBy: askedByOf(request), loadOf });
    const asked: Record<Tier, number> = { sibling: 0, parent: 0 };
    for (const candidate of plan) {
      const { tier, peer } = candidate;
      const headMsMax = untilMs - clock.monotonicMs();
      if (headMsMax <= 0) return undefined;
      if (asked[tier] >= PEERS_ASKED_MAX || !health.mayAsk(peer.name)) continue;
      asked[tier] += 1;
      const response = await this.#askOne(candidate, { ...wanted, headMsMax }, request);
      if (response !== undefined) return response;
    }
    return undefined;
  }

  async #askOne({ tier, peer }: Candidate, wanted: AskedFor, request: UpstreamRequest) {
    const { call, health, events } = this.#options;
    const done = this.#count(peer.name);
    try {
      const response = await call(peer, this.#requestFor(wanted, request), wanted.headMsMax);
      if (isAnswer(response)) {
        health.answered(peer.name);
        events.asked(tier, "answered", peer.name);
        return counted(withAskedAt(response), done);
      }
      response.discard();
      // What it says of its upstream is an answer: the peer is well.
      if (parseDecline(response.fields) === undefined) health.answered(peer.name);
      else health.declined(peer.name);
      events.asked(tier, "declined", peer.name);
    } catch (error) {
      health.failed(peer.name);
      events.asked(tier, "failed", peer.name);
      if (!isFailure(error)) throw error;
    }
    done();
    return undefined;
  }

  #requestFor({ site }: AskedFor, request: UpstreamRequest): UpstreamRequest {
    const scheme = fieldValue(request.fields, "x-forwarded-proto") === "https" ? "https" : "http";
    const host = fieldValue(request.fields, "x-forwarded-host") ?? "";
    const said = formatTierRequest({ site, scheme, host, applied: this.#options.applied() });
    const fields = new Map([...request.fields, [TIER_FIELD, [said]]]);
    return { ...request, fields };
  }

  /** Gives what ends the count, once. */
  #count(name: string): () => void {
    this.#loads.set(name, (this.#loads.get(name) ?? 0) + 1);
    let isCounted = true;
    return () => {
      if (!isCounted) return;
      isCounted = false;
      const left = (this.#loads.get(name) ?? 1) - 1;
      if (left === 0) this.#loads.delete(name);
      else this.#loads.set(name, left);
    };
  }
}

function askedByOf(request: UpstreamRequest): AskedBy {
  return request.askedBy ?? "user-agent";
}

/** A failure of the peer's own is none: its last Proxy-Status member (RFC 9209) is the peer's. A loop stays one. */
function isAnswer({ status, fields }: UpstreamResponse): boolean {
  if (parseDecline(fields) !== undefined) return false;
  const last = listMembers(fieldValue(fields, "proxy-status") ?? "").at(-1);
  return status === 508 || status < 500 || last === undefined || !/^Perigee\s*;.*\berror=/.test(last);
}

/**
 * When the upstream was asked, at the latest, by this node's own clock: a purge of later is for this response too. Age is
 * in whole seconds, rounded down, and counts from when the peer asked (RFC 9111 section 4.2.3).
 */
function withAskedAt(response: UpstreamResponse): UpstreamResponse {
  const age = fieldValue(response.fields, "age") ?? "";
  const ageSeconds = /^\d+$/.test(age) ? Number(age) : 0;
  return { ...response, askedAtMs: response.requestedAtMs - (ageSeconds + 1) * 1000 };
}

function counted(response: UpstreamResponse, done: () => void): UpstreamResponse {
  return {
    ...response,
    body: countedBody(response.body, done),
    discard() {
      response.discard();
      done();
    },
  };
}

async function* countedBody(body: AsyncIterable<Uint8Array>, done: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } finally {
    done();
  }
}
