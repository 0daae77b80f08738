/** What origin and scheduler tell each other of nodes, wire ↔ domain. */
import { create } from "@bufbuild/protobuf";
import type { NodeState, NodeStatus } from "#domain/fleet/node.ts";
import {
  NodeLiveness,
  type NodeStates,
  NodeStatesSchema,
  type ObservedNode as ObservedMessage,
  ObservedNodeSchema,
} from "../generated/perigee/v1/scheduler_pb.js";
import { fromNodeStatus, toNodeStatus } from "./node-status.ts";
import { fromUint64, toUint64 } from "./numbers.ts";

/** The last that a node said of itself, and how its link stands. */
export interface ObservedFact {
  readonly node: string;
  readonly pool: string;
  readonly linkUp: boolean;
  /** Whole milliseconds of the epoch. */
  readonly linkSinceMs: number;
  /** Undefined where it has said nothing yet. */
  readonly status: NodeStatus | undefined;
}

/** The scheduler's word on a node. */
export interface StateFact {
  readonly node: string;
  readonly state: NodeState;
  /** Whole milliseconds of the epoch. */
  readonly sinceMs: number;
}

const LIVENESS_BY_STATE: Readonly<Record<NodeState, NodeLiveness>> = {
  connected: NodeLiveness.CONNECTED,
  "cut-off": NodeLiveness.CUT_OFF,
  dead: NodeLiveness.DEAD,
};

const STATE_BY_LIVENESS: ReadonlyMap<NodeLiveness, NodeState> = new Map([
  [NodeLiveness.CONNECTED, "connected"],
  [NodeLiveness.CUT_OFF, "cut-off"],
  [NodeLiveness.DEAD, "dead"],
]);

export function toObserved({ node, pool, linkUp, linkSinceMs, status }: ObservedFact): ObservedMessage {
  const link = { node, pool, linkUp, linkSinceMs: toUint64(linkSinceMs) };
  return create(ObservedNodeSchema, status === undefined ? link : { ...link, status: toNodeStatus(status) });
}

/** Throws `argument-invalid` for numbers out of range or an unknown condition. */
export function fromObserved({ node, pool, linkUp, linkSinceMs, status }: ObservedMessage): ObservedFact {
  return {
    node,
    pool,
    linkUp,
    linkSinceMs: fromUint64(linkSinceMs, "linkSinceMs"),
    status: status === undefined ? undefined : fromNodeStatus(status),
  };
}

export function toNodeStates(states: readonly StateFact[]): NodeStates {
  return create(NodeStatesSchema, {
    states: states.map(({ node, state, sinceMs }) => ({
      node,
      liveness: LIVENESS_BY_STATE[state],
      sinceMs: toUint64(sinceMs),
    })),
  });
}

/** A state of a later version is left out. Throws `argument-invalid` for numbers out of range. */
export function fromNodeStates({ states }: NodeStates): readonly StateFact[] {
  return states.flatMap(({ node, liveness, sinceMs }) => {
    const state = STATE_BY_LIVENESS.get(liveness);
    return state === undefined ? [] : [{ node, state, sinceMs: fromUint64(sinceMs, "sinceMs") }];
  });
}
