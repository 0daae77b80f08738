/** Where an edge can be measured over UDP, and who measures there: `udp-samples.ts`, in browsers. */
import type { ClientClock } from "../clock.ts";
import { isRecord } from "../http.ts";

/** As an edge tells it with its answer. */
export interface UdpProbeTarget {
  readonly address: string;
  readonly port: number;
  readonly fragment: string;
  readonly password: string;
}

export function isUdpProbeTarget(value: unknown): value is UdpProbeTarget {
  if (!isRecord(value) || typeof value["port"] !== "number") return false;
  return ["address", "fragment", "password"].every((key) => typeof value[key] === "string");
}

export interface UdpSampling {
  readonly count: number;
  readonly clock: ClientClock;
  readonly signal: AbortSignal;
  /** The network lets UDP pass: there is a sample. */
  readonly onFirst: () => void;
}

/** Round trips in milliseconds; none where it cannot. Never rejects. */
export type UdpSampler = (target: UdpProbeTarget, sampling: UdpSampling) => Promise<readonly number[]>;
