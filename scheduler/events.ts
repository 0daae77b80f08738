/** What happens in the scheduler: one method an event, the log record and the metrics together. */
import type { Failure, FailureCode } from "#domain/failure.ts";
import type { NodeState } from "#domain/fleet/node.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { RedisEvents } from "#platform/redis/redis-scripts.ts";
import type { FillStanding } from "./content-plan/planned-fills.ts";
import type { SegmentLogEvents } from "./decision-log/segment-log.ts";
import type { RttExchangeEvents } from "./latency/rtt-exchange.ts";
import type { LedgerEvents } from "./ledger/redis-ledger.ts";
import { NO_PRICES, PRICE_MODES, type Prices } from "./pricing/price-source.ts";
import type { SharedDemandEvents } from "./pricing/shared-demand.ts";
import type { SharedPricesEvents } from "./pricing/shared-prices.ts";
import type { PricingEvents } from "./pricing/slow-loop.ts";
import type { StateChange } from "./reconcile/node-watch.ts";
import type { SessionEvents } from "./session/session-service.ts";
import type { SteeringEvents } from "./steering/steering-service.ts";

/** Of the thousands of pools those that say something; a metric with a label each is no place for all. */
const POOLS_SHOWN_MAX = 64;
const SOLVE_SECONDS_BUCKETS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10];

export type SchedulerEvents = ReturnType<typeof createEvents>;

export function createEvents(logger: Logger, metrics: Metrics) {
  const policies = policyEvents(metrics, logger);
  return {
    ...linkEvents(logger, metrics),
    ...fleetEvents(logger, metrics),
    ...fillEvents(metrics),
    session: { ...sessionEvents(metrics, logger), ...policies },
    steering: { ...steeringEvents(metrics, logger), ...policies },
    pricing: { ...pricingEvents(metrics, logger), ...sharedPricingEvents(metrics, logger) },
    api: apiEvents(metrics),
    ledger: ledgerEvents(logger, metrics),
    rtt: rttEvents(logger, metrics),
    decisionLog: decisionLogEvents(metrics, logger),
    listening(addresses: Readonly<Record<string, string>>) {
      logger.info({ addresses }, "scheduler listening");
    },
  };
}

function linkEvents(logger: Logger, metrics: Metrics) {
  const link = metrics.gauge("origin_link_up", "1 while the stream to the origin stands");
  const revision = metrics.gauge("applied_revision", "Revision of the desired state that is durable here");
  const batches = metrics.counter("batches_refused_total", "Messages of the origin refused by reason", ["code"]);
  const damaged = metrics.counter("stored_state_damaged_total", "Stored state that did not verify at load");
  return {
    linkUp() {
      link.set(1);
      logger.info("link to the origin up");
    },
    linkDown(reason: Failure) {
      link.set(0);
      logger.warn({ err: reason }, "link to the origin down, deciding by what is held");
    },
    originRefused: (code: string, message: string) => logger.warn({ code, message }, "the origin refused this replica"),
    applied(to: number) {
      revision.set(to);
      logger.debug({ revision: to }, "desired state applied");
    },
    batchRefused(failure: Failure) {
      batches.inc({ code: failure.code });
      logger.warn({ err: failure }, "a message of the origin refused, what is held stays");
    },
    storedDamaged(failure: Failure) {
      damaged.inc();
      logger.error({ err: failure }, "stored state does not verify, what came after it is asked for again");
    },
  };
}

