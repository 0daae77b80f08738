/** The VR page: reads its configuration, starts the session, and says and draws what happens. */
import { browserClock } from "../clock.ts";
import { parseClientConfig } from "../config.ts";
import { requestJson } from "../http.ts";
import { LATENCY_PARTS, type LatencyPart } from "../latency/latency.ts";
import { createSession, isHeadsetThere, type Session } from "../perigee.ts";
import { elementsOf, type PageElements } from "./elements.ts";
import { pageInterface } from "./embedding.ts";
import { offerKill } from "./kill-button.ts";
import { createLatencyPlot, type LatencyPlot } from "./latency-plot.ts";
import { machineIn } from "./machine.ts";
import { createPoolMap } from "./map.ts";
import { PART_WORDS, partRows, sessionRows, verdictOf } from "./panel.ts";
import { parsePlaces } from "./places.ts";

/** A person reads no faster. */
const PANEL_INTERVAL_MS = 500;
/** It moves to the left by a pixel or three. */
const PLOT_INTERVAL_MS = 100;

const elements = elementsOf(document);

try {
  await run(elements);
} catch (error) {
  showFailure(elements, error);
}

async function run(elements: PageElements): Promise<void> {
  const clock = browserClock;
  const url = new URL("config.json", document.baseURI).href;
  const written = await requestJson({ method: "GET", url, clock });
  const [config, places] = [parseClientConfig(written, "config.json"), parsePlaces(written)];
  elements.legend.replaceChildren(...LATENCY_PARTS.map((part) => swatched("li", PART_WORDS[part], part)));
  const session = await createSession({ ...config, canvas: elements.view });
  window.perigee = pageInterface(session);
  listen(elements, session);
  const machine = machineIn(location);
  if (machine !== undefined) offerKill(elements, machine, session, clock);
  const plot = createLatencyPlot(elements.plot);
  session.on("frame", (sample) => plot.add(sample, clock.monotonicMs()));
  const map = places === undefined ? undefined : createPoolMap(elements.map, places);
  elements.mapSection.hidden = map === undefined;
  elements.headset.hidden = !(await isHeadsetThere());
  for (;;) {
    const state = session.state();
    show(elements, session);
    map?.show(state.phase === "running" ? state.pool : undefined);
    if (state.phase === "ended") return;
    await drawFor(PANEL_INTERVAL_MS, plot, session);
  }
}

async function drawFor(ms: number, plot: LatencyPlot, session: Session): Promise<void> {
  const budgetMs = session.statistics().budget?.budgetMs;
  const untilMs = browserClock.monotonicMs() + ms;
  do {
    if (!document.hidden) plot.draw(browserClock.monotonicMs(), budgetMs);
    await browserClock.sleep(PLOT_INTERVAL_MS);
  } while (browserClock.monotonicMs() < untilMs);
}

function listen({ headset, layout, pause, sound, retry, leave }: PageElements, session: Session): void {
  let isInHeadset = false;
  headset.addEventListener("click", () => {
    const done = isInHeadset ? session.leaveHeadset() : session.enterHeadset();
    done.catch((error: unknown) => {
      headset.textContent = "Enter VR again";
      headset.title = error instanceof Error ? error.message : String(error);
    });
  });
  session.on("headset", (what) => {
    isInHeadset = what === "entered";
    headset.textContent = isInHeadset ? "Leave VR" : "Enter VR";
  });
  layout.addEventListener("click", () => {
    const isStereo = layout.getAttribute("aria-pressed") !== "true";
    layout.setAttribute("aria-pressed", String(isStereo));
    session.setLayout(isStereo ? "stereo" : "mono");
  });
  pause.addEventListener("click", () => {
    const isPaused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(isPaused));
    if (isPaused) session.pause();
    else session.resume();
  });
  sound.addEventListener("click", () => {
    const isMuted = sound.getAttribute("aria-pressed") !== "true";
    sound.setAttribute("aria-pressed", String(isMuted));
    session.setAudio(!isMuted);
  });
  retry.addEventListener("click", () => session.retry());
  leave.addEventListener("click", () => void session.end());
  // A page that comes back from the cache has left its session.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

function show(elements: PageElements, session: Session): void {
  const state = session.state();
  const statistics = session.statistics();
  setText(elements.title, state.title);
  setText(elements.detail, state.detail);
  elements.retry.hidden = !state.canRetry;
  const verdict = verdictOf(statistics);
  setText(elements.verdict, verdict.text);
  elements.verdict.dataset["within"] = String(verdict.isWithin);
  const parts = partRows(statistics).map(({ part, plotted, p50, p95 }) =>
    row([plotted === undefined ? cell("th", part) : swatched("th", part, plotted), cell("td", p50), cell("td", p95)]),
  );
  elements.parts.replaceChildren(...parts);
  const rows = sessionRows(state, statistics);
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

function cell(tag: "th" | "td" | "dt" | "dd" | "li", text: string): HTMLElement {
  const element = document.createElement(tag);
  if (tag === "th") element.setAttribute("scope", "row");
  element.textContent = text;
  return element;
}

/** With its colour in the plot. */
function swatched(tag: "th" | "li", text: string, part: LatencyPart): HTMLElement {
  const element = cell(tag, text);
  element.classList.add("swatch");
  element.style.setProperty("--part", `var(--${part})`);
  return element;
}

function showFailure({ title, detail }: PageElements, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  title.textContent = "It cannot work like this";
  detail.textContent = `${message}${/[.!?]$/.test(message) ? "" : "."} Reload the page to try again.`;
}
