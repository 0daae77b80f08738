/** What a node says of itself, wire ↔ domain. */
import { create } from "@bufbuild/protobuf";
import type { AgentStatus, Condition, NodeStatus, SessionStatus } from "#domain/fleet/node.ts";
import {
  type AgentStatus as AgentStatusMessage,
  AgentStatusSchema,
  type Condition as ConditionMessage,
  type NodeStatus as NodeStatusMessage,
  NodeStatusSchema,
  type SessionStatus as SessionStatusMessage,
} from "../generated/perigee/v1/node_pb.js";
import { fromUint64, toUint64 } from "./numbers.ts";

const CONDITION_TYPES = [
  "OfflineReady",
  "StoreHealthy",
  "Ready",
  "Synced",
] as const satisfies readonly Condition["type"][];

export function toNodeStatus(status: NodeStatus): NodeStatusMessage {
  return create(NodeStatusSchema, {
    ...status,
    sealingKey: Buffer.from(status.sealingKey ?? "", "base64"),
    epoch: toUint64(status.epoch),
    appliedRevision: toUint64(status.appliedRevision),
    provenRevision: toUint64(status.provenRevision ?? 0),
    storeBytesUsed: toUint64(status.storeBytesUsed),
    storeBytesMax: toUint64(status.storeBytesMax),
    certificateExpiresAtMs: toUint64(status.certificateExpiresAtMs),
    conditions: status.conditions.map((condition) => ({ ...condition, sinceMs: toUint64(condition.sinceMs) })),
    sites: status.sites.map((site) => ({
      ...site,
      activeGeneration: toUint64(site.activeGeneration),
      desiredGeneration: toUint64(site.desiredGeneration),
      releaseBytes: toUint64(site.releaseBytes ?? 0),
    })),
    agents: status.agents.map(toAgentStatus),
  });
}

/** Throws `argument-invalid` for numbers out of range. */
export function fromNodeStatus(message: NodeStatusMessage): NodeStatus {
  return {
    incarnation: message.incarnation,
    softwareVersion: message.softwareVersion,
    contentUrl: message.contentUrl,
    hostname: message.hostname,
    ...(message.peerAddress === "" ? {} : { peerAddress: message.peerAddress }),
    ...(message.sealingKey.byteLength === 0 ? {} : { sealingKey: Buffer.from(message.sealingKey).toString("base64") }),
    epoch: fromUint64(message.epoch, "epoch"),
    appliedRevision: fromUint64(message.appliedRevision, "appliedRevision"),
    ...(message.provenRevision === 0n ? {} : { provenRevision: fromUint64(message.provenRevision, "provenRevision") }),
    storeBytesUsed: fromUint64(message.storeBytesUsed, "storeBytesUsed"),
    storeBytesMax: fromUint64(message.storeBytesMax, "storeBytesMax"),
    certificateExpiresAtMs: fromUint64(message.certificateExpiresAtMs, "certificateExpiresAtMs"),
    conditions: message.conditions.flatMap(fromCondition),
    sites: message.sites.map((site) => ({
      site: site.site,
      activeGeneration: fromUint64(site.activeGeneration, "activeGeneration"),
      desiredGeneration: fromUint64(site.desiredGeneration, "desiredGeneration"),
      objectsMissing: site.objectsMissing,
      ...(site.releaseBytes === 0n ? {} : { releaseBytes: fromUint64(site.releaseBytes, "releaseBytes") }),
    })),
    agents: message.agents.map(fromAgentStatus),
  };
}

/** One that a later version says is left out: no node is cut for saying more. */
function fromCondition({ type, status, reason, message, sinceMs }: ConditionMessage): readonly Condition[] {
  const known = CONDITION_TYPES.find((candidate) => candidate === type);
  if (known === undefined) return [];
  return [{ type: known, status, reason, message, sinceMs: fromUint64(sinceMs, "sinceMs") }];
}

export function toAgentStatus(status: AgentStatus): AgentStatusMessage {
  return create(AgentStatusSchema, {
    agent: status.agent,
    incarnation: status.incarnation,
    ready: status.ready,
    reasons: [...status.reasons],
    slots: status.slots.map((slot) => ({ ...slot })),
    sessions: status.sessions.map((session) => ({ ...session, startedAtMs: toUint64(session.startedAtMs) })),
  });
}

export function fromAgentStatus(message: AgentStatusMessage): AgentStatus {
  return {
    agent: message.agent,
    incarnation: message.incarnation,
    ready: message.ready,
    reasons: [...message.reasons],
    slots: message.slots.map(({ renderClass, total, free, frameMsP95 }) => ({ renderClass, total, free, frameMsP95 })),
    sessions: message.sessions.map(fromSessionStatus),
  };
}

function fromSessionStatus(message: SessionStatusMessage): SessionStatus {
  const { session, attempt, app, renderClass, remotePathMsP50, remotePathMsP95, rttMs } = message;
  return {
    session,
    attempt,
    app,
    renderClass,
    startedAtMs: fromUint64(message.startedAtMs, "startedAtMs"),
    remotePathMsP50,
    remotePathMsP95,
    rttMs,
  };
}
