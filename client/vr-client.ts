/** A VR session in a page: placed, streamed, decoded and shown, until it is left. */
import type { ProbeTarget } from "#contracts/operator-api/sessions.ts";
import type { BudgetClaim } from "#contracts/tokens/claims.ts";
import type { ClientClock } from "./clock.ts";
import type { ClientConfig } from "./config.ts";
import { createMediaLinks, type LinkStatistics } from "./media/media-port.ts";
import type { TransportKind } from "./media/transport.ts";
import { openVideoDecoder } from "./media/video-decoder.ts";
import { offerWebRtc } from "./media/webrtc.ts";
import { offerWebSocket } from "./media/websocket.ts";
import { edgesBySteering, measureBySteering } from "./probe/measure.ts";
import { pingEdge, probeEdges } from "./probe/probe.ts";
import type { ClientRandom } from "./random.ts";
import { createClientKey } from "./session/key.ts";
import { createSessionApi } from "./session/session-api.ts";
import { NOTHING_KNOWN, type SessionView } from "./session/session-ports.ts";
import { runSession } from "./session/session-runner.ts";
import { startVrView, type ViewCounts, type VrView } from "./vr-view.ts";

export interface VrClientOptions {
  readonly config: ClientConfig;
  readonly canvas: HTMLCanvasElement;
  readonly clock: ClientClock;
  readonly random: ClientRandom;
  /** Scheme, host and port of the edge that served the page. */
  readonly pageEdge: string | undefined;
  readonly deviceName: string;
  /** In order of preference. */
  readonly transports: readonly TransportKind[];
}

export interface VrStatistics extends ViewCounts, Partial<LinkStatistics> {
  readonly budget: BudgetClaim | undefined;
}

export interface VrClient
  extends Pick<VrView, "setLayout" | "setHead" | "head" | "enterHeadset" | "readPicture" | "counts"> {
  state(): SessionView;
  /** Sorts a window of latencies: for a panel, not for each frame. */
  statistics(): VrStatistics;
  /** Tries again at once where the session waits or has failed. */
  retry(): void;
  /** Ends the session; idempotent. */
  leave(): void;
  /** Resolves when the session is over; rejects only for a bug. */
  readonly over: Promise<void>;
}

/** Throws where the browser has no WebGL2. */
export async function startVrClient(options: VrClientOptions): Promise<VrClient> {
  const { canvas, clock, random, transports } = options;
  const left = new AbortController();
  const media = createMediaLinks<VideoFrame>({
    clock,
    kinds: transports,
    offer: (kind) => (kind === "webrtc" ? offerWebRtc(clock) : Promise.resolve(offerWebSocket())),
    openDecoder: openVideoDecoder,
    onPicture: (frame) => view.setFrame(frame),
  });
  const view = startVrView({ canvas, clock, sendPose: media.sendPose, signal: left.signal });
  const { scheduler, appToken, app, tier, site } = options.config;
  const api = createSessionApi({ scheduler, appToken, clock, key: await createClientKey(clock, random) });
  let state: SessionView = { phase: "creating", facts: NOTHING_KNOWN };
  let retry = Promise.withResolvers<void>();
  const { pageEdge } = options;
  const ports = {
    ...{ clock, random, api, appToken, media, pageEdge },
    neighbours: async (withinMs: number) =>
      pageEdge === undefined ? [] : edgesBySteering({ edge: pageEdge, site, clock, withinMs }),
    probe: (targets: readonly ProbeTarget[], withinMs: number) =>
      probeEdges(targets, { clock, withinMs, signal: left.signal }),
    isAlive: (edge: string, withinMs: number) => pingEdge(edge, clock.deadline(withinMs, left.signal)),
    measure: (withinMs: number) => measureBySteering({ scheduler, site, clock, withinMs }),
    retryAsked() {
      retry = Promise.withResolvers<void>();
      return retry.promise;
    },
    onChange(next: SessionView) {
      state = next;
    },
  };
  return {
    over: runSession(ports, { app, tier, device: { name: options.deviceName } }, left.signal),
    state: () => state,
    statistics: () => ({
      ...view.counts(),
      ...state.facts.grant?.link.statistics(),
      budget: state.facts.placement?.budget,
    }),
    setLayout: view.setLayout,
    setHead: view.setHead,
    head: view.head,
    enterHeadset: view.enterHeadset,
    readPicture: view.readPicture,
    counts: view.counts,
    retry: () => retry.resolve(),
    leave: () => left.abort(new DOMException("the session is left", "AbortError")),
  };
}
