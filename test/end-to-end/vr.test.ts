/** A VR session in a real browser against the whole system on one machine: placed by probing, followed by its head, moved when its agent dies. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import t, { type Test } from "tap";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { planMachine } from "#deploy/one-machine/topology.ts";
import { systemClock } from "#platform/clock.ts";
import { launchChromium } from "#test/chromium/chromium.ts";
import { type Dev, freeOffset, perigee, pidsOf, startDev, stopDev } from "./dev-process.ts";
import { describeComingUp, describeGaps, hasSlots, readComingUp, watchGaps, watchHolders } from "./vr-parts.ts";
import { untilSo } from "./waiting.ts";

/** A session on a machine whose cores all render, encode, decode and draw at once. */
const FRAMES_MS_MAX = 30_000;
/** The promise to somebody whose agent died. */
const RESUMED_MS_MAX = 3_000;
/** Two of three: a single slow recovery may be the machine's. */
const KILLS_MAX = 3;
const KEPT_MIN = 2;
const FRAMES_MIN = 30;
const SCREENSHOTS = join(import.meta.dirname, "..", "..", "reports", "end-to-end");
/** The red column ahead covers twice as much at least; one that is not in sight, nothing. */
const SEEN = 0.02;
const UNSEEN = 0.005;

const percentiles = Type.Object({ p50: Type.Number(), p95: Type.Number() });
const latencySchema = Type.Object({
  remotePathMs: percentiles,
  networkMs: percentiles,
  waitMs: percentiles,
  renderMs: percentiles,
  encodeMs: percentiles,
  decodeMs: percentiles,
  frameRateHz: Type.Number(),
});
const stateSchema = Type.Object({
  phase: Type.String(),
  session: Type.String(),
  attempt: Type.Integer(),
  pool: Type.String(),
  agent: Type.String(),
  decision: Type.String(),
});
type State = Static<typeof stateSchema>;
const placementSchema = Type.Object({ session: Type.String(), decision: Type.String() });

/** Notes each change of the session's state with its time, what a slow recovery spent it on, and how it was first placed. */
const RECORD_STATES = `
  window.states = [];
  setInterval(() => {
    const { phase, agent, attempt, problem, session, decision } = window.perigee?.state() ?? {};
    if (attempt === 1 && window.firstPlacement?.session !== session) window.firstPlacement = { session, decision };
    const now = [phase, agent, attempt, problem?.code].filter((part) => part !== undefined).join(" ");
    if (now === window.states.at(-1)?.now) return;
    if (window.states.push({ now, atMs: Math.round(performance.now()) }) > 200) window.states.shift();
  }, 20);`;

/** What `window.perigee` says, narrowed. */
async function stateOf(page: Page): Promise<State> {
  return Value.Parse(stateSchema, Value.Clean(stateSchema, await page.evaluate("perigee.state()")));
}

t.test("a session is placed by probing, its frames follow the head, and it goes on when its agent dies", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "perigee-vr-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const data = join(folder, "data");
  const portOffset = await freeOffset();
  const dev = await startDev(t, data, portOffset);
  const address = /^ *it, with a kill button +(\S+)$/m.exec(dev.lines.join("\n"))?.[1];
  if (address === undefined) throw new Error(`no VR page is printed:\n${dev.lines.join("\n")}`);
  await untilBothRender(data);
  await using browser = await launchChromium({ width: 480, height: 600 });
  const page = await browser.context.newPage();
  const said: string[] = [];
  page.on("console", (message) => void said.push(message.text()));
  await page.addInitScript(RECORD_STATES);
  await page.goto(address);
  try {
    await untilFrames(page, FRAMES_MIN);
    t.comment(describeComingUp(await readComingUp(page)));
    await checkPlaced(t, data, page);
    await checkMeasuredByUdp(t, portOffset);
    await checkFollowsHead(t, page);
    await showLatency(t, page);
    mkdirSync(SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: join(SCREENSHOTS, "vr.png") });
    await checkOutlivesEdge(t, { data, dev, page, portOffset });
    await checkOutlivesAgent(t, { data, dev, page, portOffset });
    await page.screenshot({ path: join(SCREENSHOTS, "vr-resumed.png") });
  } finally {
    t.comment(
      `states, ms after the page's start: ${await page.evaluate("window.states.map(({ now, atMs }) => atMs + ' ' + now).join(', ')")}`,
    );
    if (said.length > 0) t.comment(`the page said:\n${said.slice(-20).join("\n")}`);
  }
  await page.close();
  t.equal(await stopDev(dev.child), 0);
});

