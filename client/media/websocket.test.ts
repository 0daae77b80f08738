/** The WebSocket transport against a real server: poses up, frames down, control both ways, each way of closing said. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import { type WebSocket as Accepted, WebSocketServer } from "ws";
import { until } from "#test/simulation/until.ts";
import type { TransportEvents } from "./transport.ts";
import { offerWebSocket } from "./websocket.ts";

async function serve(t: Test): Promise<{ url: string; accepted: Promise<Accepted> }> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  t.teardown(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  const accepted = once(server, "connection").then(([socket]): Accepted => socket);
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, accepted };
}

function recording() {
  const seen: string[] = [];
  const events: TransportEvents = {
    onFrame: (bytes) => void seen.push(`frame ${bytes.join()}`),
    onAudio: (bytes) => void seen.push(`audio ${bytes.join()}`),
    onControl: ({ type }) => void seen.push(type),
    onInvalid: () => void seen.push("invalid"),
    onClosed: (reason) => void seen.push(reason),
  };
  return { seen, events };
}

t.test("messages go both ways, and what is no control message is counted", async (t) => {
  const { url, accepted } = await serve(t);
  const { seen, events } = recording();
  const opening = new AbortController();
  const transport = await offerWebSocket().open({ websocketUrl: url }, events, opening.signal);
  opening.abort(new Error("the time to open it has passed"));
  const server = await accepted;
  const received: string[] = [];
  server.on("message", (bytes, isBinary) => void received.push(isBinary ? `binary ${bytes}` : `text ${bytes}`));
  t.ok(transport.sendPose(Uint8Array.of(65, 66)));
  transport.sendControl({ type: "keyframe-request" });
  server.send(Uint8Array.of(2, 1));
  server.send(Uint8Array.of(3, 1));
  server.send(JSON.stringify({ type: "session-end", reason: "drain" }));
  server.send("no message");
  await until(() => received.length === 2 && seen.length === 4, "both sides have heard the other");
  t.same(received, ["binary AB", 'text {"type":"keyframe-request"}']);
  t.same(seen, ["frame 2,1", "audio 3,1", "session-end", "invalid"]);
  server.close(1001);
  await until(() => seen.length === 5, "the close was noticed");
  t.equal(seen.at(-1), "the WebSocket was closed (1001)");
  t.notOk(transport.sendPose(Uint8Array.of(1)), "what is closed takes no pose");
});

t.test("what cannot be opened says so, and an answer without a URL is malformed", async (t) => {
  const { events } = recording();
  const never = new AbortController().signal;
  await t.rejects(offerWebSocket().open({ websocketUrl: "ws://127.0.0.1:1/" }, events, never), {
    code: "media-unreachable",
  });
  await t.rejects(offerWebSocket().open({}, events, never), { code: "upstream-malformed" });
  const aborted = AbortSignal.abort(new Error("too late"));
  await t.rejects(offerWebSocket().open({ websocketUrl: "ws://127.0.0.1:1/" }, events, aborted), /too late/);
});
