/** Joins the stream of facts to what lives on it: the fleet, the ledger, nodes' states and the slow loop. */
import { toDecision } from "#contracts/codec/decisions.ts";
import { toNodeStates } from "#contracts/codec/facts.ts";
import type { Readiness } from "#platform/http/admin-listener.ts";
import { serverNameOf } from "#platform/identity/peer.ts";
import type { SchedulerConfig } from "./config.ts";
import { SlowLoop } from "./content-plan/slow-loop.ts";
import { FactsLink, type FactsReceiver } from "./facts/facts-link.ts";
import type { ObservedNode } from "./facts/fleet.ts";
import type { TellStates } from "./reconcile/node-watch.ts";
import type { SchedulerParts } from "./scheduler-parts.ts";

const ORIGIN_SERVER_NAME = serverNameOf({ role: "origin", name: "origin" });
const COUNT_MS = 5000;

export interface ConnectedFacts {
  readiness(): Readiness;
}

export function connectFacts(
  config: SchedulerConfig,
  parts: SchedulerParts,
  stack: AsyncDisposableStack,
): ConnectedFacts {
  const { clock, fleet, watch, events, set, identity, pricing } = parts;
  const standing = { isUp: false, isComplete: false, hasLease: false };
  const loop = stack.use(
    new SlowLoop({
      clock,
      fleet,
      events,
      demand: parts.demand,
      write: (request, resource, expectedResourceVersion): boolean =>
        link.send({ case: "decision", value: toDecision({ request, resource, expectedResourceVersion }) }),
    }),
  );
  const tell: TellStates = (states) => link.send({ case: "nodeStates", value: toNodeStates(states) });
  const reconsider = (): void => {
    const mayWrite = standing.isUp && standing.isComplete && standing.hasLease;
    watch.tellTo(mayWrite ? tell : undefined);
    loop.setActive(mayWrite);
    pricing.setInformed(standing.isUp && standing.isComplete);
    pricing.setActive(mayWrite);
  };
  const link: FactsLink = stack.use(
    new FactsLink({
      ...parts,
      nextAddress: () => parts.origins.dial(),
      tls: () => identity.clientTls(ORIGIN_SERVER_NAME),
      clientUrl: config.clientUrl,
      receiver: receiverOf(parts, standing, { loop, reconsider }),
    }),
  );
  stack.use(clock.every(COUNT_MS, () => events.counted(watch.counts())));
  events.applied(set.watermark?.revision ?? 0);
  return { readiness: () => readinessOf(parts, standing) };
}

interface Standing {
  isUp: boolean;
  /** All that is observed has been told since the link stands. */
  isComplete: boolean;
  hasLease: boolean;
}

function receiverOf(
  parts: SchedulerParts,
  standing: Standing,
  { loop, reconsider }: { readonly loop: SlowLoop; readonly reconsider: () => void },
): FactsReceiver {
  const { fleet, watch, events, set } = parts;
  return {
    desired() {
      fleet.setDesired(set.resources);
      watch.turn();
      events.applied(set.watermark?.revision ?? 0);
    },
    observed: (node) => takeObserved(parts, node),
    complete(nodes) {
      fleet.retainObserved(nodes);
      watch.knowLinks();
      standing.isComplete = true;
      reconsider();
    },
    lease(isHeld) {
      standing.hasLease = isHeld;
      events.leaseHeld(isHeld);
      reconsider();
    },
    decided: (result) => loop.decided(result),
    up() {
      standing.isUp = true;
      events.linkUp();
    },
    down(reason) {
      Object.assign(standing, { isUp: false, isComplete: false, hasLease: false } satisfies Standing);
      watch.loseLinks();
      reconsider();
      events.linkDown(reason);
    },
  };
}

/** A status counts as a report of slots only while its link is up, and not as the link comes up: that one is old. */
function takeObserved({ fleet, watch, ledger, sessions }: SchedulerParts, observed: ObservedNode): void {
  const { node, linkUp, status } = observed;
  const before = fleet.findObserved(node);
  const isRepeated = before?.linkUp === false && linkUp;
  fleet.setObserved(observed);
  watch.setLink(node, linkUp);
  const pool = fleet.view.nodes.get(node)?.spec;
  if (pool?.role !== "edge" || !linkUp || isRepeated || status === undefined) return;
  void ledger.report({ pool: pool.pool, node, agents: status.agents });
  sessions.observe({ pool: pool.pool, agents: status.agents });
}

function readinessOf({ set, fleet, ledgerStanding }: SchedulerParts, { isUp, hasLease }: Standing): Readiness {
  const revision = set.watermark?.revision;
  const pools = fleet.listPools();
  const edges = pools.reduce((sum, pool) => sum + pool.edges.length, 0);
  const reasons = [
    revision === undefined ? "no desired state yet: the origin has not been reached" : `revision ${revision}`,
    isUp ? "link to the origin up" : "link to the origin down: deciding by what is held",
    hasLease ? "holds the slow loop's lease" : "does not hold the slow loop's lease",
    `${edges} edges in ${pools.length} pools`,
    ledgerStanding(),
  ];
  return { ready: revision !== undefined, reasons };
}