/** At the edges of places that render: a browser that measures by requests only would not have asked. */
async function checkMeasuredByUdp(t: Test, portOffset: number): Promise<void> {
  const { edges, agents } = planMachine({ data: "unused", networksFile: "unused", portOffset });
  const rendering = new Set(agents.map(({ join }) => join?.pool));
  for (const { name, adminUrl } of edges.filter(({ join }) => rendering.has(join?.pool))) {
    const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
    const [, checks = "0"] = /^perigee_edge_node_udp_probes_total\{outcome="ok"\} (\d+)$/m.exec(metrics) ?? [];
    t.ok(Number(checks) > 0, `${name} has answered ${checks} checks over UDP`);
  }
}

const nodesSchema = Type.Object({
  items: Type.Array(
    Type.Object({
      status: Type.Optional(
        Type.Object({
          status: Type.Optional(
            Type.Object({
              agents: Type.Array(
                Type.Object({ ready: Type.Boolean(), slots: Type.Array(Type.Object({ free: Type.Number() })) }),
              ),
            }),
          ),
        }),
      ),
    }),
  ),
});

/** An agent that still measures what it can hold has nothing to give, and its pool is no candidate. */
async function untilBothRender(data: string): Promise<void> {
  await untilSo(
    "near and middle have slots",
    async () => JSON.parse((await perigee(data, "get", "nodes", "-o", "json")).out),
    (nodes) => {
      const { items } = Value.Parse(nodesSchema, Value.Clean(nodesSchema, nodes));
      const agentsOf = ({ status }: (typeof items)[number]) => status?.status?.agents ?? [];
      const rendering = items.filter((item) =>
        agentsOf(item).some(({ ready, slots }) => ready && slots.some(({ free }) => free > 0)),
      );
      return rendering.length >= 2;
    },
    { limitMs: FRAMES_MS_MAX },
  );
}

async function untilFrames(page: Page, count: number): Promise<void> {
  await page.waitForFunction(`(window.perigee?.framesDecoded() ?? 0) >= ${count}`, undefined, {
    timeout: FRAMES_MS_MAX,
  });
}

/** How the session was first placed: one that a loaded machine has starved of pictures may have moved since. */
async function checkPlaced(t: Test, data: string, page: Page): Promise<void> {
  const { session, decision } = Value.Parse(placementSchema, await page.evaluate("window.firstPlacement"));
  const { out: why } = await perigee(data, "why", decision);
  t.comment(why);
  t.match(why, new RegExp(`session ${session}, attempt 1`));
  for (const pool of ["near", "middle"]) t.match(why, new RegExp(`${pool}.*RTT [\\d.]+`), `${pool} is a candidate`);
  t.match(why, /limit of \w+: [\d.-]+ = budget/, "the budget and its parts");
  t.match(why, /far.*(fails \S+|no agent holds)/, "why not the pool that renders nothing");
}

/** The hall has a red column ahead and a green one to the right. */
async function checkFollowsHead(t: Test, page: Page): Promise<void> {
  const ahead = await coloursAt(page, 0);
  const right = await coloursAt(page, 90);
  const again = await coloursAt(page, 0);
  t.comment(`shares of the picture: ${JSON.stringify({ ahead, right, again })}`);
  for (const seen of [ahead, again]) t.ok(seen.red > SEEN && seen.green < UNSEEN, "ahead is the red column");
  t.ok(right.green > SEEN && right.red < UNSEEN, "to the right is the green one");
}

const coloursSchema = Type.Object({ red: Type.Number(), green: Type.Number() });

