import fc from "fast-check";
import t from "tap";
import { rankMembers } from "#domain/placement/bounded-load-hash.ts";
import {
  ASKED_PATIENCE_MS_MAX,
  decideFillStep,
  FILL_FAN_OUT,
  FILL_PATIENCE_MS_MAX,
  type FillAnswer,
  type FillFacts,
  FURTHER_UP_MS,
  HEIRS_ASKED_MAX,
  HOLDER_PATIENCE_MS_MAX,
  HOLDERS_ASKED_MAX,
} from "./fill-plan.ts";

const digestOf = (seed: number) => seed.toString(16).padStart(64, "0");
const namesOf = (count: number) => Array.from({ length: count }, (_, index) => `near-${index}`);
const viewOf = (self: string, names: readonly string[], isMember = true) => ({
  self,
  isMember,
  siblings: names.filter((name) => name !== self).map((name) => ({ name, pool: "near", address: `${name}.test:1` })),
});
const factsOf = (self: string, names: readonly string[], more: Partial<FillFacts> = {}): FillFacts => ({
  view: viewOf(self, names),
  isAnswering: () => true,
  answers: new Map(),
  waitedMs: 0,
  isAhead: true,
  holdersAsked: new Set(),
  holdersBusy: new Set(),
  isOriginDown: false,
  hasOriginFailed: false,
  ...more,
});
const seeds = fc.nat({ max: 1_000_000 });

t.test(
  "of edges that see the same one asks the origin, each other one of those before it, none is asked by more than four",
  async (t) => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 60 }), fc.nat(), (seed, count, deadBits) => {
        const digest = digestOf(seed);
        const names = namesOf(count);
        const alive = names.filter((_, index) => index === 0 || ((deadBits >> (index % 31)) & 1) === 0);
        const ranked = rankMembers(digest, alive);
        const askedBy = new Map<string, number>();
        const holdersAsked = new Set(Array.from({ length: HEIRS_ASKED_MAX }, (_, at) => `had-none-${at}`));
        for (const self of alive) {
          const step = decideFillStep(
            digest,
            factsOf(self, names, { isAnswering: (name) => alive.includes(name), holdersAsked }),
          );
          if (self === ranked[0]) {
            t.equal(step.kind, "origin", `${self} of ${count}`);
            continue;
          }
          if (step.kind !== "ask-to-fetch") return void t.fail(`${self} of ${count}: ${step.kind}`);
          t.ok(ranked.indexOf(step.peer.name) < ranked.indexOf(self), `${self} asks ${step.peer.name}`);
          askedBy.set(step.peer.name, (askedBy.get(step.peer.name) ?? 0) + 1);
        }
        t.ok(Math.max(0, ...askedBy.values()) <= FILL_FAN_OUT, JSON.stringify([...askedBy]));
      }),
      { numRuns: 60 },
    );
  },
);

t.test("whatever each edge believes of the others, nobody waits for itself over others", async (t) => {
  const answersOf = (bits: number): ReadonlyMap<string, FillAnswer> =>
    new Map(
      namesOf(12).flatMap((name, index): [string, FillAnswer][] => {
        const kind = (["busy", "absent", "unable"] as const)[(bits >> index) % 5];
        return kind === undefined ? [] : [[name, kind]];
      }),
    );
  fc.assert(
    fc.property(seeds, fc.array(fc.nat(), { minLength: 24, maxLength: 24 }), (seed, beliefs) => {
      const digest = digestOf(seed);
      const order = rankMembers(digest, namesOf(12));
      for (const [index, self] of namesOf(12).entries()) {
        const known = namesOf(12).filter((_, at) => (((beliefs[index] ?? 0) >> at) & 1) === 0 || at === index);
        const bits = beliefs[index + 12] ?? 0;
        const facts = factsOf(self, known, { answers: answersOf(bits), waitedMs: bits % (2 * FURTHER_UP_MS) });
        const step = decideFillStep(digest, facts);
        if (step.kind === "ask-to-fetch" || step.kind === "wait") {
          t.ok(order.indexOf(step.peer.name) < order.indexOf(self), `${self} ${step.kind} ${step.peer.name}`);
        }
      }
    }),
    { numRuns: 100 },
  );
});

