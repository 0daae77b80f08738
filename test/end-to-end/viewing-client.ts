/** The client library in this process, with a decoder that looks at nothing: its session, its probes and its media are real. */
import { browserClock, type ClientClock, whenAborted } from "#client/clock.ts";
import { createMediaLinks, type MediaLink, type MediaPort } from "#client/media/media-port.ts";
import type { DecoderEvents, FrameDecoder } from "#client/media/receiver.ts";
import { offerWebSocket } from "#client/media/websocket.ts";
import { FORWARD, headPoseOf } from "#client/pose/emulated-head.ts";
import { createPoseLog } from "#client/pose/pose-log.ts";
import { measureBySteering } from "#client/probe/measure.ts";
import { type ProbedEdge, pingEdge, probeEdges } from "#client/probe/probe.ts";
import { browserRandom } from "#client/random.ts";
import { createClientKey } from "#client/session/key.ts";
import { PROMOTION_INTERVAL_MS } from "#client/session/running.ts";
import { createSessionApi } from "#client/session/session-api.ts";
import { NOTHING_KNOWN, type SessionPorts, type SessionView } from "#client/session/session-ports.ts";
import { runSession } from "#client/session/session-runner.ts";
import type { ConnectedSession } from "#contracts/operator-api/sessions.ts";
import { systemClock } from "#platform/clock.ts";

/** Seldom enough that pictures which a busy machine draws late are not missed. */
const POSE_MS = 500;
const RENEWAL_MS_MAX = 30_000;

export interface ViewingClient extends AsyncDisposable {
  state(): SessionView;
  /** Phases in their order, each once for as long as it lasted. */
  readonly phases: readonly string[];
  /** What became of media links, in order: `up AGENT`, `down AGENT: why`. */
  readonly links: readonly string[];
  readonly pictures: number;
  /** Lets the session that runs renew once, and waits until it waits for the next time. */
  renew(): Promise<void>;
}

export interface ViewingOptions {
  readonly scheduler: string;
  readonly appToken: string;
  readonly app: string;
  readonly site: string;
}

/** A session of the standard tier by WebSocket, that renews when the test says so. */
export async function startViewing({ scheduler, appToken, app, site }: ViewingOptions): Promise<ViewingClient> {
  const left = new AbortController();
  const turns = new Turns();
  const clock: ClientClock = {
    ...browserClock,
    sleep: (ms, signal) =>
      ms === PROMOTION_INTERVAL_MS ? turns.wait(signal ?? left.signal) : browserClock.sleep(ms, signal),
  };
  const links: string[] = [];
  const phases: string[] = [];
  let pictures = 0;
  let state: SessionView = { phase: "creating", facts: NOTHING_KNOWN };
  const media = createMediaLinks({
    ...{ clock, kinds: ["websocket"] as const, openDecoder: openBlindDecoder },
    offer: async () => offerWebSocket(),
    onPicture: () => {
      pictures += 1;
    },
  });
  const poses = createPoseLog();
  const posing = systemClock.every(POSE_MS, () => {
    media.sendPose(poses.next(headPoseOf(FORWARD, 1), systemClock.nowMs()).bytes);
  });
  const ports: SessionPorts = {
    ...{ clock, random: browserRandom, appToken, media: noting(media, links), pageEdge: undefined },
    api: createSessionApi({ scheduler, appToken, clock, key: await createClientKey(clock) }),
    neighbours: async () => [],
    probe: async (targets, withinMs) =>
      (await probeEdges(targets, { clock, withinMs, signal: left.signal })).map(unhindered),
    isAlive: (edge, withinMs) => pingEdge(edge, clock.deadline(withinMs, left.signal)),
    measure: async (withinMs) => (await measureBySteering({ scheduler, site, clock, withinMs })).map(unhindered),
    retryAsked: () => Promise.withResolvers<void>().promise,
    onChange(view) {
      state = view;
      if (view.phase !== phases.at(-1)) phases.push(view.phase);
    },
  };
  const over = runSession(ports, { app, tier: "standard", device: { name: "test" } }, left.signal);
  return {
    ...{ phases, links, state: () => state, renew: () => turns.next() },
    get pictures() {
      return pictures;
    },
    async [Symbol.asyncDispose]() {
      posing[Symbol.dispose]();
      left.abort(new DOMException("the test is over", "AbortError"));
      await over;
    },
  };
}

/** The best of the samples, for all: here the whole fleet and its links take turns with the client on some cores. */
function unhindered({ target, result }: ProbedEdge): ProbedEdge {
  const least = Math.min(...result.rttMs);
  return { target, result: { ...result, rttMs: result.rttMs.map(() => least) } };
}

function openBlindDecoder(events: DecoderEvents<{ close(): void }>): FrameDecoder {
  return {
    queue: 0,
    decode: ({ header }) => events.onPicture({ close: () => undefined }, header.frameNumber),
    close: () => undefined,
  };
}

function noting(media: MediaPort, links: string[]): MediaPort {
  const noted = (link: MediaLink, { agent }: ConnectedSession): MediaLink => {
    links.push(`up ${agent}`);
    return {
      ...link,
      close(reason) {
        links.push(`down ${agent}: ${reason}`);
        link.close(reason);
      },
    };
  };
  return {
    kinds: media.kinds,
    async prepare(kind) {
      const pending = await media.prepare(kind);
      return { ...pending, open: async (to, signal) => noted(await pending.open(to, signal), to) };
    },
  };
}

/** Who waits is let go on by who gives turns, one turn at a time. */
class Turns {
  #waiting = Promise.withResolvers<void>();
  #turn = Promise.withResolvers<void>();

  async wait(signal: AbortSignal): Promise<void> {
    this.#turn = Promise.withResolvers<void>();
    this.#waiting.resolve();
    await Promise.race([this.#turn.promise, whenAborted(signal)]);
  }

  async next(): Promise<void> {
    const late = whenAborted(systemClock.deadline(RENEWAL_MS_MAX));
    await Promise.race([this.#waiting.promise, late]);
    this.#waiting = Promise.withResolvers<void>();
    this.#turn.resolve();
    await Promise.race([this.#waiting.promise, late]);
  }
}