function fleetEvents(logger: Logger, metrics: Metrics) {
  const lease = metrics.gauge("slow_loop_lease", "1 while this replica holds the slow loop's lease");
  const nodes = metrics.gauge("edges", "Edges by state", ["state"]);
  const changes = metrics.counter("edge_state_changes_total", "Changes of edges' states", ["state"]);
  const probes = metrics.counter("edge_probes_total", "Probes of edges by this scheduler, by outcome", ["outcome"]);
  const plans = metrics.counter("plans_written_total", "Decisions of the slow loop by kind and outcome", [
    "kind",
    "outcome",
  ]);
  const located = metrics.gauge("networks", "Rows of the operator's table of networks");
  return {
    leaseHeld(isHeld: boolean) {
      lease.set(isHeld ? 1 : 0);
      logger.info({ isHeld }, "slow loop's lease");
    },
    counted(counts: Readonly<Record<NodeState, number>>) {
      for (const [state, count] of Object.entries(counts)) nodes.set({ state }, count);
    },
    stateChanged({ node, state }: StateChange, from: NodeState) {
      changes.inc({ state });
      logger.info({ node, from, to: state }, "edge changed its state");
    },
    probed: (outcome: string) => probes.inc({ outcome }),
    planWritten(kind: string, pool: string, outcome: string) {
      plans.inc({ kind, outcome });
      logger.info({ kind, pool, outcome }, "decision of the slow loop written");
    },
    networksLoaded: (rows: number) => located.set(rows),
    geoipLoaded: () => logger.info("GeoLite2 data loaded (MaxMind, CC BY-SA 4.0)"),
    geoipFailed: (error: unknown) =>
      logger.error({ err: error }, "GeoLite2 data cannot be loaded, steering without it"),
  };
}

function fillEvents(metrics: Metrics) {
  const begun = metrics.counter("planned_fills_total", "Copies that nobody had asked for, begun by the content plan");
  const bytes = metrics.counter("planned_fill_bytes_total", "Bytes of those copies");
  const underWay = metrics.gauge(
    "planned_fill_bytes",
    "Bytes of them under way to a pool at its budget, those with most",
    ["pool"],
  );
  const waiting = metrics.gauge(
    "planned_fills_waiting",
    "Copies that are planned and not begun, by what they wait for",
    ["for"],
  );
  return {
    fillsPlanned(standing: FillStanding) {
      begun.inc(standing.begun);
      bytes.inc(standing.begunBytes);
      underWay.reset();
      const most = [...standing.underWay].sort(([, a], [, b]) => b - a).slice(0, POOLS_SHOWN_MAX);
      for (const [pool, count] of most) underWay.set({ pool }, count);
      for (const [what, count] of Object.entries(standing.waiting)) waiting.set({ for: what }, count);
    },
  };
}

function policyEvents(metrics: Metrics, logger: Logger): Pick<SessionEvents, "expressionsFailed"> {
  const failed = metrics.counter("policy_expressions_failed_total", "Expressions of policies that could not be judged");
  return {
    expressionsFailed(notes) {
      failed.inc(notes.length);
      logger.debug({ notes }, "expressions of policies could not be judged, so they do not hold");
    },
  };
}

function sessionEvents(metrics: Metrics, logger: Logger): Omit<SessionEvents, "expressionsFailed"> {
  const sessions = metrics.counter("sessions_total", "Calls of sessions' lives by operation and outcome", [
    "operation",
    "outcome",
  ]);
  const together = metrics.counter("sessions_placed_together_total", "Sessions that lost their pools together", [
    "outcome",
  ]);
  const answers = metrics.counter("session_probe_answers_refused_total", "Probe answers not believed", ["code"]);
  return {
    created: () => sessions.inc({ operation: "create", outcome: "created" }),
    answered: (operation, _app, answer) => sessions.inc({ operation, outcome: answer.state }),
    kept: () => sessions.inc({ operation: "renew", outcome: "kept" }),
    ended: () => sessions.inc({ operation: "end", outcome: "ended" }),
    placedTogether(count, given) {
      together.inc({ outcome: "within-limit" }, given);
      together.inc({ outcome: "left" }, count - given);
      logger.warn({ sessions: count, given }, "sessions lost their pools and were placed together");
    },
    refused: (operation, failure) => sessions.inc({ operation, outcome: failure.code }),
    answerRefused(failure) {
      answers.inc({ code: failure.code });
      logger.debug({ err: failure }, "probe answer of a session not believed");
    },
  };
}

