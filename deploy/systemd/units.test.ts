import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { bundleProgram } from "../programs/bundle.ts";

const HERE = import.meta.dirname;
const ROOT = join(HERE, "..", "..");
const INSTALLED_AT = "/opt/perigee";
const PROGRAMS = ["origin", "scheduler", "edge-node", "render-agent"];
/** What a unit starts, from where it is installed: the program's bundle, or its sources. */
const MAINS: Readonly<Record<string, string>> = { "edge-node": ".bundle/edge-node/main.mjs" };
/** Every unit has these; what else it has may differ. */
const HARDENING = {
  User: "perigee",
  NoNewPrivileges: "yes",
  CapabilityBoundingSet: "",
  ProtectSystem: "strict",
  ProtectHome: "yes",
  PrivateTmp: "yes",
  RestrictNamespaces: "yes",
  SystemCallArchitectures: "native",
  UMask: "0077",
};
/** Of systemd-analyze's 0 (closed) to 10 (open): a service that works on sockets and its own folder is well below. */
const EXPOSURE_MAX = 2;

const unitFile = (program: string) => join(HERE, `perigee-${program}.service`);

/** The settings of a unit; of several with one name the last. */
function settingsOf(text: string): Map<string, string> {
  const lines = text.split("\n").filter((line) => /^[A-Z]\w*=/.test(line));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

t.test(
  "each program has a unit that starts a file that is there, as another user, with nothing it does not need",
  async (t) => {
    const units = readdirSync(HERE).filter((name) => name.endsWith(".service"));
    await bundleProgram("edge-node", join(ROOT, ".bundle"));
    t.strictSame(units.sort(), PROGRAMS.map((program) => `perigee-${program}.service`).sort());
    for (const program of PROGRAMS) {
      const settings = settingsOf(readFileSync(unitFile(program), "utf8"));
      const words = settings.get("ExecStart")?.split(" ") ?? [];
      t.strictSame(words, [
        `${INSTALLED_AT}/node_modules/.bin/node`,
        `${INSTALLED_AT}/${MAINS[program] ?? `${program}/main.ts`}`,
        "--config",
        `/etc/perigee/${program}.yaml`,
      ]);
      for (const word of words.slice(0, 2)) {
        const path = join(ROOT, word.slice(INSTALLED_AT.length));
        t.ok(existsSync(path), `${program}: ${path} is there`);
      }
      t.ok(
        existsSync(join(ROOT, "deploy", "config", `${program}.yaml`)),
        `${program}: an example of its configuration`,
      );
      for (const [name, value] of Object.entries(HARDENING)) t.equal(settings.get(name), value, `${program}: ${name}`);
      const file = join("deploy", "programs", `${program}.env`);
      const environment = existsSync(join(ROOT, file)) ? `${INSTALLED_AT}/${file}` : undefined;
      t.equal(settings.get("EnvironmentFile"), environment, `${program}: its environment`);
      t.equal(settings.get("StateDirectory"), `perigee/${program}`, `${program}: its own folder`);
    }
  },
);

const version = spawnSync("systemd-analyze", ["--version"]);
const isInstalled = version.error === undefined;

t.test(
  "systemd finds no fault in the units",
  { skip: !isInstalled && "systemd-analyze is not installed" },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "perigee-units-"));
    t.teardown(() => rmSync(folder, { recursive: true }));
    for (const program of PROGRAMS) {
      // Where the repository is, so that what ExecStart names is there.
      const file = join(folder, `perigee-${program}.service`);
      writeFileSync(file, readFileSync(unitFile(program), "utf8").replaceAll(INSTALLED_AT, ROOT));
      const verified = spawnSync("systemd-analyze", ["verify", file], { encoding: "utf8" });
      t.equal(verified.stderr, "", `${program}: no remarks`);
      t.equal(verified.status, 0, `${program}: verified`);
      const judged = spawnSync("systemd-analyze", ["security", "--offline=true", file], { encoding: "utf8" });
      const exposure = Number(/exposure level for \S+: ([\d.]+)/.exec(judged.stdout)?.[1] ?? Number.NaN);
      t.ok(exposure < EXPOSURE_MAX, `${program}: exposure ${exposure}, below ${EXPOSURE_MAX}`);
    }
  },
);
