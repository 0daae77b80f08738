/**
 * Decoded pictures as RGBA in memory, for a WebGL without a GPU: handed over as they are, pictures cost it four times the
 * copy and what it then writes, and made into textures, which is what a GPU does best, thirty times.
 */

/** What is needed of a VideoFrame. */
export interface CopiedPicture extends Pick<VideoFrame, "displayWidth" | "displayHeight" | "close"> {
  copyTo(target: Uint8Array<ArrayBuffer>, options: VideoFrameCopyToOptions): Promise<unknown>;
}

export interface CopiedFrame {
  readonly picture: CopiedPicture;
}

export interface PixelCopies<F extends CopiedFrame> {
  /** The picture before is closed where its copy is not done. */
  copy(frame: F): void;
}

/** `done` is told of each that no newer one overtook; its pixels last until it is told of the next. */
export function createPixelCopies<F extends CopiedFrame>(
  done: (frame: F, pixels: Uint8Array | undefined) => void,
): PixelCopies<F> {
  const free: Uint8Array<ArrayBuffer>[] = [];
  let held: Uint8Array<ArrayBuffer> | undefined;
  let coming: F | undefined;
  /** Also a copy that was overtaken is written until it is whole. */
  const take = (bytes: number): Uint8Array<ArrayBuffer> => {
    const target = free.pop();
    return target?.byteLength === bytes ? target : new Uint8Array(bytes);
  };
  return {
    copy(frame) {
      coming?.picture.close();
      coming = frame;
      const { picture } = frame;
      const target = take(picture.displayWidth * picture.displayHeight * 4);
      const finish = (isWhole: boolean): void => {
        if (coming !== frame) return void free.push(target);
        coming = undefined;
        const before = held;
        held = target;
        done(frame, isWhole ? target : undefined);
        if (before !== undefined) free.push(before);
      };
      picture.copyTo(target, { format: "RGBA" }).then(
        () => finish(true),
        // Browsers from before this format of copies.
        () => finish(false),
      );
    },
  };
}
