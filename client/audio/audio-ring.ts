/**
 * What is decoded and not heard yet, by its place in time: 20 to 40 ms. It is heard at the time that it is aimed at as far
 * as those bounds let it, plays a little faster or slower to get there, leaves out what comes too late, and is silent
 * where nothing came. Pure. Its source runs in the audio thread as well, so it stands alone: nothing outside the class is
 * named in it.
 */

export interface RingOptions {
  /** Of each channel, all in frames of one rate. */
  readonly capacityFrames: number;
  /** On average it holds the low end or more, and needs more the later blocks come, up to the high one. */
  readonly lowFrames: number;
  readonly highFrames: number;
  /** At once after an underrun. */
  readonly stepFrames: number;
  /** After so long without one it needs what the latest block of that time needed. */
  readonly calmFrames: number;
  /** And so much more. */
  readonly marginFrames: number;
  /** As near to its aim it plays as it is. */
  readonly bandFrames: number;
  /** By how much it may play faster or slower: a twelfth of a semitone is not heard. */
  readonly rateRatioMax: number;
}

export interface RingCounts {
  /** Blocks that came after their time. */
  readonly blocksLate: number;
  /** How often nothing was there in time. */
  readonly underruns: number;
  /** How often what was oldest was left out. */
  readonly overruns: number;
}

export class AudioRing {
  readonly #options: RingOptions;
  readonly #left: Float32Array;
  readonly #right: Float32Array;
  /** The next frame to be heard, with a fraction; `undefined` while silent. */
  #position: number | undefined;
  /** Of what is there, first and one past the last. */
  #start = 0;
  #end = 0;
  /** Silence from here on is meant. */
  #restsAt = -1;
  #blockFrames = 0;
  /** Of the clock and what is heard then: how far the one is to be ahead of the other. */
  #leadFrames: number | undefined;
  #isSteering = false;
  #neededFrames: number;
  /** What it holds on average, by what it held just after each block came: smoothed, and the least since it was judged. */
  #levelFrames: number;
  #lowestFrames = Number.POSITIVE_INFINITY;
  #calmFrames = 0;
  #blocksLate = 0;
  #underruns = 0;
  #overruns = 0;

  constructor(options: RingOptions) {
    this.#options = options;
    this.#left = new Float32Array(options.capacityFrames);
    this.#right = new Float32Array(options.capacityFrames);
    this.#neededFrames = options.lowFrames;
    this.#levelFrames = options.lowFrames;
  }

  /** The next frame to be heard; `undefined` while it is silent. */
  get position(): number | undefined {
    return this.#position;
  }

  get levelFrames(): number {
    return this.#position === undefined ? 0 : this.#levelFrames;
  }

