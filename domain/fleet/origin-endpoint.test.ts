/** Which origins a node knows: its own configuration's and the set's, each once, no more than so many. */
import t from "tap";
import { type AnyResource, API_VERSION } from "../resource.ts";
import { knownOrigins, ORIGIN_ENDPOINTS_MAX, type OriginEndpointSpec } from "./origin-endpoint.ts";

const at = (host: string): OriginEndpointSpec => ({
  ...{ enrolment: `${host}:7402`, nodeRpc: `${host}:7401`, delivery: `${host}:7403` },
});
const metadata = { labels: {}, generation: 1, resourceVersion: 1, createdAtMs: 1 };
const resource = (name: string, spec = at(name)): AnyResource => ({
  ...{ apiVersion: API_VERSION, kind: "OriginEndpoint", metadata: { name, ...metadata }, spec },
});
const purge: AnyResource = {
  ...{ apiVersion: API_VERSION, kind: "Purge", metadata: { name: "p", ...metadata } },
  spec: { site: "shop", match: { kind: "all" }, soft: false, atMs: 1 },
};

t.test("the configuration's first, then the set's, each once", async (t) => {
  const other = { ...at("a"), delivery: "elsewhere:1" };
  const resources = [resource("b"), purge, resource("again", other), resource("c")];
  t.same(knownOrigins([at("a"), at("z")], resources), [at("a"), at("z"), at("b"), at("c")]);
  t.same(knownOrigins([at("a")], []), [at("a")], "what a node knows before its first set");
});

t.test("neither crowds out the other", async (t) => {
  const names = Array.from({ length: 40 }, (_, index) => `h${index}`);
  const known = knownOrigins(
    names.map((name) => at(name)),
    names.map((name) => resource(`x${name}`)),
  );
  t.equal(known.length, 2 * ORIGIN_ENDPOINTS_MAX);
  t.equal(known.filter(({ nodeRpc }) => nodeRpc.startsWith("x")).length, ORIGIN_ENDPOINTS_MAX);
});
