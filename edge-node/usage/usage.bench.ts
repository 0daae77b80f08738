/** What counting by site costs a hit of the fast lane, in time of the processor, its socket aside: with and without, in turns. `--hits N --rounds N`. */
import { Socket } from "node:net";
import { parseArgs } from "node:util";
import { systemClock } from "#platform/clock.ts";
import { FastLane, LaneClient } from "../front/fast-lane.ts";
import { readHead } from "../front/request-head.ts";
import { StoredHits } from "../front/stored-hits.ts";
import { SiteTallies } from "./site-tallies.ts";

const { values } = parseArgs({
  options: { hits: { type: "string", default: "200000" }, rounds: { type: "string", default: "25" } },
});
const hits = Number(values.hits);

class Nowhere extends Socket {
  override write(): boolean {
    return true;
  }
}

const nowMs = systemClock.nowMs();
const stored = {
  ...{ site: "shop", webOrigin: "http://shop.example", key: "/", varyNames: [], variant: "", status: 200 },
  freshness: {
    ...{ receivedAtMs: nowMs, initialAgeSeconds: 0, lifetimeSeconds: 86_400 },
    ...{ alwaysValidate: false, neverStale: false, hasSharedLifetime: false },
    ...{ staleWhileRevalidateSeconds: 0, staleIfErrorSeconds: 0 },
  },
  ...{ fields: new Map([["etag", ['"a"']]]), requestedAtMs: nowMs, body: Buffer.alloc(1_024) },
};
const store = { findInMemory: () => stored };
const finder = new StoredHits({ store, site: "shop", isOpen: () => true, admit: () => true });
const counted = new Map<number, number>();
const events = {
  hit: (status: number) => void counted.set(status, (counted.get(status) ?? 0) + 1),
  sent: () => undefined,
};
const bytes = Buffer.from("GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n");

/** Nanoseconds a hit. */
function measure(usage: SiteTallies | undefined): number {
  const lane = new FastLane({ finder, clock: systemClock, events, usage });
  const client = new LaneClient(new Nowhere(), "http", () => undefined);
  const answer = () => {
    const head = readHead(bytes, 0);
    if (head.kind !== "simple" || !lane.answer(client, bytes, head)) throw new Error("it is a hit");
  };
  for (let turn = 0; turn < hits / 10; turn += 1) answer();
  const before = process.cpuUsage();
  for (let turn = 0; turn < hits; turn += 1) answer();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / hits;
}

const without: number[] = [];
const withUsage: number[] = [];
for (let round = 0; round < Number(values.rounds); round += 1) {
  without.push(measure(undefined));
  withUsage.push(measure(new SiteTallies()));
}
const [plain, counting] = [Math.min(...without), Math.min(...withUsage)];
process.stdout.write(
  `at best a hit without ${plain.toFixed(0)} ns, counted by site ${counting.toFixed(0)} ns: ${(counting / plain).toFixed(3)} of it\n`,
);