function steeringEvents(metrics: Metrics, logger: Logger): Omit<SteeringEvents, "expressionsFailed"> {
  const steered = metrics.counter("steered_total", "Steering answers by what the winner's round trip is known from", [
    "source",
  ]);
  const unserved = metrics.counter("steering_without_edge_total", "Steering requests that no edge could serve");
  const measured = metrics.counter("measurements_total", "Probe answers of clients that were believed");
  const refused = metrics.counter("measurements_refused_total", "Probe answers of clients not believed", ["code"]);
  return {
    steered: (source) => steered.inc({ source }),
    noEdge: () => unserved.inc(),
    measured: (count) => measured.inc(count),
    answerRefused(failure) {
      refused.inc({ code: failure.code });
      logger.debug({ err: failure }, "probe answer of a client not believed");
    },
  };
}

function pricingEvents(metrics: Metrics, logger: Logger): PricingEvents {
  const prices = metrics.gauge("pool_price_seconds", "What a slot of a pool costs in decisions, the dearest pools", [
    "pool",
  ]);
  const version = metrics.gauge("price_version", "Of the prices that decisions go by; 0 without");
  const modes = metrics.gauge("price_mode", "1 for how prices are used now", ["mode"]);
  const error = metrics.gauge(
    "demand_forecast_error_ratio",
    "Error of the demand forecast beyond what chance explains",
  );
  const solves = metrics.histogram("price_solve_seconds", "CPU time of each solve of prices", SOLVE_SECONDS_BUCKETS);
  const turns = metrics.counter("price_turns_total", "Turns of pricing by outcome", ["outcome"]);
  const fallbacks = metrics.counter("price_fallbacks_total", "Times prices were dropped, by reason", ["reason"]);
  const show = (current: Prices): void => {
    prices.reset();
    const dearest = [...current.byPool].sort(([, a], [, b]) => b - a).slice(0, POOLS_SHOWN_MAX);
    for (const [pool, priceMs] of dearest) prices.set({ pool }, priceMs / 1000);
    version.set(current.version);
  };
  let isStale = false;
  const missing = (): void => {
    if (isStale) return;
    isStale = true;
    fallbacks.inc({ reason: "stale" });
    logger.warn("there are no prices young enough, sessions are placed without");
  };
  return {
    pricesMissed: missing,
    priced(turn) {
      isStale = false;
      show(turn.prices);
      for (const mode of PRICE_MODES) modes.set({ mode }, mode === turn.mode ? 1 : 0);
      error.set(turn.error);
      turns.inc({ outcome: turn.isFollowed ? "followed" : turn.mode });
      if (turn.solveMs !== undefined) solves.observe(turn.solveMs / 1000);
      logger.debug({ mode: turn.mode, version: turn.prices.version, pools: turn.prices.byPool.size }, "prices made");
    },
    pricingFailed(failure, left) {
      show(left ?? NO_PRICES);
      turns.inc({ outcome: "failed" });
      logger.warn(
        { err: failure, version: left?.version },
        "prices could not be made, the last ones stay for a minute",
      );
      if (left !== undefined) return;
      for (const mode of PRICE_MODES) modes.set({ mode }, 0);
      missing();
    },
    pricesLost(lead) {
      fallbacks.inc({ reason: "losing" });
      logger.warn({ lead }, "the rule without prices does better, sessions are placed without");
    },
    pricesRegained: (lead) => logger.info({ lead }, "prices do as well as the rule without them, and are used again"),
  };
}

