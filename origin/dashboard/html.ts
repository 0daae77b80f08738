/** The frame of the origin's pages: light or dark as the reader's system is, no script, the page asks again by itself. Pure. */

const REFRESH_SECONDS = 10;

const STYLE = `
:root{color-scheme:light dark;--line:#d5d5d5;--good:#146c2e;--warn:#8a4b00;--bad:#b00020}
@media (prefers-color-scheme:dark){:root{--line:#444;--good:#7fd99a;--warn:#f0b45c;--bad:#ff8a8a}}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;padding:0 1rem;max-width:80rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line)}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad);font-weight:600}`;

export function page(title: string, body: string): string {
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width,initial-scale=1">',
    `<meta http-equiv="refresh" content="${REFRESH_SECONDS}">`,
    `<title>${title}</title><style>${STYLE}</style></head><body><main>`,
    `<h1>${title}</h1>`,
    body,
    "</main></body></html>",
  ].join("\n");
}

/** Heads and title are ours, cells are HTML. */
export function table(title: string, heads: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return `<h2>${title}</h2><p>none</p>`;
  const head = heads.map((text) => `<th scope="col">${text}</th>`).join("");
  const body = rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`).join("\n");
  return `<h2>${title}</h2><div class="wide"><table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>`;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

const UNITS = [
  { name: "d", ms: 86_400_000 },
  { name: "h", ms: 3_600_000 },
  { name: "min", ms: 60_000 },
  { name: "s", ms: 1000 },
] as const;

/** In the largest unit of which there are two, so that what is rounded away is less than half. */
export function duration(ms: number): string {
  const unit = UNITS.find((candidate) => ms >= 2 * candidate.ms) ?? UNITS[UNITS.length - 1];
  return unit === undefined ? "" : `${Math.max(0, Math.floor(ms / unit.ms))} ${unit.name}`;
}
