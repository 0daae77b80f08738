/** The elements of index.html that the page writes to, found once. */

export interface PageElements {
  readonly title: HTMLElement;
  readonly detail: HTMLElement;
  readonly view: HTMLCanvasElement;
  readonly headset: HTMLButtonElement;
  readonly layout: HTMLButtonElement;
  readonly retry: HTMLButtonElement;
  readonly leave: HTMLButtonElement;
  readonly pause: HTMLButtonElement;
  readonly sound: HTMLButtonElement;
  readonly kill: HTMLButtonElement;
  readonly killed: HTMLElement;
  readonly plot: HTMLCanvasElement;
  readonly legend: HTMLElement;
  readonly mapSection: HTMLElement;
  readonly map: SVGSVGElement;
  readonly verdict: HTMLElement;
  readonly parts: HTMLElement;
  readonly session: HTMLElement;
}

/** Throws where index.html and page.js are not of the same bundle. */
export function elementsOf(document: Document): PageElements {
  const find = <E extends Element>(id: string, type: new () => E): E => {
    const element = document.getElementById(id);
    if (element instanceof type) return element;
    throw new TypeError(`index.html has no ${type.name} #${id}: publish index.html and page.js together`);
  };
  return {
    title: find("title", HTMLElement),
    detail: find("detail", HTMLElement),
    view: find("view", HTMLCanvasElement),
    headset: find("headset", HTMLButtonElement),
    layout: find("layout", HTMLButtonElement),
    retry: find("retry", HTMLButtonElement),
    leave: find("leave", HTMLButtonElement),
    pause: find("pause", HTMLButtonElement),
    sound: find("sound", HTMLButtonElement),
    kill: find("kill", HTMLButtonElement),
    killed: find("killed", HTMLElement),
    plot: find("plot", HTMLCanvasElement),
    legend: find("legend", HTMLElement),
    mapSection: find("map-section", HTMLElement),
    map: find("map", SVGSVGElement),
    verdict: find("verdict", HTMLElement),
    parts: find("parts", HTMLElement),
    session: find("session", HTMLElement),
  };
}
