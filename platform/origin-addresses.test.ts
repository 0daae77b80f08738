/** The origins that a node dials in turn, and where it asks for what goes beside its link. */
import t from "tap";
import { type AnyResource, API_VERSION } from "#domain/resource.ts";
import { formatAddress } from "./address.ts";
import { OriginAddresses } from "./origin-addresses.ts";
import { seededRandom } from "./random.ts";

const at = (host: string) => ({ enrolment: `${host}:2`, nodeRpc: `${host}:1`, delivery: `${host}:3` });
const setOf = (...endpoints: ReturnType<typeof at>[]): Map<string, AnyResource> =>
  new Map(
    endpoints.map((spec, index) => [
      `OriginEndpoint/o${index}`,
      {
        ...{ apiVersion: API_VERSION, kind: "OriginEndpoint", spec },
        metadata: { name: `o${index}`, labels: {}, generation: 1, resourceVersion: 1, createdAtMs: 1 },
      },
    ]),
  );

t.test("each attempt dials the next one; what goes beside the link follows it, then the others", async (t) => {
  const origins = new OriginAddresses([at("a"), at("b")], seededRandom(1));
  const set = { resources: setOf() };
  origins.learnFrom(set);
  const dialled = [origins.dial(), origins.dial()].map(formatAddress);
  t.same([...dialled].sort(), ["a:1", "b:1"]);
  t.equal(formatAddress(origins.dial()), dialled[0], "and round again");
  const first = dialled[0]?.[0];
  t.equal(formatAddress(origins.current("delivery")), `${first}:3`);
  t.same(origins.addresses("enrolment").map(formatAddress), [`${first}:2`, `${dialled[1]?.[0]}:2`]);

  set.resources = setOf(at("c"));
  const round = [origins.dial(), origins.dial(), origins.dial()].map(formatAddress);
  t.same([...round].sort(), ["a:1", "b:1", "c:1"], "the set has another one now");
  set.resources = setOf();
  t.notOk([origins.dial(), origins.dial()].map(formatAddress).includes("c:1"));
});

t.test("a configured address that is none is a fault; one of the set is passed by", async (t) => {
  t.throws(() => new OriginAddresses([at("a"), { ...at("b"), delivery: "b" }], seededRandom(1)), {
    code: "argument-invalid",
  });
  const origins = new OriginAddresses([at("a")], seededRandom(1));
  origins.learnFrom({ resources: setOf({ ...at("b"), enrolment: "[::::]:2" }) });
  t.same([origins.dial(), origins.dial()].map(formatAddress), ["a:1", "a:1"]);
});
