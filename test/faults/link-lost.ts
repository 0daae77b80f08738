/** The stream between edge and origin dies in three ways: both sides notice, and who asks the edge notices nothing. */
import { systemClock } from "#platform/clock.ts";
import { holds, NEWS, type Prepared, prepareEdge, SHOP } from "#test/bench/prepared-edge.ts";
import { PULLED } from "#test/end-to-end/content.ts";
import { type Edge, withheldMs } from "#test/end-to-end/fleet.ts";
import { observedNodes } from "#test/end-to-end/monotone.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { blackHole, blackHoleLacks } from "./black-hole.ts";
import { metricOf, untilLink } from "./edge-words.ts";
import { fairly, type Timed, withheldFromUsMs } from "./fair-times.ts";
import type { Fault, Finding, Trial } from "./fault.ts";
import { type LoadRequest, SteadyLoad } from "./steady-load.ts";

const DETECTED_MS_MAX = 10_000;
const SLOWER_MS_MAX = 50;
const OBJECTS = 20;
const BEFORE_MS = 5_000;
/** Longer than it takes to notice. */
const DURING_MS = 12_000;
const FIRST_MS = 1_000;
const POLL = { pauseMs: 20, limitMs: 30_000 };

type Lose = (edge: Edge) => Disposable;

interface Lost extends Timed {
  readonly detectedMs: number;
  readonly detectedByOriginMs: number;
  readonly failures: number;
}

async function untilDetected({ edge, origin }: Prepared, sinceMs: number) {
  const passed = (): number => systemClock.monotonicMs() - sinceMs;
  const isGone = (value: number): boolean => value === 0;
  const [detectedMs, detectedByOriginMs] = await Promise.all([
    untilSo("the edge notices", () => metricOf(edge, "origin_link_up"), isGone, POLL).then(passed),
    untilSo(
      "the origin notices",
      () => observedNodes(origin),
      (nodes) => nodes.some(({ name, linkUp }) => name === edge.name && !linkUp),
      POLL,
    ).then(passed),
  ]);
  return { detectedMs, detectedByOriginMs };
}

/** `ms` is by how much answers are slower, at p99: in the first second or in all the time, whichever is more. */
async function loseOnce(prepared: Prepared, requests: readonly LoadRequest[], lose: Lose): Promise<Lost> {
  const { edge } = prepared;
  await untilLink(edge, 1);
  await using load = new SteadyLoad(edge.content, requests);
  const beginMs = systemClock.monotonicMs();
  await systemClock.sleep(BEFORE_MS);
  const withheld = () => Math.max(withheldMs(edge), withheldFromUsMs());
  const withheldBefore = withheld();
  const lostMs = systemClock.monotonicMs();
  using _lost = lose(edge);
  const detected = await untilDetected(prepared, lostMs);
  await systemClock.sleep(Math.max(0, lostMs + DURING_MS - systemClock.monotonicMs()));
  const beforeMs = load.p99Ms(beginMs, lostMs);
  const slowest = Math.max(load.p99Ms(lostMs, lostMs + FIRST_MS), load.p99Ms(lostMs, lostMs + DURING_MS));
  const { failures } = load;
  return { ...detected, ms: Math.max(0, slowest - beforeMs), withheldMs: withheld() - withheldBefore, failures };
}

async function run(trial: Trial, lose: Lose): Promise<readonly Finding[]> {
  const prepared = await prepareEdge(trial, OBJECTS);
  const [path = "", bytes] = [...PULLED][1] ?? [];
  const requests = [
    { host: SHOP.host, path: "/files/1.bin", isRight: holds(prepared.content.get("/files/1.bin")) },
    { host: NEWS.host, path, isRight: holds(bytes) },
  ];
  const lost = await fairly(trial, { what: "answers slower by", boundMs: SLOWER_MS_MAX }, () =>
    loseOnce(prepared, requests, lose),
  );
  await untilLink(prepared.edge, 1);
  return [
    { what: "noticed by the edge", value: lost.detectedMs, unit: "ms", bound: DETECTED_MS_MAX },
    { what: "by the origin", value: lost.detectedByOriginMs, unit: "ms", bound: DETECTED_MS_MAX },
    { what: "answers at p99 slower by", value: lost.ms, unit: "ms", bound: SLOWER_MS_MAX },
    { what: "failed answers", value: lost.failures, unit: "count", bound: 0 },
  ];
}

export const linksLost: readonly Fault[] = [
  {
    name: "link-black-holed",
    what: "packets between edge and origin vanish",
    lacks: blackHoleLacks,
    run: (trial) => run(trial, (edge) => blackHole(edge.toCloud.map(({ address }) => address))),
  },
  {
    name: "link-dropped",
    what: "connections between edge and origin are reset, new ones too",
    run: (trial) => run(trial, (edge) => losing(edge, "cut")),
  },
  {
    name: "link-half-open",
    what: "the peer's TCP still answers, and nothing arrives",
    run: (trial) => run(trial, (edge) => losing(edge, "halfOpen")),
  },
];

function losing({ toCloud }: Edge, how: "cut" | "halfOpen"): Disposable {
  for (const link of toCloud) link[how]();
  return {
    [Symbol.dispose]() {
      for (const link of toCloud) link.restore();
    },
  };
}
