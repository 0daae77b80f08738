/** What scripts and tests may use of a page that shows a session: `window.perigee`. */
import type { Pixels } from "../display/display.ts";
import type { EmulatedHead } from "../pose/emulated-head.ts";
import type { Phase } from "../session/session-states.ts";
import type { VrClient, VrStatistics } from "../vr-client.ts";

export interface PerigeeState {
  /** client/session/SPEC.md. */
  readonly phase: Phase;
  readonly session: string | undefined;
  readonly attempt: number | undefined;
  readonly pool: string | undefined;
  readonly edge: string | undefined;
  readonly agent: string | undefined;
  readonly transport: string | undefined;
  /** `d-…`, for `perigee why`. */
  readonly decision: string | undefined;
  readonly problem: { readonly code: string; readonly message: string } | undefined;
}

export interface PerigeePage {
  state(): PerigeeState;
  /** Latency in milliseconds with parts, counts of frames, the budget that was promised. */
  statistics(): VrStatistics;
  /** Of the whole page, also over several agents: what grows while pictures come. */
  framesDecoded(): number;
  /** The pose that the newest picture was rendered from; poses are numbered from 1. */
  lastPoseId(): number | undefined;
  /** Poses handed to the media so far; the next one has the next number. */
  posesSent(): number;
  /** Degrees to the right and upward, metres from the floor's origin; what is left out stays. */
  setHead(wish: Partial<EmulatedHead>): void;
  head(): EmulatedHead;
  /** The newest decoded picture, both eyes side by side, before reprojection. */
  readPicture(): Pixels | undefined;
  retry(): void;
  leave(): void;
}

declare global {
  interface Window {
    perigee?: PerigeePage;
  }
}

export function pageInterface(client: VrClient): PerigeePage {
  return {
    state() {
      const { phase, facts } = client.state();
      const { grant, placement, session, problem } = facts;
      return {
        ...{ phase, session, problem },
        attempt: grant?.connected.attempt,
        pool: placement?.pool,
        edge: grant?.edge,
        agent: grant?.connected.agent,
        transport: grant?.transport,
        decision: placement?.decision,
      };
    },
    statistics: client.statistics,
    framesDecoded: () => client.counts().framesShown,
    lastPoseId: () => client.counts().lastPoseId,
    posesSent: () => client.counts().posesSent,
    setHead: client.setHead,
    head: client.head,
    readPicture: client.readPicture,
    retry: client.retry,
    leave: client.leave,
  };
}
