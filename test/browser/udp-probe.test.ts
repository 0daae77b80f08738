/** A real browser measures an edge over UDP, through a link that is some milliseconds long. */
import t from "tap";
import Type from "typebox";
import { Value } from "typebox/value";
import { startUdpProbes } from "#edge-node/measurement/udp-probes.ts";
import { systemClock } from "#platform/clock.ts";
import { startUdpLink } from "#platform/links/udp-link.ts";
import { systemRandom } from "#platform/random.ts";
import { launchChromium } from "../chromium/chromium.ts";
import { bundleClientScript } from "./script-page.ts";

const RTT_MS = 20;
const ENTRY = `
  import { browserClock as clock } from "./clock.ts";
  import { sampleByUdp } from "./probe/udp-samples.ts";
  window.sample = (target, ms) => sampleByUdp(target, { count: 3, clock, signal: clock.deadline(ms), onFirst() {} });
`;

t.test("three samples, none shorter than the way; none of who does not answer, or not to this user", async (t) => {
  let answered = 0;
  const events = {
    udpProbeAnswered: () => {
      answered += 1;
    },
    udpProbeRefused() {},
    udpProbesBroke: (error: Error) => t.fail(String(error)),
  };
  const listen = { host: "127.0.0.1", port: 0 };
  const probes = await startUdpProbes({ listen, address: undefined, random: systemRandom, events });
  t.teardown(() => probes[Symbol.asyncDispose]());
  const { address: host, port } = probes.target;
  const sources = { clock: systemClock, random: systemRandom };
  const link = await startUdpLink({ listen, target: { host, port }, rttMs: RTT_MS, ...sources });
  t.teardown(() => link[Symbol.asyncDispose]());
  const browser = await launchChromium({ arguments: [], width: 300, height: 200 });
  t.teardown(() => browser[Symbol.asyncDispose]());
  const page = await browser.context.newPage();
  await page.goto("data:text/html,measuring");
  await page.evaluate(await bundleClientScript(ENTRY));
  const sample = async (target: object, ms: number) =>
    Value.Parse(Type.Array(Type.Number()), await page.evaluate(`sample(${JSON.stringify(target)}, ${ms})`));
  const target = { ...probes.target, ...{ address: link.address.host, port: link.address.port } };
  const rttMs = await sample(target, 20_000);
  t.comment(`samples over ${RTT_MS} ms: ${rttMs.join(" ")}`);
  t.equal(rttMs.length, 3);
  t.ok(
    rttMs.every((ms) => ms >= RTT_MS),
    rttMs.join(" "),
  );
  t.ok(answered >= 3);
  t.same(await sample({ ...target, password: "w".repeat(32) }, 500), [], "a check that nobody answers is no sample");
});
