/** An edge that knows several ways to its origin, by its configuration and by the set: those that are dead, that change, and a restart. */
import { join } from "node:path";
import t, { type Test } from "tap";
import { formatAddress, parseAddress } from "#platform/address.ts";
import { systemClock } from "#platform/clock.ts";
import { startTcpLink, type TcpLink } from "#platform/links/tcp-link.ts";
import { systemRandom } from "#platform/random.ts";
import { testFolder } from "#test/test-folder.ts";
import {
  api,
  type Cloud,
  document,
  type EdgeSettings,
  get,
  hasBody,
  joinSettings,
  publish,
  shop,
  startCloud,
  startEdgeHere,
  untilAnswer,
} from "./edge-and-origin.ts";

const LISTENERS = ["enrolment", "nodeRpc", "delivery"] as const;
type Way = Readonly<Record<(typeof LISTENERS)[number], TcpLink>>;

/** An origin's three listeners behind links: what a second origin of the same log would be to an edge. */
async function openWay(t: Test, cloud: Cloud): Promise<Way> {
  const open = async (listener: (typeof LISTENERS)[number]): Promise<TcpLink> => {
    const target = parseAddress(cloud.listen[listener] ?? "");
    const listen = { host: "127.0.0.1", port: 0 };
    const link = await startTcpLink({ listen, target, rttMs: 0, clock: systemClock, random: systemRandom });
    t.teardown(() => link[Symbol.asyncDispose]());
    return link;
  };
  const [enrolment, nodeRpc, delivery] = await Promise.all([open("enrolment"), open("nodeRpc"), open("delivery")]);
  return { enrolment, nodeRpc, delivery };
}

const each = (way: Way, act: (link: TcpLink) => void): void => {
  for (const listener of LISTENERS) act(way[listener]);
};
const cut = (way: Way): void => each(way, (link) => link.cut());
const textsOf = ({ enrolment, nodeRpc, delivery }: Way) => ({
  ...{ enrolment: formatAddress(enrolment.address), nodeRpc: formatAddress(nodeRpc.address) },
  delivery: formatAddress(delivery.address),
});

const withOrigin = (joined: EdgeSettings, origin: object): EdgeSettings => ({
  ...joined,
  settings: { ...joined.settings, origin },
});

const endpoint = (name: string, way: Way) => document("OriginEndpoint", name, textsOf(way));

for (const dead of ["refuses", "swallows"] as const) {
  t.test(`of two configured origins one ${dead} all that is sent: the edge is linked by the other`, async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    await api(cloud, "POST", "/v1/apply", { documents: [shop] });
    await publish(cloud, "shop", { "/index.html": "one" });
    const [bad, good] = [await openWay(t, cloud), await openWay(t, cloud)];
    each(bad, (link) => (dead === "refuses" ? link.cut() : link.halfOpen()));
    const joined = await joinSettings(cloud, folder, "near-1");
    const edge = await startEdgeHere(t, withOrigin(joined, { ...textsOf(bad), others: [textsOf(good)] }));
    await untilAnswer(() => get(edge.addresses.content, "/"), hasBody("one"), "served");
    // Whichever was first: the turn after the good one is the bad one's.
    each(good, (link) => {
      link.cut();
      link.restore();
    });
    await publish(cloud, "shop", { "/index.html": "two" });
    await untilAnswer(() => get(edge.addresses.content, "/"), hasBody("two"), "linked again");
    t.ok(bad.nodeRpc.connectionsTaken > 0, "the dead one was tried");
  });
}

t.test(
  "what the set names is dialled as it changes, and after a start at which nothing configured is there",
  async (t) => {
    const folder = testFolder(t);
    const cloud = await startCloud(t, join(folder, "origin"));
    const [first, second, third] = [await openWay(t, cloud), await openWay(t, cloud), await openWay(t, cloud)];
    await api(cloud, "POST", "/v1/apply", { documents: [shop] });
    await publish(cloud, "shop", { "/index.html": "one" });
    const settings = withOrigin(await joinSettings(cloud, folder, "near-1"), textsOf(first));
    const edge = await startEdgeHere(t, settings);
    const serves = (text: string, at = edge) => untilAnswer(() => get(at.addresses.content, "/"), hasBody(text), text);
    await serves("one");

    await api(cloud, "POST", "/v1/apply", { documents: [endpoint("b", second)] });
    // Behind the endpoint in the log: who serves it knows the endpoint.
    await publish(cloud, "shop", { "/index.html": "two" });
    await serves("two");
    t.equal(second.nodeRpc.connectionsTaken, 0, "a link that stands is left alone");
    cut(first);
    await publish(cloud, "shop", { "/index.html": "three" });
    await serves("three");
    t.ok(second.nodeRpc.connectionsTaken > 0 && second.delivery.connectionsTaken > 0, "by the second way");

    await api(cloud, "POST", "/v1/apply", { documents: [endpoint("b", third)] });
    await publish(cloud, "shop", { "/index.html": "four" });
    await serves("four");
    cut(second);
    await publish(cloud, "shop", { "/index.html": "five" });
    await serves("five");
    t.ok(third.nodeRpc.connectionsTaken > 0 && third.delivery.connectionsTaken > 0, "by the third");

    await edge[Symbol.asyncDispose]();
    await publish(cloud, "shop", { "/index.html": "six" });
    const taken = third.nodeRpc.connectionsTaken;
    await serves("six", await startEdgeHere(t, settings));
    t.ok(third.nodeRpc.connectionsTaken > taken, "nothing that is configured was there");
  },
);
