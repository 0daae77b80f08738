/**
 * Which siblings count as gone while blobs are filled. One that is only slow does not: who takes it for gone has the origin
 * send again what that one has fetched.
 */
import type { Clock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import { PeerHealth } from "./peer-health.ts";

/** Two cores that fifty edges share were silent for half a minute, and not gone. Where nobody listens is known at once. */
export const SILENT_MS_MAX = 120_000;
/** One lost question says little. */
const SILENCES_MIN = 2;
/** Between two questions to one that is silent; jittered, so that those who wait for it do not ask together. */
const SILENT_PAUSE = { least: 500, most: 1_500 };

interface Silence {
  /** When the first question was asked that had no answer. */
  readonly sinceMs: number;
  readonly questions: number;
  readonly askAgainAtMs: number;
  /** One question tries it; the others wait for what becomes of that. */
  readonly isTried: boolean;
}

export class SiblingHealth {
  readonly #clock: Clock;
  readonly #random: Random;
  /** Nobody listens where it was, or it was silent for too long: asked again after a while, longer each time. */
  readonly #gone: PeerHealth;
  readonly #silences = new Map<string, Silence>();
  /** Until when those that are full asked for patience. */
  readonly #full = new Map<string, number>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#gone = new PeerHealth(clock, random);
  }

  isGone(name: string): boolean {
    return this.#gone.isPassedBy(name);
  }

  /** Whether it may be asked now; whoever is told so says how it went, or that it was not asked. */
  mayAsk(name: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < (this.#full.get(name) ?? 0)) return false;
    const silence = this.#silences.get(name);
    if (silence === undefined) return this.#gone.mayAsk(name);
    if (silence.isTried || nowMs < silence.askAgainAtMs) return false;
    this.#silences.set(name, { ...silence, isTried: true });
    return true;
  }

  /** It has answered, or asked something itself. */
  heard(name: string): void {
    this.#silences.delete(name);
    this.#gone.answered(name);
  }

  /** It has said that it has no place before that; jittered, so that not all come back together. */
  isFullFor(name: string, ms: number): void {
    this.heard(name);
    this.#full.set(name, this.#clock.monotonicMs() + ms * (0.5 + this.#random.ratio()));
  }

  /** Nobody listens there. */
  unreached(name: string): void {
    this.#silences.delete(name);
    this.#gone.failed(name);
  }

  /** It did not answer what it was asked at `askedAtMs`. Questions that fail together count once. */
  silent(name: string, askedAtMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const before = this.#silences.get(name);
    if (before !== undefined && !before.isTried && nowMs < before.askAgainAtMs) return;
    const questions = (before?.questions ?? 0) + 1;
    const sinceMs = before?.sinceMs ?? askedAtMs;
    if (this.isGone(name) || (questions >= SILENCES_MIN && nowMs - sinceMs >= SILENT_MS_MAX)) {
      this.unreached(name);
      return;
    }
    this.#silences.set(name, { sinceMs, questions, askAgainAtMs: nowMs + this.#pauseMs(), isTried: false });
  }

  /** The client did not let the question through, which says nothing new: the next question tries it. */
  notAsked(name: string): void {
    this.#gone.notAsked(name);
    const silence = this.#silences.get(name);
    if (silence?.isTried !== true) return;
    const askAgainAtMs = this.#clock.monotonicMs() + this.#pauseMs();
    this.#silences.set(name, { ...silence, askAgainAtMs, isTried: false });
  }

  /** It gave bytes that are not what their digest says. */
  distrust(name: string): void {
    this.#gone.distrust(name);
  }

  /** Those that have left are forgotten. */
  keep(names: ReadonlySet<string>): void {
    this.#gone.keep(names);
    for (const known of [this.#silences, this.#full]) {
      for (const name of [...known.keys()]) if (!names.has(name)) known.delete(name);
    }
  }

  #pauseMs(): number {
    return SILENT_PAUSE.least + this.#random.ratio() * (SILENT_PAUSE.most - SILENT_PAUSE.least);
  }
}
