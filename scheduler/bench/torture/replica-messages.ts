/** What the torture of the ledger and its replicas say to each other. */
import type { EdgeReport } from "../../ledger/ledger.ts";
import type { Scale } from "./scaled-time.ts";

/** A report that took longer to its replica, in fast milliseconds, is as one of a link that is dead. */
export const TRANSIT_WITHIN_MS = 2_500;

/** The first message to a replica. */
export interface ReplicaSetting {
  readonly url: string;
  readonly scale: Scale;
  /** Of its own clock, ahead or behind. */
  readonly offsetMs: number;
}

export type Order =
  | {
      readonly kind: "reserve";
      readonly id: number;
      readonly session: string;
      readonly attempt: number;
      readonly pool: string;
    }
  | { readonly kind: "release"; readonly id: number; readonly session: string }
  | { readonly kind: "report"; readonly id: number; readonly sentAtMs: number; readonly report: EdgeReport };

export interface Answer {
  readonly id: number;
  /** Of a reservation its outcome; `unavailable` where the ledger was not reached in time; `done` or `late` of the others. */
  readonly outcome: string;
  /** Of the placement, in fast seconds, by the replica's own clock. */
  readonly exp?: number;
}
