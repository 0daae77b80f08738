/** The life of one link: lost for good, or to silence, from which it returns with the picture of a pose that was sampled later. */
import { type ClientClock, startEpochMs } from "../clock.ts";
import type { MediaLoss } from "./media-port.ts";
import { createVigil, type Vigil } from "./vigil.ts";

export interface LinkLife extends Pick<Vigil, "frameCame" | "poseLeft" | "lastFrameAtMs" | "suspect"> {
  /** Of now: a link that has returned can be lost again. */
  readonly lost: Promise<MediaLoss>;
  readonly returned: Promise<void>;
  readonly isLost: boolean;
  /** Nothing brings it back: its agent or its transport has ended it, or the client. */
  readonly isOver: boolean;
  /** From now on frames are expected. */
  expectFrames(): void;
  pictureCame(poseSampledAtMs: number): void;
  /** False where it had ended already. */
  end(loss: MediaLoss): boolean;
}

interface Chapter {
  readonly lost: PromiseWithResolvers<MediaLoss>;
  readonly returned: PromiseWithResolvers<void>;
  readonly vigil: Vigil;
  readonly stopVigil: () => void;
  /** Epoch milliseconds of the client's clock, as poses are stamped with. */
  lostAtEpochMs: number | undefined;
}

export function createLinkLife(clock: ClientClock, sendHeartbeat: () => void): LinkLife {
  const epochMs = startEpochMs(clock);
  let isOver = false;
  const begin = (): Chapter => {
    const over = new AbortController();
    const lose = (loss: MediaLoss): void => {
      if (chapter.lostAtEpochMs === undefined) chapter.lostAtEpochMs = epochMs();
      over.abort();
      chapter.lost.resolve(loss);
    };
    const chapter: Chapter = {
      lost: Promise.withResolvers(),
      returned: Promise.withResolvers(),
      vigil: createVigil(clock, lose, over.signal),
      stopVigil: () => over.abort(),
      lostAtEpochMs: undefined,
    };
    return chapter;
  };
  let current = begin();
  const expectFrames = (): void => void current.vigil.keep(sendHeartbeat);
  return {
    get lost() {
      return current.lost.promise;
    },
    get returned() {
      return current.returned.promise;
    },
    get isLost() {
      return current.lostAtEpochMs !== undefined;
    },
    get isOver() {
      return isOver;
    },
    frameCame: () => current.vigil.frameCame(),
    poseLeft: () => current.vigil.poseLeft(),
    lastFrameAtMs: () => current.vigil.lastFrameAtMs(),
    suspect: (reason) => current.vigil.suspect(reason),
    expectFrames,
    pictureCame(poseSampledAtMs) {
      const { lostAtEpochMs, returned } = current;
      // What was on its way when the agent died is of an older pose.
      if (isOver || lostAtEpochMs === undefined || poseSampledAtMs <= lostAtEpochMs) return;
      current = begin();
      current.vigil.frameCame();
      expectFrames();
      returned.resolve();
    },
    end(loss) {
      if (isOver) return false;
      isOver = true;
      current.lostAtEpochMs ??= epochMs();
      current.stopVigil();
      current.lost.resolve(loss);
      return true;
    },
  };
}
