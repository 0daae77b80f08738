/** A headless Chromium for tests: the machine's own where one is installed, else the one that npm brings, unpacked into a cache. */
import { access, copyFile, link, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { type BrowserContext, chromium } from "playwright-core";
import { unpackExecutable, unpackTarBrotli } from "#platform/archive/unpack.ts";

export interface ChromiumInstallation {
  readonly executablePath: string;
  /** Folders the dynamic loader needs; empty for the machine's own. */
  readonly libraryPaths: readonly string[];
}

const INSTALLED = "/usr/bin/chromium";
/** Chromium 153 unpacks to about 200 MB: five times that stops an archive gone wrong. */
const UNPACKED_BYTES_MAX = 1_000_000_000;
const START_TIMEOUT_MS = 60_000;

const ARGUMENTS: readonly string[] = [
  "--no-sandbox",
  "--use-gl=angle",
  "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
  "--allow-loopback-in-peer-connection",
];

/** Idempotent: what is in the cache is used again. The default cache is `.cache/chromium` below the repository. */
export async function prepareChromium(
  cacheDir = join(import.meta.dirname, "../../.cache/chromium"),
): Promise<ChromiumInstallation> {
  if (await isExecutable(INSTALLED)) return { executablePath: INSTALLED, libraryPaths: [] };
  const packed = join(dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium")), "../bin");
  const bound = { unpackedBytesMax: UNPACKED_BYTES_MAX };
  // Chromium looks for ANGLE and SwiftShader beside its own executable.
  const browser = join(cacheDir, "browser");
  const system = join(cacheDir, "system");
  await unpackTarBrotli({ archive: join(packed, "swiftshader.tar.br"), target: browser, ...bound });
  await unpackTarBrotli({ archive: join(packed, "al2023.tar.br"), target: system, ...bound });
  const executablePath = join(browser, "chromium");
  await unpackExecutable({ archive: join(packed, "chromium.br"), target: executablePath, ...bound });
  return { executablePath, libraryPaths: [join(system, "lib")] };
}

/** Beside the executable, where Chromium's `--use-angle=swiftshader` looks for the driver that it draws with. */
const DRIVER_FILE = "vk_swiftshader_icd.json";

/**
 * The same browser in a folder of its own where another Vulkan driver's file stands in SwiftShader's place: of Mesa's
 * lavapipe a page is drawn in half the time. Idempotent; two processes may do it at once.
 */
async function withDriver(executablePath: string, driverFile: string): Promise<string> {
  const from = dirname(executablePath);
  const folder = `${from}-${basename(driverFile, ".json")}`;
  if (!(await isExecutable(join(folder, basename(executablePath))))) {
    const draft = await mkdtemp(`${folder}-`);
    // Hard links: Chromium looks beside the file that it is, not beside a link to it.
    const files = (await readdir(from, { withFileTypes: true })).filter((entry) => entry.isFile());
    for (const { name } of files) if (name !== DRIVER_FILE) await link(join(from, name), join(draft, name));
    await copyFile(driverFile, join(draft, DRIVER_FILE));
    await rename(draft, folder).catch(() => rm(draft, { recursive: true }));
  }
  return join(folder, basename(executablePath));
}

export interface LaunchOptions {
  readonly cacheDir?: string;
  /** Of a Vulkan driver to draw with instead of SwiftShader; a Chromium that the machine has of its own takes none. */
  readonly driverFile?: string | undefined;
  readonly arguments?: readonly string[];
  readonly width?: number;
  readonly height?: number;
}

export interface RunningChromium extends AsyncDisposable {
  readonly context: BrowserContext;
}

/** Starts Chromium with a fresh profile; disposing ends it and removes the profile. */
export async function launchChromium(options: LaunchOptions = {}): Promise<RunningChromium> {
  const { executablePath, libraryPaths } = await prepareChromium(options.cacheDir);
  const isOurs = executablePath !== INSTALLED && options.driverFile !== undefined;
  const profile = await mkdtemp(join(tmpdir(), "perigee-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: isOurs ? await withDriver(executablePath, options.driverFile) : executablePath,
    headless: true,
    timeout: START_TIMEOUT_MS,
    args: [...ARGUMENTS, ...(options.arguments ?? [])],
    viewport: { width: options.width ?? 640, height: options.height ?? 480 },
    env: environmentWith(libraryPaths),
  });
  return {
    context,
    async [Symbol.asyncDispose]() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function environmentWith(libraryPaths: readonly string[]): Record<string, string> {
  const inherited = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
  const paths = [...libraryPaths, process.env["LD_LIBRARY_PATH"] ?? ""].filter((path) => path !== "");
  return { ...Object.fromEntries(inherited), ...(paths.length > 0 ? { LD_LIBRARY_PATH: paths.join(":") } : {}) };
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
