/** A small map: the pools, the one that serves, and the way to it from where the user is. */
import { type Coordinates, frameAround, labelSideOf, linesWithin, type MapFrame, type Places } from "./places.ts";

const SVG = "http://www.w3.org/2000/svg";
const ASPECT = 2;
/** What everything drawn is measured in: a part of the map's height. */
const UNITS = 36;

export interface PoolMap {
  /** `undefined` while nothing serves. */
  show(servingPool: string | undefined): void;
}

export function createPoolMap(svg: SVGSVGElement, { pools, here }: Places): PoolMap {
  const frame = frameAround(here === undefined ? pools : [...pools, here], ASPECT);
  const { west, north, width, height } = frame;
  const unit = height / UNITS;
  svg.setAttribute("viewBox", `${west} ${-north} ${width} ${height}`);
  svg.style.setProperty("--unit", String(unit));
  const way = shape("line", { class: "way" });
  const marks = pools.map((pool) => {
    const mark = shape("g", { class: "pool" });
    const { longitude: cx, latitude } = pool;
    const others = pools.filter((other) => other !== pool);
    const { isAtLeft, isBelow } = labelSideOf(pool, others, frame);
    const label = shape("text", {
      x: cx + (isAtLeft ? -2 : 2) * unit,
      y: -latitude + (isBelow ? 4.6 : -2.4) * unit,
      "text-anchor": isAtLeft ? "end" : "start",
    });
    label.textContent = `${pool.name}, ${pool.region}`;
    mark.append(shape("circle", { cx, cy: -latitude, r: 1.2 * unit }), label);
    return { pool, mark };
  });
  svg.replaceChildren(...gridOf(frame), way, ...(here === undefined ? [] : [userMark(here, unit)]));
  svg.append(...marks.map(({ mark }) => mark));
  return {
    show(servingPool) {
      const serving = marks.find(({ pool }) => pool.name === servingPool)?.pool;
      for (const { pool, mark } of marks) mark.classList.toggle("serving", pool === serving);
      way.toggleAttribute("hidden", serving === undefined || here === undefined);
      if (serving !== undefined && here !== undefined) setEnds(way, here, serving);
      const words = serving === undefined ? "Nothing serves now" : `${serving.name} in ${serving.region} serves`;
      svg.setAttribute("aria-label", `${words}, of ${pools.map(({ name }) => name).join(", ")}`);
    },
  };
}

function gridOf({ west, north, width, height, stepDegrees }: MapFrame): readonly SVGElement[] {
  const [east, south] = [west + width, north - height];
  const meridians = linesWithin(west, east, stepDegrees).map((x) =>
    shape("line", { class: "grid", x1: x, x2: x, y1: -north, y2: -south }),
  );
  const parallels = linesWithin(south, north, stepDegrees).flatMap((latitude) => {
    const text = shape("text", { class: "degrees", x: west + width / 100, y: -latitude - height / 100 });
    text.textContent = `${Math.abs(latitude)}° ${latitude < 0 ? "S" : "N"}`;
    return [shape("line", { class: "grid", x1: west, x2: east, y1: -latitude, y2: -latitude }), text];
  });
  return [...meridians, ...parallels];
}

function userMark({ latitude, longitude }: Coordinates, unit: number): SVGElement {
  const ring = shape("circle", { class: "user", cx: longitude, cy: -latitude, r: 1.9 * unit });
  const title = shape("title", {});
  title.textContent = "You";
  ring.append(title);
  return ring;
}

function setEnds(line: SVGElement, from: Coordinates, to: Coordinates): void {
  const ends = { x1: from.longitude, y1: -from.latitude, x2: to.longitude, y2: -to.latitude };
  for (const [name, value] of Object.entries(ends)) line.setAttribute(name, String(value));
}

function shape(tag: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const element = document.createElementNS(SVG, tag);
  if (!(element instanceof SVGElement)) throw new TypeError(`${tag} is no SVG element`);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}
