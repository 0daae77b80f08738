/** What-ifs against a process of the origin: simulate asks it for the fleet, and apply is refused by its guard-rails. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { EXIT } from "#cli/exit-codes.ts";
import { runCommandLine } from "#cli/program.ts";
import { testFolder } from "#test/test-folder.ts";

const ROOT = join(import.meta.dirname, "..", "..");

const pool = (name: string, region: string, longitude: number) => `apiVersion: perigee.dev/v1
kind: NodePool
metadata: { name: ${name}, labels: { gpu: l40s, perigee.dev/slots: "40", perigee.dev/gpus: "5" } }
spec: { region: ${region}, coordinates: { latitude: 50, longitude: ${longitude} } }
---
`;
const FLEET = `${pool("frankfurt", "eu-central", 8.7)}${pool("paris", "eu-west", 2.4)}apiVersion: perigee.dev/v1
kind: RenderApp
metadata: { name: hall }
spec:
  bundle: { site: scenes, path: /hall.json }
  classes: [{ name: hd, eyeWidthPixels: 1024, eyeHeightPixels: 1024, frameRateHz: 72 }]
`;
const policy = (regions: string, stickinessMs = 2) => `apiVersion: perigee.dev/v1
kind: PlacementPolicy
metadata: { name: eu }
spec:
  apps: [hall]
  stickinessMs: ${stickinessMs}
  guardRails: { shareWithinLimitMayFallByPoints: 5 }
  constraints: [{ label: perigee.dev/region, operator: In, values: [${regions}] }]
`;

/** Its first token, and where its operator API listens. */
async function startOrigin(t: Test): Promise<{ token: string; url: string }> {
  const local = "127.0.0.1:0";
  const listen = { operatorApi: local, nodeRpc: local, enrolment: local, delivery: local, admin: local };
  const folder = testFolder(t, { "origin.json": JSON.stringify({ dataDir: testFolder(t), listen, logLevel: "info" }) });
  const args = [join(ROOT, "origin", "main.ts"), "--config", join(folder, "origin.json")];
  const origin = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  t.teardown(() => origin.kill("SIGKILL"));
  let token = "";
  for await (const line of createInterface(origin.stdout)) {
    token ||= /token.*: (\S+)$/.exec(line)?.[1] ?? "";
    const port = /"operatorApi":"127\.0\.0\.1:(\d+)"/.exec(line)?.[1];
    if (port !== undefined && token !== "") return { token, url: `http://127.0.0.1:${port}` };
  }
  throw new Error("the origin ended before it listened");
}

t.test("a policy is simulated, refused by its guard-rails, forced, and rolled back", async (t) => {
  const { token, url } = await startOrigin(t);
  const folder = testFolder(t, {
    "fleet.yaml": FLEET,
    "both.yaml": policy("eu-central, eu-west"),
    "sticky.yaml": policy("eu-central, eu-west", 4),
    "west.yaml": policy("eu-west"),
  });
  const run = async (...words: readonly string[]) => {
    const [out, notes]: [string[], string[]] = [[], []];
    const code = await runCommandLine(["--origin", url, ...words], {
      output: { line: (text) => out.push(text), note: (text) => notes.push(text) },
      environment: { variables: { HOME: "/nowhere", PERIGEE_TOKEN: token }, folder: "/nowhere" },
      signal: new AbortController().signal,
      killSignal: new AbortController().signal,
    });
    return { code, out: out.join("\n"), notes: notes.join("\n") };
  };
  const apply = (file: string, ...flags: string[]) => run("apply", "-f", join(folder, file), ...flags);
  t.match(await apply("fleet.yaml"), { code: EXIT.ok });
  const first = await apply("both.yaml");
  t.match(first, { code: EXIT.ok, notes: "" });
  for (const kind of ["placementpolicies", "nodepools", "renderapps"]) {
    writeFileSync(join(folder, "got.yaml"), (await run("get", kind, "-o", "yaml")).out);
    const gotten = await apply("got.yaml");
    t.match(gotten, { code: EXIT.ok, out: /unchanged/, notes: "" }, `${kind} as get prints them`);
    t.notMatch(gotten.out, /created|changed +\d+ +\//, gotten.out);
    t.match(await run("simulate", join(folder, "got.yaml")), { code: EXIT.ok }, `${kind} in a simulation`);
  }
  const simulated = await run("simulate", join(folder, "west.yaml"), "-o", "json");
  t.equal(simulated.code, EXIT.ok, simulated.notes);
  const { before, after } = JSON.parse(simulated.out);
  t.ok(after.shareWithinLimit < before.shareWithinLimit - 0.05, "the policy leaves half of the fleet");
  const refused = await apply("west.yaml");
  t.match(refused, { code: EXIT.refused, notes: /west\.yaml:7: guard-rail of eu: \d.*may ?FallByPoints is 5/i });
  t.match(await run("get", "placementpolicy", "eu", "-o", "json"), { out: /eu-central/ }, "nothing was applied");
  t.match(await apply("sticky.yaml"), { code: EXIT.ok, notes: "" }, "what keeps within them passes");
  const forced = await apply("west.yaml", "--force");
  t.match(forced, { code: EXIT.ok, notes: /west\.yaml:7: warning: forced: guard-rail of eu/ });
  const revision = /eu +created +(\d+)/.exec(first.out)?.[1] ?? "";
  const back = await run("rollback", "placementpolicy", "eu", "--to", revision);
  t.match(back, { code: EXIT.ok, out: /says what revision \d+ said/ }, back.notes);
  const again = /changed +(\d+)/.exec(forced.out)?.[1] ?? "";
  const worse = await run("rollback", "placementpolicy", "eu", "--to", again);
  const told = /^perigee: PlacementPolicy eu as of revision \d+: guard-rail of eu/;
  t.match(worse, { code: EXIT.refused, notes: told }, "a rollback is a change too");
  t.match(await run("rollback", "placementpolicy", "eu", "--to", again, "--force"), { code: EXIT.ok });
  const remove = (...flags: string[]) => run("delete", "nodepool", "paris", ...flags);
  t.match(await remove(), { code: EXIT.refused, notes: /^perigee: guard-rail of eu: \d.*may ?FallByPoints is 5/im });
  t.match(await remove("--force"), {
    code: EXIT.ok,
    out: /paris deleted/,
    notes: /^warning: forced: guard-rail of eu/m,
  });
});
