/** A page in a real browser that is the client's end of a session's data channels, without decoder or display. */
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import type { IceServer } from "#domain/session/ice-server.ts";
import { launchChromium } from "../chromium/chromium.ts";
import { bundleClientScript } from "./script-page.ts";

const OPEN_MS_MAX = 20_000;
const ENTRY = `
  import { browserClock as clock } from "./clock.ts";
  import { offerWebRtc } from "./media/webrtc.ts";
  const seen = { frames: 0, wrong: 0, repaired: 0, invalid: 0, closed: [] };
  const peers = [];
  const Peer = RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(options) {
      super({ ...options, iceTransportPolicy: window.isRelayOnly ? "relay" : "all" });
      peers.push(this);
    }
    setLocalDescription(...words) {
      if (peers.indexOf(this) < window.connectionsMax) return super.setLocalDescription(...words);
      return Promise.reject(new Error("no more connections"));
    }
  };
  let pending, transport;
  window.offer = async () => {
    pending = await offerWebRtc(clock, window.iceServers);
    return pending.offerSdp;
  };
  window.open = async (answerSdp) => {
    transport = await pending.open({ answerSdp }, {
      onFrame(bytes, repaired) {
        const atMs = performance.timeOrigin + performance.now();
        seen.frames += 1;
        seen.repaired += repaired;
        if (bytes.some((byte) => byte !== bytes[0])) seen.wrong += 1;
        window.frameSeen?.(bytes[0], atMs);
      },
      onControl() {},
      onInvalid() { seen.invalid += 1; },
      onClosed(reason) { seen.closed.push(reason); },
    }, clock.deadline(${OPEN_MS_MAX}));
  };
  window.seen = () => ({ ...seen, states: peers.map(({ connectionState }) => connectionState) });
  window.drop = (index) => peers[index].close();
  window.leave = () => transport.close();
`;
const count = Type.Integer({ minimum: 0 });
const seenSchema = Type.Object({
  ...{ frames: count, wrong: count, repaired: count, invalid: count },
  closed: Type.Array(Type.String()),
  /** Of its connections, the first's first. */
  states: Type.Array(Type.String()),
});

export interface FramesPageOptions {
  /** The first among them; those beyond it are not offered. */
  readonly connectionsMax: number;
  /** Nothing but what they relay is a way. */
  readonly relays?: readonly IceServer[];
  /** Gives the byte that a frame is filled with, and when it was whole, in epoch milliseconds. */
  readonly onFrame?: (filledWith: number, atMs: number) => void;
}

export interface FramesPage extends AsyncDisposable {
  readonly offerSdp: string;
  /** Resolves when the first connection's channels are open. */
  open(answerSdp: string): Promise<void>;
  seen(): Promise<Static<typeof seenSchema>>;
  /** Ends one of its connections. */
  drop(index: number): Promise<void>;
  leave(): Promise<void>;
}

export async function openFramesPage({ connectionsMax, relays = [], onFrame }: FramesPageOptions): Promise<FramesPage> {
  const script = await bundleClientScript(ENTRY);
  const browser = await launchChromium({ arguments: [], width: 300, height: 200 });
  try {
    const page = await browser.context.newPage();
    await page.goto("data:text/html,frames");
    if (onFrame !== undefined) await page.exposeFunction("frameSeen", onFrame);
    await page.evaluate(`Object.assign(window, {
      ...{ connectionsMax: ${connectionsMax}, iceServers: ${JSON.stringify(relays)}, isRelayOnly: ${relays.length > 0} },
    });`);
    await page.evaluate(script);
    return {
      offerSdp: Value.Parse(Type.String(), await page.evaluate("offer()")),
      open: async (answerSdp) => void (await page.evaluate(`open(${JSON.stringify(answerSdp)})`)),
      seen: async () => Value.Parse(seenSchema, await page.evaluate("seen()")),
      drop: async (index) => void (await page.evaluate(`drop(${index})`)),
      leave: async () => void (await page.evaluate("leave()")),
      [Symbol.asyncDispose]: () => browser[Symbol.asyncDispose](),
    };
  } catch (error) {
    await browser[Symbol.asyncDispose]();
    throw error;
  }
}
