/** An edge that a sibling hears the origin by is linked to the origin itself: none hear it by one another, or at third hand. */
import { WINDOW_ITEMS_MAX } from "../pipe.ts";
import { ORIGIN } from "../simulated-network.ts";
import type { Check } from "./check.ts";

export function relaysHearTheOrigin(): Check {
  return ({ network }) => {
    const all = [...network.connections];
    const linked = new Set(all.filter(({ to, isOpenAtEdge }) => to === ORIGIN && isOpenAtEdge).map(({ edge }) => edge));
    for (const { to, hasRun, isOpenAtBoth, itemsUnderWay, server, peer } of all) {
      // Where there is no room, the word that it is over waits for some.
      if (to === ORIGIN || !hasRun || !isOpenAtBoth || itemsUnderWay >= WINDOW_ITEMS_MAX) continue;
      if (!linked.has(server)) return `${peer.name} hears the origin by ${to}, which is not linked to it itself`;
    }
    return undefined;
  };
}