/** Of the newest picture that was rendered from a pose sampled after the head was turned: shares of its pixels. */
async function coloursAt(page: Page, yawDegrees: number): Promise<Static<typeof coloursSchema>> {
  await page.evaluate(`perigee.setHead({ yawDegrees: ${yawDegrees}, pitchDegrees: 0 })`);
  const turnedAfterPose = Number(await page.evaluate("perigee.posesSent()"));
  await page.waitForFunction(`perigee.lastPoseId() > ${turnedAfterPose}`, undefined, { timeout: FRAMES_MS_MAX });
  const shares = await page.evaluate(`(() => {
    const { rgba, widthPixels, heightPixels } = perigee.readPicture();
    let [red, green] = [0, 0];
    for (let at = 0; at < rgba.length; at += 4) {
      const [r, g, b] = [rgba[at], rgba[at + 1], rgba[at + 2]];
      if (r > 1.8 * g && r > 1.8 * b && r > 80) red += 1;
      if (g > 1.5 * r && g > 1.5 * b && g > 60) green += 1;
    }
    const pixels = widthPixels * heightPixels;
    return { red: red / pixels, green: green / pixels };
  })()`);
  return Value.Parse(coloursSchema, shares);
}

async function showLatency(t: Test, page: Page): Promise<void> {
  const latency: unknown = await page.evaluate("perigee.statistics().latency");
  const summary = Value.Parse(latencySchema, Value.Clean(latencySchema, latency));
  const { frameRateHz, ...parts } = summary;
  const shown = Object.entries(parts).map(([part, { p50, p95 }]) => `${part} ${p50.toFixed(1)} (${p95.toFixed(1)})`);
  t.comment(`p50 (p95) at ${frameRateHz.toFixed(1)} Hz: ${shown.join(", ")}`);
  t.ok(summary.remotePathMs.p50 > 0 && summary.remotePathMs.p95 >= summary.remotePathMs.p50);
  t.match(await page.innerText("#parts"), /render/i, "the page shows the parts");
}

/**
 * `kill -9` of the agent, by the page's button and then by signal: pictures always come back, and on a machine that other work leaves to the
 * session the same session goes on at another agent within three seconds.
 */
async function checkOutlivesAgent(t: Test, place: Place): Promise<void> {
  const recoveries: Recovery[] = [];
  const isAsPromised = ({ resumedMs, isOtherAgent, isSameSession }: Recovery) =>
    isSameSession && isOtherAgent && resumedMs <= RESUMED_MS_MAX;
  const kept = () => recoveries.filter(isAsPromised).length;
  const byButton = () => place.page.click("#kill");
  const bySignal = async (pid: number) => void process.kill(pid, "SIGKILL");
  while (recoveries.length < KILLS_MAX && kept() < KEPT_MIN) {
    await untilSettled(place);
    recoveries.push(await killAgent(t, place, recoveries.length === 0 ? byButton : bySignal));
  }
  t.match(await place.page.textContent("#killed"), /was killed: pictures came from \S+-gpu-1 \d+ ms later/);
  t.ok(kept() >= KEPT_MIN, `pictures were back: ${JSON.stringify(recoveries)}`);
  const { out: why } = await perigee(place.data, "why", "--session", (await stateOf(place.page)).session);
  t.comment(why);
  t.match(why, /decision d-.*attempt \d/);
}

/**
 * `kill -9` of the edge that the session signals through: pictures go on, which come from the agent, and once an edge is
 * back it watches the session again.
 */
