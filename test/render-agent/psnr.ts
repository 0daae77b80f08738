/** How near one picture is to another. Pure. */

/** Peak signal-to-noise ratio of two RGB pictures given as RGBA, decibels; Infinity where they are equal. */
export function psnrDb(shown: Uint8Array, truth: Uint8Array): number {
  let squares = 0;
  let count = 0;
  for (let at = 0; at < truth.length; at += 4) {
    for (let channel = 0; channel < 3; channel += 1) {
      squares += ((shown[at + channel] ?? 0) - (truth[at + channel] ?? 0)) ** 2;
      count += 1;
    }
  }
  return 10 * Math.log10(255 ** 2 / (squares / count));
}
