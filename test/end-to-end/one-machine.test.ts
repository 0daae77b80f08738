/** The one-machine start as an operator meets it: real processes, the real command line, killed, stopped and started again. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { ask } from "#deploy/one-machine/ask.ts";
import { systemClock } from "#platform/clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { until } from "../simulation/until.ts";
import { freeOffset, perigee, pidsOf, startDev, stopDev } from "./dev-process.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const CLI = join(ROOT, "cli", "main.ts");
const IMPATIENCE_MS = 100;
const ANSWER_MS_MAX = 5_000;

const BAD_POLICY = `apiVersion: perigee.dev/v1
kind: PlacementPolicy
metadata:
  name: eu
spec:
  apps: [hall]
  sites: []
  latencyBudgetMs: {}
  # A pool cannot be in the region and not in it.
  preferences: []
  constraints:
    - {label: region, operator: In, values: [eu]}
    - {label: region, operator: NotIn, values: [eu]}
`;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function answersAll(t: Test, lines: readonly string[]): Promise<void> {
  const urls = lines.join("\n").match(/http:\/\/\S+/g) ?? [];
  t.ok(urls.length >= 8, `${urls.length} addresses are printed`);
  for (const url of urls) {
    const { status } = await ask(new URL(url), systemClock.deadline(ANSWER_MS_MAX));
    t.ok(status >= 200 && status < 400, `${url} answers ${status}`);
  }
}

t.test("everything printed answers, and what was applied survives kill -9 and a restart", async (t) => {
  const folder = testFolder(t, { data: {}, content: { "index.html": "<h1>second</h1>" }, "bad.yaml": BAD_POLICY });
  const data = join(folder, "data");
  const offset = await freeOffset();
  const first = await startDev(t, data, offset);
  await answersAll(t, first.lines);
  t.match(await perigee(data, "publish", join(folder, "content"), "--site", "shop"), {
    status: 0,
    out: /generation 2, 1 files, 1 uploaded/,
  });
  t.match(await perigee(data, "rollback", "shop", "--to", "1"), {
    status: 0,
    out: /generation 3 has the content of 1/,
  });

  const killed = pidsOf(data).get("origin") ?? 0;
  process.kill(killed, "SIGKILL");
  await first.noted(/origin has ended \(SIGKILL\): again in/);
  await first.noted(/origin is ready/, 2);
  t.match(
    (await perigee(data, "get", "releases", "-o", "name")).out,
    /Release\/shop\.1\nRelease\/shop\.2\nRelease\/shop\.3/,
  );
  t.match(await perigee(data, "apply", "-f", join(folder, "bad.yaml")), {
    status: 2,
    notes: /bad\.yaml:11: spec\.constraints contradict each other/,
  });
  t.match(await perigee(data, "get", "site", "none"), { status: 5 });
  t.match(await perigee(data, "join-token", "--name", "near-2", "--pool", "near"), {
    status: 0,
    out: /token .*\npin +sha256:/,
  });

  const programs = [...pidsOf(data).values()];
  const identity = join(data, "near-1", "identity", "identity.json");
  const joinedAtMs = statSync(identity).mtimeMs;
  first.child.kill("SIGINT");
  t.equal(await stopDev(first.child), 0, "Ctrl-C is an orderly end, also where npm passes it on once more");
  t.notOk(programs.some(isAlive), "nothing is left running");
  const second = await startDev(t, data, offset);
  await answersAll(t, second.lines);
  t.equal(statSync(identity).mtimeMs, joinedAtMs, "nobody joins twice");
  t.match((await perigee(data, "get", "releases", "-o", "name")).out, /Release\/shop\.3/);
  const outage = await perigee(data, "machine", "stop", "origin", "scheduler", "--data", data);
  t.match(outage.out, /^origin +stopped$/m);
  t.match(outage.out, /^scheduler +stopped$/m);
  const atEdge = second.lines.find((line) => line.includes("near-1.edge"))?.match(/http:\S+/)?.[0] ?? "";
  t.match(await ask(new URL(atEdge), systemClock.deadline(ANSWER_MS_MAX)), { status: 200 }, "served without the cloud");
});

t.test("a start that is killed leaves programs, which the next start ends; two starts share no folder", async (t) => {
  const folder = testFolder(t);
  const data = join(folder, "data");
  const offset = await freeOffset();
  const first = await startDev(t, data, offset);
  const beside = spawnSync(process.execPath, [CLI, "dev", "--data", data], { encoding: "utf8" });
  t.equal(beside.status, 3);
  t.match(beside.stderr, /is used by process \d+: stop it, or give another folder/);
  const elsewhere = join(folder, "elsewhere");
  const taken = spawnSync(process.execPath, [CLI, "dev", "--data", elsewhere, "--port-offset", String(offset)], {
    encoding: "utf8",
  });
  t.equal(taken.status, 3);
  t.match(taken.stderr, /in use on 127\.0\.0\.1: port \d+.*--port-offset/);

  const ended = once(first.child, "exit");
  first.child.kill("SIGKILL");
  await ended;
  const left = pidsOf(data).get("near-1") ?? 0;
  t.ok(isAlive(left), "the edge goes on alone");
  const second = await startDev(t, data, offset);
  t.match(second.notes.join("\n"), /near-1 of an earlier start still runs/);
  t.notOk(isAlive(left), "it was ended");

  const programs = [...pidsOf(data)].flatMap(([name, pid]) => (name === "dev" ? [] : [pid]));
  const frozen = pidsOf(data).get("near-1") ?? 0;
  process.kill(frozen, "SIGSTOP");
  const exited = once(second.child, "exit");
  using _impatient = systemClock.every(IMPATIENCE_MS, () => void second.child.kill("SIGINT"));
  t.strictSame(await exited, [130, null], "another Ctrl-C does not wait for a program that does not stop");
  await until(() => !programs.some(isAlive), "all ended at once");
});