async function checkOutlivesEdge(t: Test, { data, dev, page, portOffset }: Place): Promise<void> {
  const before = await stateOf(page);
  const { edges } = planMachine({ data, networksFile: "unused", portOffset });
  const edge = edges.find(({ join }) => join?.pool === before.pool);
  const pid = edge && pidsOf(data).get(edge.name);
  if (edge === undefined || pid === undefined) throw new Error(`pool ${before.pool} has no edge that runs`);
  const isReady = new RegExp(`${edge.name} is ready`);
  const starts = dev.notes.filter((note) => isReady.test(note)).length;
  const states = Number(await page.evaluate("window.states.length"));
  const decoded = Number(await page.evaluate("perigee.framesDecoded()"));
  const gapsSeen = await watchGaps(page);
  process.kill(pid, "SIGKILL");
  await dev.noted(isReady, starts + 1);
  const watches = () => Promise.all(edges.map(({ adminUrl }) => watchesAt(adminUrl)));
  await untilSo("an edge watches the session again", watches, (counts) => counts.includes(1));
  await untilFrames(page, decoded + FRAMES_MIN);
  const gaps = describeGaps(await gapsSeen());
  t.comment(`${edge.name} was killed; the longest gap between pictures until it was back and spoken to: ${gaps}`);
  t.equal((await stateOf(page)).session, before.session);
  const since = String(await page.evaluate(`window.states.slice(${states}).map(({ now }) => now).join(", ")`));
  t.comment(`states meanwhile: ${since === "" ? "none but that" : since}`);
}

async function watchesAt(adminUrl: string): Promise<number> {
  const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
  return Number(/^perigee_edge_node_session_watches (\d+)$/m.exec(metrics)?.[1] ?? 0);
}

interface Place {
  readonly portOffset: number;
  readonly data: string;
  readonly dev: Dev;
  readonly page: Page;
}

interface Recovery {
  readonly resumedMs: number;
  readonly isOtherAgent: boolean;
  readonly isSameSession: boolean;
}

/** An agent that measures what it can hold takes the cores that the session runs on, and has no slot for it. */
async function untilSettled({ data, page, portOffset }: Place): Promise<void> {
  const { agents } = planMachine({ data, networksFile: "unused", portOffset });
  const measured = () => Promise.all(agents.map(({ adminUrl }) => hasSlots(adminUrl)));
  await untilSo("every agent has slots", measured, (all) => all.every(Boolean), { limitMs: FRAMES_MS_MAX });
  await untilFrames(page, Number(await page.evaluate("perigee.framesDecoded()")) + FRAMES_MIN);
}

/** The killed agent is started again before this returns. */
async function killAgent(
  t: Test,
  { data, dev, page, portOffset }: Place,
  kill: (pid: number) => Promise<void>,
): Promise<Recovery> {
  const before = await stateOf(page);
  const pid = pidsOf(data).get(before.agent);
  if (pid === undefined) throw new Error(`${before.agent} has no process`);
  const isReady = new RegExp(`${before.agent} is ready`);
  const starts = dev.notes.filter((note) => isReady.test(note)).length;
  const { agents } = planMachine({ data, networksFile: "unused", portOffset });
  await using holders = watchHolders(agents.map(({ adminUrl }) => adminUrl));
  const killedAtMs = systemClock.monotonicMs();
  await kill(pid);
  const grant = `(({ phase, session, attempt }) => phase === "running" ? session + attempt : "")(perigee.state())`;
  const isBack = `(() => {
    if (${grant} === "" || ${grant} === "${before.session}${before.attempt}") return false;
    window.framesThen ??= perigee.framesDecoded();
    return perigee.framesDecoded() > window.framesThen;
  })()`;
  await page.evaluate("delete window.framesThen");
  await page.waitForFunction(isBack, undefined, { timeout: FRAMES_MS_MAX, polling: 20 });
  const resumedMs = Math.round(systemClock.monotonicMs() - killedAtMs);
  const after = await stateOf(page);
  const isSameSession = after.session === before.session;
  const session = isSameSession ? "the same session" : "another session";
  t.comment(`${before.agent} was killed; pictures after ${resumedMs} ms from ${after.agent}, ${session}`);
  t.comment(describeComingUp(await readComingUp(page)));
  if (resumedMs > RESUMED_MS_MAX) t.comment((await perigee(data, "why", "--session", before.session)).out);
  t.ok(
    holders.looks > 0 && holders.most <= 1,
    `${holders.looks} looks at all agents: they held ${holders.most} sessions at most`,
  );
  await dev.noted(isReady, starts + 1);
  return { resumedMs, isOtherAgent: after.agent !== before.agent, isSameSession };
}
