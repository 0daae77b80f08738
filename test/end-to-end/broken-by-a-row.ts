/** Loaded before an edge-node: a bug that a site's row brings out, for as long as the row is in the set. */
const Sound = globalThis.URL;

globalThis.URL = class extends Sound {
  constructor(url: string | URL, base?: string | URL) {
    super(url, base);
    if (this.hostname === "crash.invalid") throw new Error("a bug that this upstream brings out");
  }
};
