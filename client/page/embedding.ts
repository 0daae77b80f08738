/** What scripts and tests may use of a page that shows a session: `window.perigee`. */
import type { Pixels } from "../display/display.ts";
import type { Session } from "../perigee.ts";
import type { EmulatedHead } from "../pose/emulated-head.ts";
import type { SessionState } from "../session-state.ts";
import type { VrStatistics } from "../vr-client.ts";

export interface PerigeePage {
  state(): SessionState;
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
  setAudio(isWanted: boolean): void;
  retry(): void;
  leave(): void;
}

declare global {
  interface Window {
    perigee?: PerigeePage;
  }
}

export function pageInterface(session: Session): PerigeePage {
  return {
    state: session.state,
    statistics: session.statistics,
    framesDecoded: () => session.statistics().framesShown,
    lastPoseId: () => session.statistics().lastPoseId,
    posesSent: () => session.statistics().posesSent,
    setHead: session.setHead,
    head: session.head,
    readPicture: session.readPicture,
    setAudio: session.setAudio,
    retry: session.retry,
    leave: () => void session.end(),
  };
}
