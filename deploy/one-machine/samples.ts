/** Gives a new installation something to serve: resources, a published site, the VR page with its scene, join tokens. */
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Value } from "typebox/value";
import { type TokenResult, tokenResultSchema } from "#contracts/operator-api/operator.ts";
import type { NodeRole } from "#domain/fleet/node.ts";
import type { Clock } from "#platform/clock.ts";
import type { DataFolder } from "./data-folder.ts";
import { readPlaces } from "./sample/places.ts";
import { makeGallery } from "./sample/scene/gallery.ts";
import { makeSampleSite } from "./sample/site.ts";
import { type MachinePlan, SAMPLE_UPSTREAM_PORT } from "./topology.ts";

const SAMPLE = join(import.meta.dirname, "sample");
export const SAMPLE_NETWORKS_FILE = join(SAMPLE, "networks.yaml");
/** As `sample/resources.yaml` has it; the one in use may be moved. */
const UPSTREAM_URL_WRITTEN = `http://127.0.0.1:${SAMPLE_UPSTREAM_PORT}`;

/** Each app has a page of its own, in a folder of the site: its scene, and what else its bundle has. */
const PAGES: readonly PagePlan[] = [
  { app: "hall", folder: ".", tokenFile: "app-token.json", bundle: { "scene/hall.json": "scenes/hall.json" } },
  {
    app: "tabletop",
    folder: "tabletop",
    tokenFile: "app-token-tabletop.json",
    bundle: { "tabletop/scene.json": "apps/tabletop/scene.json", "tabletop/app.js": "apps/tabletop/app.js" },
  },
];
const PAGE_SITE = "vr";
/** The page is served at its steering name's edges, whatever their ports. */
export const PAGE_ORIGINS = ["http://vr.localhost:*", "http://vr.*.edge.localhost:*"];
/** What the sample page may take of a machine that renders by software. */
const PAGE_SESSIONS_MAX = 16;
const PAGE_TIER = "standard";
/** A year; a start in its second half gets a new one. */
const APP_TOKEN_LIFETIME_SECONDS = 31_536_000;

interface PagePlan {
  readonly app: string;
  readonly folder: string;
  readonly tokenFile: string;
  /** From the samples' folder to the site's. */
  readonly bundle: Readonly<Record<string, string>>;
}

/** What an operator can do, as the start needs it. */
export interface Operator {
  apply(files: readonly string[]): Promise<void>;
  /** A folder as the next release; answers a line about it. */
  publish(folder: string, site: string): Promise<string>;
  createJoinToken(request: JoinTokenWanted): Promise<{ readonly token: string; readonly pin: string }>;
  createAppToken(request: AppTokenWanted): Promise<TokenResult>;
}

export interface JoinTokenWanted {
  readonly role: NodeRole;
  readonly name: string;
  readonly pool?: string;
}

export interface AppTokenWanted {
  readonly app: string;
  readonly origins: readonly string[];
  readonly maxSessions: number;
  readonly lifetimeSeconds: number;
}

export interface SampleParts {
  readonly folder: DataFolder;
  readonly plan: MachinePlan;
  readonly operator: Operator;
  /** Writes the VR page's files into a folder. */
  readonly bundlePage: (folder: string) => Promise<void>;
  readonly clock: Clock;
  readonly note: (text: string) => void;
}

/** At the first start only: later ones find what the operator made of it. */
export async function applySampleResources({ folder, plan, operator }: SampleParts): Promise<void> {
  const file = folder.sampleFile("resources.yaml");
  const mark = folder.sampleFile("resources-applied");
  if (existsSync(mark)) return;
  const text = readFileSync(join(SAMPLE, "resources.yaml"), "utf8");
  writeFileSync(file, text.replaceAll(UPSTREAM_URL_WRITTEN, plan.upstreamUrl));
  await operator.apply([file]);
  writeFileSync(mark, "");
}

/** At the first start only. */
export async function publishSampleSite(parts: SampleParts): Promise<void> {
  const mark = parts.folder.sampleFile("shop-published");
  if (existsSync(mark)) return;
  await publishMade(parts, "shop", mark, async (folder) => makeSampleSite(folder));
}

/** Whenever the pages, their scenes, apps or settings differ from what was published. */
export async function publishPage(parts: SampleParts): Promise<void> {
  await publishMade(parts, PAGE_SITE, parts.folder.sampleFile("vr-published"), async (folder) => {
    for (const page of PAGES) await makePage(parts, page, folder);
    writeFileSync(join(folder, "scenes", "gallery.glb"), makeGallery());
  });
}

async function makePage(parts: SampleParts, page: PagePlan, site: string): Promise<void> {
  const { token } = await appTokenOf(parts, page);
  const folder = join(site, page.folder);
  mkdirSync(folder, { recursive: true });
  await parts.bundlePage(folder);
  const [resources, networks] = [join(SAMPLE, "resources.yaml"), SAMPLE_NETWORKS_FILE];
  const places = readPlaces(readFileSync(resources, "utf8"), readFileSync(networks, "utf8"));
  const session = { scheduler: parts.plan.schedulerUrl, site: PAGE_SITE, app: page.app, appToken: token };
  const config = { ...session, tier: PAGE_TIER, places };
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  for (const [from, to] of Object.entries(page.bundle)) {
    mkdirSync(dirname(join(site, to)), { recursive: true });
    copyFileSync(join(SAMPLE, from), join(site, to));
  }
}

async function publishMade(
  { operator, note }: SampleParts,
  site: string,
  mark: string,
  make: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "perigee-sample-"));
  try {
    await make(folder);
    const digest = digestOf(folder);
    if (existsSync(mark) && readFileSync(mark, "utf8") === digest) return;
    note(await operator.publish(folder, site));
    writeFileSync(mark, digest);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Of all names and bytes below a folder. */
function digestOf(folder: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).sort();
  const hash = createHash("sha256");
  for (const path of paths) {
    const bytes = readFileSync(path);
    hash.update(`${path.slice(folder.length)}\0${bytes.byteLength}\0`).update(bytes);
  }
  return hash.digest("hex");
}

async function appTokenOf(
  { folder, operator, clock }: SampleParts,
  { app, tokenFile }: PagePlan,
): Promise<TokenResult> {
  const file = folder.sampleFile(tokenFile);
  const held: unknown = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
  const halfLifeMs = (APP_TOKEN_LIFETIME_SECONDS * 1000) / 2;
  if (Value.Check(tokenResultSchema, held) && held.expiresAtMs - clock.nowMs() > halfLifeMs) return held;
  const made = await operator.createAppToken({
    app,
    origins: PAGE_ORIGINS,
    maxSessions: PAGE_SESSIONS_MAX,
    lifetimeSeconds: APP_TOKEN_LIFETIME_SECONDS,
  });
  writeFileSync(file, JSON.stringify(made), { mode: 0o600 });
  return made;
}
