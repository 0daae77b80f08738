/** What samples have of a tone: how loud it is, and how much of all there is. Pure. */

export interface HeardTone {
  readonly amplitude: number;
  /** Of the samples' energy, 0 to 1: the square of the correlation with the best tone of that frequency. */
  readonly share: number;
}

export function toneIn(samples: ArrayLike<number>, hertz: number, rateHz = 48_000): HeardTone {
  let [sine, cosine, energy] = [0, 0, 0];
  for (let at = 0; at < samples.length; at += 1) {
    const [value, angle] = [samples[at] ?? 0, (2 * Math.PI * hertz * at) / rateHz];
    sine += value * Math.sin(angle);
    cosine += value * Math.cos(angle);
    energy += value * value;
  }
  const amplitude = (2 * Math.hypot(sine, cosine)) / samples.length;
  return { amplitude, share: energy === 0 ? 0 : (amplitude * amplitude * samples.length) / 2 / energy };
}

/** The loudest of some frequencies a Hz apart. */
export function loudestHertz(samples: ArrayLike<number>, from: number, to: number): number {
  const all = Array.from({ length: to - from + 1 }, (_, index) => from + index);
  const loudest = all.map((hertz) => ({ hertz, ...toneIn(samples, hertz) })).sort((a, b) => b.amplitude - a.amplitude);
  return loudest[0]?.hertz ?? 0;
}
