/** An origin that is restored from an older backup: its edges refuse what is older than what they hold, say so, and serve on. */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { prepareEdge } from "#test/bench/prepared-edge.ts";
import { document, publish } from "#test/edge-origin/edge-and-origin.ts";
import { kill, start } from "#test/end-to-end/fleet.ts";
import { ask } from "#test/end-to-end/http-client.ts";
import { observedNodes } from "#test/end-to-end/monotone.ts";
import { untilSo } from "#test/end-to-end/waiting.ts";
import { apply, logged, metricOf, operatorOf, untilApplied, untilLink } from "./edge-words.ts";
import type { Fault } from "./fault.ts";

const COUNTED = { name: "counted", host: "counted.example" };
const REFUSED = "epoch-regressed";
/** What the condition `Synced` gives as its reason. */
const REASON = "OriginBehind";
const RECONNECT_MS_MAX = 60_000;
const LOOKS = 50;

export const oldBackup: Fault = {
  name: "old-backup",
  what: "the origin's data folder put back as it was two releases ago",
  async run(trial) {
    const { edge, origin } = await prepareEdge(trial, 1);
    const served = async (): Promise<number> =>
      Number.parseInt(
        (await ask(edge.content, "/generation", { headers: { host: COUNTED.host } })).body.toString(),
        10,
      );
    const release = (generation: number) =>
      publish(operatorOf(origin), COUNTED.name, { "/generation": String(generation) });
    await apply(origin, [document("Site", COUNTED.name, { hostnames: [COUNTED.host], publish: {} })]);
    await release(1);
    await untilApplied(edge, origin);
    await origin.running?.[Symbol.asyncDispose]();
    const backup = join(trial.folder, "backup");
    cpSync(origin.dataDir, backup, { recursive: true });
    await start(trial, origin);
    await release(2);
    await release(3);
    await untilSo("the newest is served", served, (generation) => generation === 3, { limitMs: RECONNECT_MS_MAX });
    await untilApplied(edge, origin);
    const held = await metricOf(edge, "applied_revision");

    await kill(origin);
    rmSync(origin.dataDir, { recursive: true });
    cpSync(backup, origin.dataDir, { recursive: true });
    await start(trial, origin);
    const isCounted = (count: number): boolean => count > 0;
    const patience = { limitMs: RECONNECT_MS_MAX };
    const refused = () => metricOf(edge, "batches_refused_total", `code="${REFUSED}"`);
    await untilSo("the edge refuses", refused, isCounted, patience);
    await untilLink(edge, 1);
    await untilSo(
      "the origin's status of the node says why",
      () => observedNodes(origin),
      (nodes) => nodes.some(({ conditions }) => conditions.some(({ status, reason }) => !status && reason === REASON)),
    );
    const ready = (await ask(edge.admin, "/readyz")).body.toString();
    if (!ready.includes(REASON)) throw new Error(`/readyz does not say it: ${ready}`);
    let older = 0;
    for (let look = 0; look < LOOKS; look += 1) if ((await served()) !== 3) older += 1;
    const back = held - (await metricOf(edge, "applied_revision"));
    if (logged(edge, "batch refused, the set stays as it was").length === 0) throw new Error("the log does not say it");
    return [
      { what: "older answers", value: older, unit: "count", bound: 0 },
      { what: "revisions gone back", value: back, unit: "count", bound: 0 },
    ];
  },
};
