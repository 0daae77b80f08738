/** The VR page: reads its configuration, starts the session, and says what happens. */
import { browserClock } from "../clock.ts";
import { type ClientConfig, parseClientConfig } from "../config.ts";
import { isHeadsetThere } from "../display/headset.ts";
import { ClientFailure } from "../failure.ts";
import { requestJson } from "../http.ts";
import type { TransportKind } from "../media/transport.ts";
import { explainMissingDecoder } from "../media/video-decoder.ts";
import { browserRandom } from "../random.ts";
import { describeSession } from "../session/words.ts";
import { startVrClient, type VrClient } from "../vr-client.ts";
import { elementsOf, type PageElements } from "./elements.ts";
import { pageInterface } from "./embedding.ts";
import { partRows, sessionRows, verdictOf } from "./panel.ts";

/** A person reads no faster. */
const PANEL_INTERVAL_MS = 500;
const DEVICE_NAME_CHARACTERS_MAX = 128;

const elements = elementsOf(document);

try {
  await run(elements);
} catch (error) {
  showFailure(elements, error);
}

async function run(elements: PageElements): Promise<void> {
  const clock = browserClock;
  const unfit = await explainMissingDecoder();
  if (unfit !== undefined) throw new ClientFailure("browser-unfit", unfit);
  const url = new URL("config.json", document.baseURI).href;
  const config: ClientConfig = parseClientConfig(await requestJson({ method: "GET", url, clock }));
  const transports: readonly TransportKind[] =
    typeof RTCPeerConnection === "undefined" ? ["websocket"] : ["webrtc", "websocket"];
  const client = await startVrClient({
    ...{ config, clock, transports },
    canvas: elements.view,
    random: browserRandom,
    pageEdge: location.origin,
    deviceName: navigator.userAgent.slice(0, DEVICE_NAME_CHARACTERS_MAX),
  });
  window.perigee = pageInterface(client);
  listen(elements, client);
  elements.headset.hidden = !(await isHeadsetThere());
  client.over.catch((error: unknown) => showFailure(elements, error));
  for (;;) {
    show(elements, client, clock.monotonicMs());
    if (client.state().phase === "ended") return;
    await clock.sleep(PANEL_INTERVAL_MS);
  }
}

function listen({ headset, layout, retry, leave }: PageElements, client: VrClient): void {
  headset.addEventListener("click", () => {
    client
      .enterHeadset(() => undefined)
      .catch((error: unknown) => {
        headset.textContent = "Enter VR again";
        headset.title = error instanceof Error ? error.message : String(error);
      });
  });
  layout.addEventListener("click", () => {
    const isStereo = layout.getAttribute("aria-pressed") !== "true";
    layout.setAttribute("aria-pressed", String(isStereo));
    client.setLayout(isStereo ? "stereo" : "mono");
  });
  retry.addEventListener("click", () => client.retry());
  leave.addEventListener("click", () => client.leave());
  addEventListener("pagehide", () => client.leave());
  // A page that comes back from the cache has left its session.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

function show(elements: PageElements, client: VrClient, nowMs: number): void {
  const state = client.state();
  const statistics = client.statistics();
  const words = describeSession(state, nowMs);
  setText(elements.title, words.title);
  setText(elements.detail, words.detail);
  elements.retry.hidden = !words.canRetry;
  const verdict = verdictOf(statistics);
  setText(elements.verdict, verdict.text);
  elements.verdict.dataset["within"] = String(verdict.isWithin);
  const parts = partRows(statistics).map(({ part, p50, p95 }) =>
    row([cell("th", part), cell("td", p50), cell("td", p95)]),
  );
  elements.parts.replaceChildren(...parts);
  const rows = sessionRows(state.facts, statistics);
  elements.session.replaceChildren(...rows.flatMap(([term, value]) => [cell("dt", term), cell("dd", value)]));
}

/** Setting the same text again would be read aloud again. */
function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function row(cells: readonly HTMLElement[]): HTMLTableRowElement {
  const element = document.createElement("tr");
  element.append(...cells);
  return element;
}

function cell(tag: "th" | "td" | "dt" | "dd", text: string): HTMLElement {
  const element = document.createElement(tag);
  if (tag === "th") element.setAttribute("scope", "row");
  element.textContent = text;
  return element;
}

function showFailure({ title, detail }: PageElements, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  title.textContent = "It cannot work like this";
  detail.textContent = `${message}${/[.!?]$/.test(message) ? "" : "."} Reload the page to try again.`;
}
