/** Agents and schedulers that joined a real origin, and agents that have dialled a real edge. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { Enrolment } from "#contracts/generated/perigee/v1/enrolment_pb.js";
import { SiteControl, SiteEnrolment } from "#contracts/generated/perigee/v1/site_pb.js";
import { FakeAgent } from "#edge-node/sessions/door-world.test.ts";
import { systemClock } from "#platform/clock.ts";
import { createGrpcClient } from "#platform/grpc/client.ts";
import { type EnrolmentCalls, type NodeIdentity, openNodeIdentity } from "#platform/identity/node-identity.ts";
import { serverNameOf } from "#platform/identity/peer.ts";
import { createLogger } from "#platform/logging.ts";
import { systemRandom } from "#platform/random.ts";
import { until } from "#test/simulation/until.ts";
import { api, type Cloud, type EdgeProcess } from "./edge-and-origin.ts";

const MS_MAX = 30_000;

type Connect = Parameters<typeof openNodeIdentity>[0]["connect"];
const connectOrigin: Connect = (address, tls) => createGrpcClient(Enrolment, { address, tls });
const connectSite: Connect = (address, tls): EnrolmentCalls => createGrpcClient(SiteEnrolment, { address, tls });

export async function joinAs(
  t: Test,
  cloud: Cloud,
  folder: string,
  who: { role: "agent" | "scheduler"; name: string; through: EdgeProcess | undefined; pool?: string },
): Promise<NodeIdentity> {
  const { role, name, through, pool = "near" } = who;
  const token: { token: string; pin: string } = JSON.parse(
    await api(cloud, "POST", "/v1/join-tokens", { role, name, ...(role === "agent" ? { pool } : {}) }),
  );
  mkdirSync(folder, { recursive: true });
  const tokenFile = join(folder, `${name}.token`);
  writeFileSync(tokenFile, token.token);
  const identity = await openNodeIdentity({
    ...{ folder: join(folder, name), role, name, join: { tokenFile, pin: token.pin } },
    enrolment: [through?.siteEnrolment ?? cloud.origin.addresses.enrolment],
    connect: through === undefined ? connectOrigin : connectSite,
    ...{ clock: systemClock, random: systemRandom, signal: systemClock.deadline(MS_MAX) },
    logger: createLogger({ program: role, level: "silent" }),
  });
  t.teardown(() => identity[Symbol.asyncDispose]());
  return identity;
}

export interface Dialling {
  /** Of the edge. */
  readonly name?: string;
  readonly sessions?: readonly string[];
  readonly slots?: number;
}

/** Dials until it is let in: the edge hears of a node that has just joined a moment later. */
export async function dial(
  t: Test,
  edge: EdgeProcess,
  identity: NodeIdentity,
  { name = "near-1", sessions = [], slots = 4 }: Dialling = {},
) {
  const tls = identity.clientTls(serverNameOf({ role: "edge", name }));
  const limit = systemClock.deadline(MS_MAX);
  while (!limit.aborted) {
    const client = createGrpcClient(SiteControl, { address: edge.site, tls });
    const agent = new FakeAgent(identity.peer.name, { slots: { total: slots, free: slots } });
    for (const session of sessions) agent.sessions.set(session, 1);
    agent.run(client);
    await until(() => agent.hasEnded || agent.batches.length > 0, "welcomed or refused");
    t.teardown(() => {
      agent.kill();
      client[Symbol.dispose]();
    });
    if (!agent.hasEnded) return agent;
  }
  throw new Error("the agent is not let in");
}
