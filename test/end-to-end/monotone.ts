/** The checker of what must never go back: a node's applied revision, and the release that an edge serves. */
import type { Test } from "tap";
import { formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import type { Edge, Origin } from "./fleet.ts";
import { ask, askJson } from "./http-client.ts";

/** Often enough to see a release that comes and goes within a second. */
const LOOK_EVERY_MS = 300;

export interface ObservedNode {
  readonly name: string;
  readonly linkUp: boolean;
  readonly appliedRevision: number;
  readonly sites: readonly { site: string; activeGeneration: number; objectsMissing: number }[];
  readonly conditions: readonly { type: string; status: boolean; reason: string; message: string }[];
  readonly agents: readonly { agent: string; ready: boolean; slots: readonly { free: number }[] }[];
}

/** What the origin knows of its edges; empty while it is gone. */
export async function observedNodes(origin: Origin): Promise<readonly ObservedNode[]> {
  const headers = { authorization: `Bearer ${origin.operatorToken}` };
  const answer: { items: { metadata: { name: string }; status?: { linkUp: boolean; status?: ObservedNode } }[] } =
    Object(await askJson(origin.listen.operatorApi, "/v1/nodes", { headers }).catch(() => ({ items: [] })));
  return answer.items.flatMap(({ metadata: { name }, status }) =>
    status?.status === undefined ? [] : [{ ...status.status, name, linkUp: status.linkUp }],
  );
}

export interface MonotoneChecker {
  readonly looks: number;
  /** What went back, in words. */
  readonly regressions: readonly string[];
}

/** `version` is the path of a file that says the number of its release. Ends with the test. */
export function watchMonotone(t: Test, origin: Origin, edges: readonly Edge[], version: Asked): MonotoneChecker {
  const highest = new Map<string, number>();
  const regressions: string[] = [];
  let looks = 0;
  const saw = (what: string, value: number): void => {
    looks += 1;
    const before = highest.get(what) ?? 0;
    if (value < before) regressions.push(`${what} went from ${before} back to ${value}`);
    highest.set(what, Math.max(before, value));
  };
  const look = async (): Promise<void> => {
    for (const { name, appliedRevision } of await observedNodes(origin))
      saw(`${name}'s applied revision`, appliedRevision);
    for (const { name, content } of edges) {
      const answer = await ask(content, version.path, { headers: { host: version.host } }).catch(() => undefined);
      if (answer?.status === 200) saw(`the release at ${name} (${formatAddress(content)})`, Number(answer.body));
    }
  };
  const looking = systemClock.every(LOOK_EVERY_MS, look);
  t.teardown(() => looking[Symbol.dispose]());
  return {
    regressions,
    get looks() {
      return looks;
    },
  };
}

export interface Asked {
  readonly host: string;
  readonly path: string;
}
