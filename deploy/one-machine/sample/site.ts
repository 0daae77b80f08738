/** Makes the sample site: linked pages, drawn images and one large file, some megabytes in all, the same at every start. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "#platform/random.ts";

const PRODUCTS = 24;
/** Large enough to be sent in many pieces and asked for in ranges. */
export const LARGE_FILE_BYTES = 4 * 1024 * 1024;
const SEED = 2026;

export function makeSampleSite(folder: string): void {
  for (const part of ["products", "images", "downloads"]) mkdirSync(join(folder, part), { recursive: true });
  const products = Array.from({ length: PRODUCTS }, (_, index) => index + 1);
  writeFileSync(join(folder, "style.css"), STYLE);
  writeFileSync(join(folder, "index.html"), page("Shop", products.map(card).join("\n")));
  for (const product of products) {
    writeFileSync(join(folder, "images", `${product}.svg`), drawing(product));
    const body = `<img src="/images/${product}.svg" alt=""><p>Product ${product}, from the nearest edge.</p>`;
    writeFileSync(join(folder, "products", `${product}.html`), page(`Product ${product}`, body));
  }
  writeFileSync(join(folder, "downloads", "catalogue.bin"), seededRandom(SEED).bytes(LARGE_FILE_BYTES));
}

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
a{color:inherit}ul{display:grid;grid-template-columns:repeat(auto-fill,9rem);gap:1rem;list-style:none;padding:0}
img{width:100%;height:auto}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}
`;

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title><link rel="stylesheet" href="/style.css">
<h1>${title}</h1><p><a href="/">Start</a> · <a href="/downloads/catalogue.bin">Catalogue</a></p>
<ul>${body}</ul></html>
`;
}

function card(product: number): string {
  return `<li><a href="/products/${product}.html"><img src="/images/${product}.svg" alt="">Product ${product}</a></li>`;
}

function drawing(product: number): string {
  const random = seededRandom(product);
  const circles = Array.from({ length: 40 }, () => {
    const [x, y, radius, hue] = [120, 120, 30, 360].map((limit) => random.integer(limit));
    return `<circle cx="${x}" cy="${y}" r="${radius}" fill="hsl(${hue} 70% 55%)" fill-opacity=".6"/>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120">${circles.join("")}</svg>\n`;
}
