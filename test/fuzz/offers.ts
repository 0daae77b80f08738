/** Fuzzes offers as the library of WebRTC reads them, natively: what is none is refused, what is one is answered, the process lives. */
import { systemClock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import { answerPeer } from "#render-agent/transport/answered-peer.ts";
import { mutatedText } from "./mutations.ts";
import { OFFER } from "./signalling.ts";
import { check, checkRefusal, type FuzzTarget, type Outcome } from "./target.ts";

/** A session's process waits for no longer; an answer takes a millisecond. */
const ANSWER_MS_MAX = 2_000;
const PLACE = { media: { bindAddress: "127.0.0.1", port: 0 }, labels: ["poses"] };

/** Each opens sockets: few of all cases. */
export const OFFERS: readonly FuzzTarget[] = [{ name: "offer", share: 1, run: tryOffer }];

async function tryOffer(random: Random): Promise<Outcome> {
  const sdp = mutatedText(random, OFFER);
  const closing = new AbortController();
  const late = Promise.withResolvers<never>();
  using _late = systemClock.timer(ANSWER_MS_MAX, () => late.reject(new Error(`no answer to ${JSON.stringify(sdp)}`)));
  const answered = answerPeer(
    { sdp, ...PLACE, clock: systemClock, signal: closing.signal },
    { onMessage: () => undefined, onGone: () => undefined },
  );
  try {
    const { answerSdp } = await Promise.race([answered, late.promise]);
    check(answerSdp.includes("a=ice-ufrag:"), `the answer ${JSON.stringify(answerSdp)}`);
    return "taken";
  } catch (error) {
    checkRefusal(error, ["media-invalid"]);
    return "refused";
  } finally {
    closing.abort();
  }
}