function sharedPricingEvents(metrics: Metrics, logger: Logger): SharedDemandEvents & SharedPricesEvents {
  const sessions = metrics.counter(
    "demand_exchanged_total",
    "Sessions that came, moved or ended told to other replicas, learned of them, or told to nobody",
    ["way"],
  );
  let isExchanging = true;
  return {
    demandTold(count) {
      isExchanging = true;
      sessions.inc({ way: "told" }, count);
    },
    demandLearned: (count) => sessions.inc({ way: "learned" }, count),
    demandUntold: (count) => sessions.inc({ way: "untold" }, count),
    demandUnreadable: (turn) =>
      logger.warn({ turn }, "demand in Redis that no replica of this version wrote is left out"),
    demandNotExchanged(failure) {
      if (isExchanging) logger.warn({ err: failure }, "demand is not exchanged with other replicas, it is told later");
      isExchanging = false;
    },
    pricesUnreadable: (fault) =>
      logger.warn({ fault }, "prices in Redis that no replica of this version wrote are left out, the last ones stay"),
    pricesNotRead: (failure) =>
      logger.warn({ err: failure }, "prices in Redis cannot be read, the last ones stay for a minute"),
  };
}

function decisionLogEvents(metrics: Metrics, logger: Logger): SegmentLogEvents {
  const logged = metrics.counter("decisions_logged_total", "Decisions written to the log");
  const lost = metrics.counter("decisions_log_lost_total", "Decisions that the log does not have", ["reason"]);
  const bytes = metrics.gauge("decision_log_bytes", "Size of the log of decisions");
  const dropped = metrics.counter("decision_log_dropped_bytes_total", "Bytes of old decisions dropped", ["reason"]);
  const torn = metrics.counter("decision_log_torn_bytes_total", "Bytes cut off at start, that were not written whole");
  return {
    logged: (decisions) => logged.inc(decisions),
    lost: (decisions, reason) => lost.inc({ reason }, decisions),
    failed: (failure) => logger.error({ err: failure }, "decisions cannot be logged, they are made all the same"),
    mended: () => logger.info("decisions are logged again"),
    dropped: (count, reason) => dropped.inc({ reason }, count),
    sized: (count) => bytes.set(count),
    tornAtStart(file, count) {
      torn.inc(count);
      logger.warn({ file, bytes: count }, "the log of decisions had an end that was not written whole, it is cut off");
    },
    damagedAtStart: (file, offset, reason) =>
      logger.error({ file, offset, reason }, "the log of decisions is damaged, what can be read of it is kept"),
  };
}

function apiEvents(metrics: Metrics) {
  const redirects = metrics.counter("redirects_total", "Requests for sites' host names sent on to an edge");
  const refused = metrics.counter("requests_refused_total", "Requests refused by reason", ["code"]);
  return {
    redirected: () => redirects.inc(),
    refused: (code: FailureCode | "bug") => refused.inc({ code }),
  };
}

function rttEvents(logger: Logger, metrics: Metrics): RttExchangeEvents {
  const samples = metrics.counter(
    "rtt_samples_exchanged_total",
    "Round trips told to other replicas, learned of them, or told to nobody",
    ["way"],
  );
  return {
    told: (count) => samples.inc({ way: "told" }, count),
    learned: (count) => samples.inc({ way: "learned" }, count),
    untold: (count) => samples.inc({ way: "untold" }, count),
    unreadable: (turn) =>
      logger.warn({ turn }, "round trips in Redis that no replica of this version wrote are left out"),
  };
}

function ledgerEvents(logger: Logger, metrics: Metrics): LedgerEvents & RedisEvents {
  const up = metrics.gauge("redis_up", "1 while the ledger's Redis is reached; stays 0 where the ledger is in memory");
  const failed = metrics.counter("ledger_failures_total", "What the ledger's Redis did not do in time, by operation", [
    "operation",
    "code",
  ]);
  return {
    redisUp() {
      up.set(1);
      logger.info("the ledger's Redis is reached: pools open with their next reports");
    },
    redisDown(reason) {
      up.set(0);
      logger.error({ err: reason }, "the ledger's Redis is lost: no session is placed until it is back");
    },
    failed(operation, failure) {
      failed.inc({ operation, code: failure.code });
      logger.debug({ operation, err: failure }, "the ledger's Redis did not do it");
    },
  };
}
