/** The objects that hands hold, as the agent of a link told them: a frame says which of them its picture is without. Pure. */
import type { ControlMessage } from "#contracts/media/control.ts";
import { HANDS } from "#contracts/media/controllers.ts";
import type { HeldObject, HoldNumbers } from "#contracts/media/held-object.ts";

export interface HeldShelf {
  /** In the place of the one of its hand and number. Gives the answer. */
  put(object: HeldObject): ControlMessage;
  /** One that was never told is not there. */
  of(without: HoldNumbers | undefined): readonly HeldObject[];
}

export function createHeldShelf(): HeldShelf {
  // No more than numbers of holds for each hand.
  const told = new Map<string, HeldObject>();
  return {
    put(object) {
      const { hand, hold } = object;
      told.set(`${hand} ${hold}`, object);
      return { type: "held-ready", hand, hold };
    },
    of: (without = [0, 0]) => without.flatMap((hold, at) => told.get(`${HANDS[at]} ${hold}`) ?? []),
  };
}
