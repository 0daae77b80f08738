/** Counts a request of the full lane for its site, once its answer has been sent or cut. */
import type { ServerResponse } from "node:http";
import { sentBytesOf } from "../access-log/logged-request.ts";
import type { CacheOutcome } from "../events.ts";
import type { SiteTallies } from "./site-tallies.ts";

export interface Counting {
  readonly tallies: SiteTallies;
  readonly site: string;
}

/** Resolves to, and throws, what `answer` does. */
export async function answerCounted(
  { tallies, site }: Counting,
  response: ServerResponse,
  answer: () => Promise<CacheOutcome | undefined>,
): Promise<CacheOutcome | undefined> {
  const closed = Promise.withResolvers<void>();
  response.once("close", closed.resolve);
  let cache: CacheOutcome | undefined;
  try {
    cache = await answer();
    return cache;
  } finally {
    void closed.promise.then(() => {
      const status = response.headersSent ? response.statusCode : 0;
      tallies.answered(site, { cache, status, sentBytes: sentBytesOf(response) });
    });
  }
}
