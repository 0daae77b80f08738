/** The optional package node-av: loaded by name, so that an agent starts without it. */
import { Failure } from "#domain/failure.ts";

export type Ffmpeg = Awaited<ReturnType<typeof loadFfmpeg>>;

/** Throws `encoder-unavailable` where it is not installed. */
export async function loadFfmpeg() {
  try {
    const [av, names] = await Promise.all([import("node-av/lib"), import("node-av/constants")]);
    av.Log.setLevel(names.AV_LOG_ERROR);
    return { av, names };
  } catch (cause) {
    throw new Failure("encoder-unavailable", "the optional package node-av is not installed: npm ci brings it", {
      cause,
    });
  }
}
