/** The browser that the tests use starts, and has what the client needs: WebGL2, WebCodecs with H.264, WebRTC. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import t from "tap";
import { launchChromium } from "./chromium.ts";

t.test("Chromium starts with WebGL2, an H.264 decoder and WebRTC", async (t) => {
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "text/html").end("<canvas></canvas>");
  }).listen(0, "127.0.0.1");
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, "listening");
  await using browser = await launchChromium();
  const page = await browser.context.newPage();
  // Loopback is a secure context, which WebCodecs asks for.
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const has = await page.evaluate(`(async () => ({
    webgl2: document.querySelector("canvas").getContext("webgl2") !== null,
    h264: (await VideoDecoder.isConfigSupported({ codec: "avc1.42E028" })).supported,
    webrtc: typeof RTCPeerConnection === "function",
  }))()`);
  t.same(has, { webgl2: true, h264: true, webrtc: true });
});
