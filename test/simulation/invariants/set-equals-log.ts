/** An edge's set at a revision is the log's for its pool at that revision: its rows, and the digest that says so. */
import { setDigestOf } from "#contracts/codec/set-digest.ts";
import { printOf } from "../history.ts";
import type { Check } from "./check.ts";

export function setEqualsLog(): Check {
  const seen = new Map<string, string>();
  return ({ edges, history }) => {
    for (const { name, peer, running } of edges) {
      const watermark = running?.set.watermark;
      if (running === undefined || watermark === undefined) continue;
      const { epoch, revision, setDigest } = watermark;
      const at = `${epoch}/${revision}`;
      if (seen.get(name) === at) continue;
      seen.set(name, at);
      const held = [...running.set.resources.values()];
      const print = printOf(held.map((resource) => JSON.stringify(resource)));
      if (print !== history.printAt(peer.pool, epoch, revision))
        return `${name} holds another set than the log at ${at}`;
      if (setDigest !== setDigestOf(held)) return `${name} at ${at} has a digest that is not its set's`;
    }
    return undefined;
  };
}
