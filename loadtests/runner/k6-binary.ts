/** The k6 of the version that the scripts are written for: the machine's own where it is that, else built once into a cache. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

export const K6_VERSION = "1.8.1";
/** A build takes 80 s on two quiet cores. */
const BUILD_MS_MAX = 900_000;
const ASK_MS_MAX = 20_000;

/** The path of the executable. Throws, saying what to install, where there is none and none can be built. */
export function prepareK6(root: string, say: (line: string) => void): string {
  if (isRightK6("k6")) return "k6";
  const folder = join(root, ".cache", "k6", `v${K6_VERSION}`);
  const executable = join(folder, "k6");
  if (existsSync(executable) && isRightK6(executable)) return executable;
  if (spawnSync("go", ["version"], { timeout: ASK_MS_MAX }).status !== 0) {
    throw new Error(
      `k6 ${K6_VERSION} is not installed and cannot be built: there is no go. ` +
        `Install Go (https://go.dev/dl/) or k6 ${K6_VERSION} (https://github.com/grafana/k6/releases) into PATH.`,
    );
  }
  mkdirSync(folder, { recursive: true });
  say(`building k6 ${K6_VERSION} into ${folder} (a minute or two, once)`);
  const built = spawnSync("go", ["install", `go.k6.io/k6@v${K6_VERSION}`], {
    env: { ...process.env, GOBIN: folder, CGO_ENABLED: "0" },
    encoding: "utf8",
    timeout: BUILD_MS_MAX,
  });
  if (built.status === 0 && isRightK6(executable)) return executable;
  throw new Error(`k6 could not be built:\n${built.stderr.trim().split("\n").slice(-10).join("\n")}`);
}

function isRightK6(executable: string): boolean {
  const { stdout } = spawnSync(executable, ["version"], { encoding: "utf8", timeout: ASK_MS_MAX });
  return typeof stdout === "string" && stdout.includes(`v${K6_VERSION}`);
}
