/** A user somewhere: a source address that the operator's table places, and links of its own length to each edge. */
import { Agent } from "node:http";
import { Value } from "typebox/value";
import { browserClock } from "#client/clock.ts";
import { type ProbedEdge, probeEdges } from "#client/probe/probe.ts";
import { type SteerAnswer, steerAnswerSchema } from "#contracts/operator-api/sessions.ts";
import { type Address, formatAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { type Link, startTcpLink } from "#platform/links/tcp-link.ts";
import { systemRandom } from "#platform/random.ts";
import type { Edge, Ground } from "./fleet.ts";
import { type Answer, type Asked, ask, askJson } from "./http-client.ts";

export interface UserPlan {
  readonly name: string;
  /** On this machine, and in one of the operator's networks. */
  readonly address: string;
  readonly rttMsByEdge: Readonly<Record<string, number>>;
}

/** The links of all of them together take a fraction of this; a busy machine the rest. */
const PROBING_MS_MAX = 5_000;

export interface User {
  readonly plan: UserPlan;
  steer(scheduler: Address, site: string): Promise<SteerAnswer>;
  /** Where a site's own name is sent to. */
  redirect(scheduler: Address, hostname: string, path: string): Promise<string>;
  /** Measures the named edges through this user's links, as the client library does: far ones are not waited for once a near one has answered. */
  probe(targets: SteerAnswer["probes"]): Promise<readonly ProbedEdge[]>;
  report(scheduler: Address, probed: readonly ProbedEdge[]): Promise<void>;
  /** Through this user's link to that edge. */
  get(url: string, asked?: Asked): Promise<Answer>;
}

export async function startUser({ t }: Ground, plan: UserPlan, edges: readonly Edge[]): Promise<User> {
  const links = new Map<string, Link>();
  for (const { name, hostname, content: target } of edges) {
    const listen = { host: "127.0.0.1", port: 0 };
    const rttMs = plan.rttMsByEdge[name] ?? 0;
    const link = await startTcpLink({ listen, target, rttMs, clock: systemClock, random: systemRandom });
    t.teardown(() => link[Symbol.asyncDispose]());
    links.set(hostname, link);
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  t.teardown(() => agent.destroy());
  const from = plan.address;
  /** The user's resolver: a node's name, or a site's at a node, leads to the link to that node. */
  const addressOf = (url: URL): Address => {
    const found = [...links].find(([hostname]) => url.hostname === hostname || url.hostname.endsWith(`.${hostname}`));
    if (found === undefined) throw new Error(`${url.hostname} is no edge that ${plan.name} has a link to`);
    return found[1].address;
  };
  return {
    plan,
    async steer(scheduler, site) {
      const answer = await askJson(scheduler, `/v1/steer?site=${site}`, { from });
      return Value.Parse(steerAnswerSchema, answer);
    },
    async redirect(scheduler, hostname, path) {
      const { status, headers } = await ask(scheduler, path, { from, headers: { host: hostname } });
      if (status !== 302 || headers.location === undefined)
        throw new Error(`${hostname}${path}: ${status}, no redirect`);
      return headers.location;
    },
    async probe(targets) {
      const near = targets.map((target) => ({
        ...target,
        url: `http://${formatAddress(addressOf(new URL(target.url)))}`,
      }));
      const probed = await probeEdges(near, { clock: browserClock, withinMs: PROBING_MS_MAX });
      if (probed.length === 0) throw new Error(`none of ${targets.length} edges answered in time`);
      return probed;
    },
    async report(scheduler, probed) {
      await askJson(scheduler, "/v1/measurements", {
        from,
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ results: probed.map(({ result }) => result) }),
      });
    },
    get(text, asked = {}) {
      const url = new URL(text);
      const headers = { ...asked.headers, host: url.host };
      return ask(addressOf(url), url.pathname + url.search, { ...asked, headers, agent });
    },
  };
}

/** The edge with the lowest measured round trip. */
export function nearestOf(probed: readonly ProbedEdge[]): string {
  const rttOf = ({ result }: ProbedEdge): number => Math.min(...result.rttMs);
  const nearest = probed.toSorted((a, b) => rttOf(a) - rttOf(b))[0];
  if (nearest === undefined) throw new Error("no edge was probed");
  return nearest.target.node;
}