const digest = digestOf(7);
const names = namesOf(12);
const ranked = rankMembers(digest, names);
const [first = "", second = "", third = ""] = ranked;
const last = ranked.at(-1) ?? "";
const kindsOf = (self: string, more: Partial<FillFacts>) => {
  const step = decideFillStep(digest, factsOf(self, names, more));
  return "peer" in step ? `${step.kind} ${step.peer.name}` : step.kind;
};

t.test(
  "whoever has one before itself waits, however long that takes, up to a limit; then it asks the origin",
  async (t) => {
    t.equal(kindsOf(last, {}), `ask-to-fetch ${third}`, "its parent in the tree");
    const busy: ReadonlyMap<string, FillAnswer> = new Map([[third, "busy"]]);
    t.equal(kindsOf(last, { answers: busy }), `wait ${third}`, "a busy one is not passed by");
    t.equal(kindsOf(last, { answers: busy, waitedMs: FURTHER_UP_MS }), `ask-to-fetch ${first}`, "after a while");
    t.equal(kindsOf(last, { answers: new Map([[third, "absent"]]) }), `ask-to-fetch ${first}`, "it may be cut off");
    const none: ReadonlyMap<string, FillAnswer> = new Map([
      [third, "absent"],
      [first, "busy"],
    ]);
    t.equal(kindsOf(last, { answers: none, waitedMs: FILL_PATIENCE_MS_MAX - 1 }), `wait ${third}`);
    const holdersAsked = new Set([first, second]);
    t.equal(kindsOf(last, { answers: none, waitedMs: FILL_PATIENCE_MS_MAX, holdersAsked }), "origin");
    const asked = { answers: none, isAhead: false, holdersAsked };
    t.equal(kindsOf(last, { ...asked, waitedMs: ASKED_PATIENCE_MS_MAX - 1 }), `wait ${third}`);
    t.equal(kindsOf(last, { ...asked, waitedMs: ASKED_PATIENCE_MS_MAX }), "origin", "a request waits");
  },
);

t.test("the origin is asked by who has nobody before itself, after those that may have it", async (t) => {
  t.equal(kindsOf(second, { answers: new Map([[first, "unable"]]) }), `ask-holder ${first}`);
  t.equal(kindsOf(first, { holdersAsked: new Set([second]) }), `ask-holder ${third}`);
  const two = new Set([second, third]);
  t.equal(two.size, HOLDERS_ASKED_MAX);
  t.equal(kindsOf(first, { holdersAsked: two }), "origin");
  const isAnswering = (name: string) => name !== first;
  t.match(kindsOf(second, { isAnswering, holdersAsked: new Set([third, last]) }), /^ask-holder /, "an heir asks more");
  const heirs = new Set(ranked.slice(2, 2 + HEIRS_ASKED_MAX));
  t.equal(kindsOf(second, { isAnswering, holdersAsked: heirs }), "origin");
  for (const facts of [{ hasOriginFailed: true }, { isOriginDown: true }]) {
    t.match(kindsOf(first, { ...facts, holdersAsked: heirs }), /^ask-holder /, "all that may have it");
  }
  t.equal(kindsOf(first, { hasOriginFailed: true, holdersAsked: new Set(names) }), "give-up");
  t.equal(kindsOf(first, { isOriginDown: true, holdersAsked: new Set(names) }), "origin", "it may be back");
});

t.test("one that may have it and is slow is waited for, after the others were asked, for a while", async (t) => {
  const holdersBusy = new Set([second]);
  t.equal(kindsOf(first, { holdersBusy }), `ask-holder ${third}`);
  const holdersAsked = new Set([third]);
  t.equal(kindsOf(first, { holdersBusy, holdersAsked }), `wait ${second}`);
  t.equal(kindsOf(first, { holdersBusy, holdersAsked, waitedMs: HOLDER_PATIENCE_MS_MAX }), "origin");
});

t.test(
  "a pool of one and a pool without relay ask the origin at once; an edge that listens to none asks any",
  async (t) => {
    t.same(decideFillStep(digestOf(1), factsOf("near-0", ["near-0"])), { kind: "origin" });
    t.same(decideFillStep(digestOf(1), factsOf("near-0", [], { view: viewOf("near-0", [], false) })), {
      kind: "origin",
    });
    const outside = factsOf("apart", namesOf(3), { view: viewOf("apart", namesOf(3), false) });
    t.equal(decideFillStep(digestOf(1), outside).kind, "ask-to-fetch");
  },
);
