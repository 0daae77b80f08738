/** The elements of index.html that the page writes to, found once. */

export interface PageElements {
  readonly title: HTMLElement;
  readonly detail: HTMLElement;
  readonly view: HTMLCanvasElement;
  readonly headset: HTMLButtonElement;
  readonly layout: HTMLButtonElement;
  readonly retry: HTMLButtonElement;
  readonly leave: HTMLButtonElement;
  readonly verdict: HTMLElement;
  readonly parts: HTMLElement;
  readonly session: HTMLElement;
}

/** Throws where index.html and app.js are not of the same bundle. */
export function elementsOf(document: Document): PageElements {
  const find = <E extends HTMLElement>(id: string, type: new () => E): E => {
    const element = document.getElementById(id);
    if (element instanceof type) return element;
    throw new TypeError(`index.html has no ${type.name} #${id}: publish index.html and app.js together`);
  };
  return {
    title: find("title", HTMLElement),
    detail: find("detail", HTMLElement),
    view: find("view", HTMLCanvasElement),
    headset: find("headset", HTMLButtonElement),
    layout: find("layout", HTMLButtonElement),
    retry: find("retry", HTMLButtonElement),
    leave: find("leave", HTMLButtonElement),
    verdict: find("verdict", HTMLElement),
    parts: find("parts", HTMLElement),
    session: find("session", HTMLElement),
  };
}
