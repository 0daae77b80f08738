/** Pictures of a link go to who shows it; of a link that is not shown the newest is kept, so that it is not blank when it is. */
import type { DecodedFrame, Picture } from "./receiver.ts";

export interface PictureShelf<P> {
  put(frame: DecodedFrame<P>): void;
  /** What is kept is shown. */
  empty(): void;
  /** What is kept is closed. */
  clear(): void;
  /** Resolves with the first that was put. */
  readonly first: Promise<void>;
}

export function createPictureShelf<P extends Picture>(
  isShown: () => boolean,
  onPicture: (frame: DecodedFrame<P>) => void,
): PictureShelf<P> {
  const first = Promise.withResolvers<void>();
  let kept: DecodedFrame<P> | undefined;
  const take = (): DecodedFrame<P> | undefined => {
    const taken = kept;
    kept = undefined;
    return taken;
  };
  const clear = (): void => take()?.picture.close();
  return {
    put(frame) {
      clear();
      if (isShown()) onPicture(frame);
      else kept = frame;
      first.resolve();
    },
    empty() {
      const frame = take();
      if (frame !== undefined) onPicture(frame);
    },
    clear,
    first: first.promise,
  };
}
