import t from "tap";
import type { KindAndSpec } from "./contradictions.ts";
import { findReferenceWarnings, type KnownNames } from "./reference-warnings.ts";

const known: KnownNames = { RenderApp: ["hall", "yard"], Site: ["shop"], NodePool: ["near", "far"] };
const none: KnownNames = { RenderApp: [], Site: [], NodePool: [] };
const messages = (resource: KindAndSpec, names = known) =>
  findReferenceWarnings(resource, names).map(({ pointer, message }) => `${pointer} ${message}`);
const placement = (
  apps: readonly string[],
  sites: readonly string[],
  countries: readonly string[] = [],
): KindAndSpec => ({
  kind: "PlacementPolicy",
  spec: {
    ...{ apps, sites, latencyBudgetMs: {}, constraints: [], preferences: [], match: { countries } },
    ...{ capacityReserveRatio: 0, onNoFit: "queue", sessionSecondsMax: 60, stickinessMs: 1 },
  },
});

t.test("apps, sites and pools that there are not are told with the nearest that there are", async (t) => {
  t.same(messages(placement(["hall", "hal"], ["shopp"])), [
    "/spec/apps/1 spec.apps[1]: there is no RenderApp hal: did you mean hall?",
    "/spec/sites/0 spec.sites[0]: there is no Site shopp: did you mean shop?",
  ]);
  t.same(messages({ kind: "ContentPolicy", spec: { sites: ["wiki", "shop"], prefetch: "all" } }), [
    "/spec/sites/0 spec.sites[0]: there is no Site wiki",
  ]);
  t.same(messages({ kind: "RolloutPolicy", spec: { waves: [{ pools: ["near"] }, { pools: ["far", "fra"] }] } }), [
    "/spec/waves/1/pools/1 spec.waves[1].pools[1]: there is no NodePool fra: did you mean far?",
  ]);
  t.same(messages(placement(["hall"], ["shop"])), []);
});

t.test("of a kind of which there is nothing all is to come", async (t) => {
  t.same(messages(placement(["hal"], ["shopp"]), none), []);
  t.equal(messages(placement(["hal"], ["shopp"]), { ...none, Site: ["shop"] }).length, 1);
});

t.test("a country's code that is none is told with the one that stands for it", async (t) => {
  t.same(messages(placement(["hall"], [], ["DE", "UK", "EU"])), [
    "/spec/match/countries/1 spec.match.countries[1]: UK is no country of ISO 3166-1: did you mean GB?",
    "/spec/match/countries/2 spec.match.countries[2]: EU is no country of ISO 3166-1, and matches no client",
  ]);
});
