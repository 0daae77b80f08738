/** Nothing that the log has acknowledged is lost, also after the origin was killed. */
import { printOf } from "../history.ts";
import type { Check } from "./check.ts";

export function acknowledgedWritesSurvive(): Check {
  let checked = "";
  return ({ origin, history, stale }) => {
    const { running, starts } = origin;
    // What only reads cannot lose: it is looked at after each write and each start.
    const now = `${starts} ${history.epoch} ${history.revision}`;
    if (running === undefined || stale !== undefined || checked === now) return undefined;
    checked = now;
    const { log } = running;
    if (log.revision() < history.revision)
      return `the log ends at ${log.revision()}, acknowledged is ${history.revision}`;
    const listed = printOf(log.list().rows.map(({ json }) => json));
    return listed === printOf(history.live.values())
      ? undefined
      : "the log lists other resources than it has acknowledged";
  };
}