  get counts(): RingCounts {
    return { blocksLate: this.#blocksLate, underruns: this.#underruns, overruns: this.#overruns };
  }

  /** The frame that is to be read at a frame of the clock, less that one; as soon as can be where it is not known. */
  aim(leadFrames: number | undefined): void {
    this.#leadFrames = leadFrames;
  }

  /** Nothing follows for a while after this frame. */
  restAt(frame: number): void {
    this.#restsAt = frame;
  }

  write(at: number, left: Float32Array, right: Float32Array): void {
    const { capacityFrames } = this.#options;
    const heard = this.#position ?? this.#start;
    this.#blockFrames = left.length;
    if (at < Math.max(heard, this.#end)) {
      this.#blocksLate += 1;
      return;
    }
    if (this.#position === undefined && (this.#start === this.#end || at - this.#end >= capacityFrames)) {
      this.#start = at;
      this.#end = at;
    }
    if (at + left.length - heard > capacityFrames && this.#position !== undefined) {
      this.#overruns += 1;
      this.#position = at + left.length - this.#neededFrames;
      this.#levelFrames = this.#neededFrames - left.length / 2;
      if (this.#position > this.#end) this.#end = Math.floor(this.#position);
    }
    const gap = this.#end < at;
    for (; this.#end < at; this.#end += 1) this.#put(this.#end, 0, 0);
    // What begins in the middle of silence is let in over a millisecond.
    const edge = gap || at === this.#start ? 48 : 0;
    for (let frame = 0; frame < left.length; frame += 1) {
      const part = frame < edge ? frame / edge : 1;
      this.#put(at + frame, (left[frame] ?? 0) * part, (right[frame] ?? 0) * part);
    }
    this.#end = at + left.length;
    if (this.#position === undefined) this.#start = Math.max(this.#start, this.#end - capacityFrames);
    else this.#noteLevel(this.#end - left.length / 2 - this.#position);
  }

  /** Fills both; `clockFrame` is that of the first of them. */
  read(left: Float32Array, right: Float32Array, clockFrame: number): void {
    left.fill(0);
    right.fill(0);
    this.#position ??= this.#begin(clockFrame);
    if (this.#position === undefined) return;
    const rate = this.#steer(this.#position, clockFrame);
    let position = this.#position;
    for (let frame = 0; frame < left.length; frame += 1) {
      if (position + 2 > this.#end) {
        if (this.#restsAt < 0 || this.#end < this.#restsAt) this.#noteUnderrun();
        this.#fadeOut(left, right, frame);
        this.#start = this.#end;
        this.#position = undefined;
        return;
      }
      left[frame] = this.#at(this.#left, position);
      right[frame] = this.#at(this.#right, position);
      position += rate;
    }
    this.#position = position;
    this.#noteCalm(left.length);
  }

  /** Where it is heard from; `undefined` while there is too little, or the time of what there is has not come. */
  #begin(clockFrame: number): number | undefined {
    const { highFrames } = this.#options;
    const held = this.#end - this.#start;
    const latest = this.#end - this.#neededFrames;
    const aimed = this.#leadFrames === undefined ? latest : Math.round(clockFrame + this.#leadFrames);
    if (held < this.#neededFrames || (aimed < this.#start && held < highFrames)) return undefined;
    const position = Math.max(this.#start, this.#end - highFrames, Math.min(aimed, latest));
    this.#levelFrames = this.#end - this.#blockFrames / 2 - position;
    this.#lowestFrames = this.#levelFrames;
    this.#isSteering = false;
    return position;
  }

  /** How fast it plays now. */
  #steer(position: number, clockFrame: number): number {
    const { highFrames, stepFrames, bandFrames, rateRatioMax } = this.#options;
    const early = this.#leadFrames === undefined ? 0 : position - clockFrame - this.#leadFrames;
    const aimed = this.#leadFrames === undefined ? this.#neededFrames : this.#levelFrames + early;
    const wanted = Math.max(this.#neededFrames, Math.min(highFrames, aimed));
    // The device stood still, and all since would be heard late by that; a burst alone holds no more on average.
    if (this.#levelFrames > highFrames + stepFrames) {
      this.#overruns += 1;
      this.#position = Math.floor(Math.min(this.#end, position + this.#levelFrames - wanted));
      this.#levelFrames = wanted;
    }
    const late = this.#levelFrames - wanted;
    const size = Math.abs(late);
    const wasSteering = this.#isSteering;
    this.#isSteering = size > (wasSteering ? bandFrames / 4 : bandFrames);
    // Where nothing is to be changed it plays sample by sample.
    if (!this.#isSteering && wasSteering) this.#position = Math.round(position);
    if (!this.#isSteering) return 1;
    // In all of it clocks drift on: with less it would not get there.
    const part = Math.max(0.3, Math.min(1, size / (4 * bandFrames)));
    return 1 + Math.sign(late) * part * rateRatioMax;
  }

  #noteLevel(frames: number): void {
    this.#levelFrames += (frames - this.#levelFrames) / 50;
    this.#lowestFrames = Math.min(this.#lowestFrames, frames);
  }

  #noteUnderrun(): void {
    const { highFrames, stepFrames } = this.#options;
    this.#underruns += 1;
    this.#calmFrames = 0;
    this.#neededFrames = Math.min(highFrames, this.#neededFrames + stepFrames);
  }

  #noteCalm(frames: number): void {
    const { lowFrames, calmFrames, marginFrames } = this.#options;
    this.#calmFrames += frames;
    if (this.#calmFrames < calmFrames) return;
    this.#calmFrames = 0;
    const sufficed = this.#blockFrames / 2 + marginFrames + this.#levelFrames - this.#lowestFrames;
    if (sufficed < this.#neededFrames)
      this.#neededFrames = Math.max(lowFrames, Math.round((this.#neededFrames + sufficed) / 2));
    this.#lowestFrames = this.#levelFrames;
  }

  #fadeOut(left: Float32Array, right: Float32Array, frames: number): void {
    const edge = Math.min(48, frames);
    for (let back = 0; back < edge; back += 1) {
      const frame = frames - 1 - back;
      left[frame] = ((left[frame] ?? 0) * back) / edge;
      right[frame] = ((right[frame] ?? 0) * back) / edge;
    }
  }

  #put(frame: number, left: number, right: number): void {
    const place = frame % this.#left.length;
    this.#left[place] = left;
    this.#right[place] = right;
  }

  /** Between frames by the cubic through four of them (Catmull and Rom). */
  #at(channel: Float32Array, position: number): number {
    const frame = Math.floor(position);
    const part = position - frame;
    const of = (offset: number): number => channel[(frame + offset + channel.length) % channel.length] ?? 0;
    if (part === 0) return of(0);
    const [a, b, c, d] = [of(-1), of(0), of(1), of(2)];
    const cubic = (3 * (b - c) + d - a) * part;
    return b + (part / 2) * (c - a + part * (2 * a - 5 * b + 4 * c - d + cubic));
  }
}
