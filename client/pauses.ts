/** Whether a session is paused, and why: a person or the page asked, or nobody sees it. */

/** Asked for, or nobody sees the page. */
export type PauseReason = "asked" | "hidden";

export interface Pauses {
  because(): PauseReason | undefined;
  ask(isWanted: boolean): void;
  /** Whether a headset is worn has changed: a page behind it is hidden, and looked at. */
  look(): void;
}

export interface PausesOptions {
  readonly signal: AbortSignal;
  readonly isInHeadset: () => boolean;
  readonly onPause: ((because: PauseReason | undefined) => void) | undefined;
}

/** `onChange` is told before whoever else is. */
export function watchPauses({ signal, isInHeadset, onPause }: PausesOptions, onChange: () => void): Pauses {
  let isAsked = false;
  let told: PauseReason | undefined;
  const because = (): PauseReason | undefined => {
    if (isAsked) return "asked";
    return document.hidden && !isInHeadset() ? "hidden" : undefined;
  };
  const look = (): void => {
    const now = because();
    if (now === told || signal.aborted) return;
    told = now;
    onChange();
    onPause?.(now);
  };
  document.addEventListener("visibilitychange", look, { signal });
  look();
  return {
    because,
    look,
    ask(isWanted) {
      isAsked = isWanted;
      look();
    },
  };
}
