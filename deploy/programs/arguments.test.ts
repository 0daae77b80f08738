/** What the programs and the command line say of themselves, and of arguments that there are not. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";

const ROOT = join(import.meta.dirname, "..", "..");
const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

function run(main: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, main), ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

for (const program of ["origin", "scheduler", "edge-node", "render-agent"]) {
  t.test(`${program} says what it is, and refuses what it does not know`, async (t) => {
    const main = `${program}/main.ts`;
    t.match(run(main, "--help"), { status: 0, stdout: new RegExp(`^${program}: .*--config FILE`, "s"), stderr: "" });
    t.same(run(main, "--version"), { status: 0, stdout: `${program} ${version}\n`, stderr: "" });
    t.match(run(main, "--confg", "x"), {
      status: 64,
      stdout: "",
      stderr: new RegExp(`^${program}: Unknown option '--confg'.*\\(see --help\\)\n$`),
    });
  });
}

t.test("the command line has the same version", async (t) => {
  t.same(run("cli/main.ts", "--version"), { status: 0, stdout: `${version}\n`, stderr: "" });
});

t.test("a reader of the command line that has gone is no fault", async (t) => {
  const command = `"${process.execPath}" "${join(ROOT, "cli", "main.ts")}" --help | true; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", command], { encoding: "utf8" });
  t.equal(stderr, "");
  t.match(stdout, /^(0|141)\n$/);
});
