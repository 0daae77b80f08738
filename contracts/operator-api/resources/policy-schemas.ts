/** The schemas of what operators say about placement and content. */
import Type, { type TSchema } from "typebox";
import { COUNTRY_PATTERN } from "#domain/pattern-words.ts";
import { EXPRESSION_LENGTH_MAX } from "#domain/policy/expressions.ts";
import {
  CAPACITY_RESERVE_RATIO_MAX,
  LATENCY_BUDGET_MS_MAX,
  LATENCY_BUDGET_MS_MIN,
  NEIGHBOUR_KM_DEFAULT,
  NEIGHBOUR_KM_MAX,
  NO_FIT_ACTIONS,
  TIERS,
} from "#domain/policy/placement-policy.ts";
import {
  TIME_ZONE_DEFAULT,
  WEEKDAYS,
  WINDOW_END_PATTERN,
  WINDOW_START_PATTERN,
} from "#domain/policy/prefetch-window.ts";
import { closed, count, label, labelsSchema, labelValue, name, seconds, specSchema } from "./fields.ts";

/** A list that is longer says it by a label, a tenant or a table of networks. */
export const MATCH_ENTRIES_MAX = 256;
export const POLICY_REQUIREMENTS_MAX = 32;
export const POLICY_PRIORITY_MAX = 1_000_000;
/** Two a day of a week, and some. */
export const PREFETCH_WINDOWS_MAX = 16;
/** Twice the longest that there is. */
export const TIME_ZONE_LENGTH_MAX = 64;
const requirement = {
  label,
  operator: Type.Enum(["In", "NotIn", "Exists", "DoesNotExist"]),
  values: Type.Optional(Type.Array(labelValue, { maxItems: 64 })),
};
const budget = Type.Optional(Type.Number({ minimum: LATENCY_BUDGET_MS_MIN, maximum: LATENCY_BUDGET_MS_MAX }));

const bonusMs = Type.Number({ minimum: -1000, maximum: 1000 });
const expression = (of: string) =>
  Type.String({ minLength: 1, maxLength: EXPRESSION_LENGTH_MAX, description: `CEL, true or false, of ${of}` });
const ofPool = { expression: expression("pool.name, pool.region, pool.labels, pool.latitude, pool.longitude") };
const entries = (item: TSchema) => ({ minItems: 1, maxItems: MATCH_ENTRIES_MAX, ...item });
const ratio = Type.Number({ minimum: 0, maximum: 1 });
const points = Type.Number({ minimum: 0, maximum: 100 });

const policyMatch = Type.Object(
  {
    tenants: Type.Optional(Type.Array(name(), entries({ description: "of app tokens" }))),
    countries: Type.Optional(
      Type.Array(Type.String({ pattern: COUNTRY_PATTERN }), entries({ description: "ISO 3166-1 alpha-2" })),
    ),
    asns: Type.Optional(Type.Array(Type.Integer({ minimum: 1, maximum: 4_294_967_295 }), entries({}))),
    cidrs: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), entries({}))),
    tiers: Type.Optional(Type.Array(Type.Enum([...TIERS]), entries({}))),
    expression: Type.Optional(
      expression("client.tenant, client.country, client.asn, client.address, device.decodeMs, app, site, tier"),
    ),
  },
  { ...closed, description: "whom the policy is for: one of each list that is there; anybody where there is none" },
);

const placementPolicyParts = {
  priority: Type.Optional(
    Type.Integer({
      minimum: -POLICY_PRIORITY_MAX,
      maximum: POLICY_PRIORITY_MAX,
      description: "the highest goes first",
    }),
  ),
  match: Type.Optional(policyMatch),
  capacityReserve: Type.Optional(
    Type.Object(
      {
        ratio: Type.Optional(Type.Number({ minimum: 0, maximum: CAPACITY_RESERVE_RATIO_MAX })),
        largestNeighbour: Type.Boolean({
          default: false,
          description: "whether pools within withinKm keep as many slots free as the largest of them has",
        }),
        withinKm: Type.Number({ minimum: 1, maximum: NEIGHBOUR_KM_MAX, default: NEIGHBOUR_KM_DEFAULT }),
      },
      closed,
    ),
  ),
  spread: Type.Optional(
    Type.Object(
      {
        over: Type.Enum(["pool", "region"]),
        shareMax: Type.Number({ minimum: 0.01, maximum: 1, description: "of an app's sessions in one of them" }),
        penaltyMs: Type.Optional(
          Type.Number({
            minimum: 0,
            maximum: 1000,
            description: "beyond the share; without it nothing is placed there",
          }),
        ),
      },
      closed,
    ),
  ),
  stability: Type.Optional(
    Type.Object(
      {
        gainMs: Type.Optional(Type.Number({ minimum: 0, maximum: 1000 })),
        gainRatio: Type.Optional(ratio),
        sustainedSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400 })),
        movesPerMinuteMax: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
      },
      { ...closed, description: "what it takes to move a session that could go on where it is" },
    ),
  ),
  guardRails: Type.Optional(
    Type.Object(
      {
        shareWithinLimitMin: Type.Optional(ratio),
        shareWithinLimitMayFallByPoints: Type.Optional(points),
        refusalsMayRiseByPoints: Type.Optional(points),
        movesMax: Type.Optional(count),
        fillBytesMax: Type.Optional(count),
      },
      { ...closed, description: "how much worse a change of this policy may make things, by a simulation of it" },
    ),
  ),
};

export const placementPolicy = specSchema<"PlacementPolicy">()(
  Type.Object(
    {
      apps: Type.Array(name(), { maxItems: 256, default: [] }),
      sites: Type.Array(name(), { maxItems: 256, default: [] }),
      latencyBudgetMs: Type.Object({ strict: budget, standard: budget, relaxed: budget }, { ...closed, default: {} }),
      constraints: Type.Array(Type.Union([Type.Object(requirement, closed), Type.Object(ofPool, closed)]), {
        maxItems: POLICY_REQUIREMENTS_MAX,
        default: [],
      }),
      preferences: Type.Array(
        Type.Union([Type.Object({ ...requirement, bonusMs }, closed), Type.Object({ ...ofPool, bonusMs }, closed)]),
        { maxItems: POLICY_REQUIREMENTS_MAX, default: [] },
      ),
      capacityReserveRatio: Type.Number({ minimum: 0, maximum: CAPACITY_RESERVE_RATIO_MAX, default: 0 }),
      onNoFit: Type.Enum([...NO_FIT_ACTIONS], { default: "degrade" }),
      sessionSecondsMax: Type.Integer({ minimum: 10, maximum: 86_400, default: 14_400 }),
      stickinessMs: Type.Number({ minimum: 0, maximum: 100, default: 2 }),
      ...placementPolicyParts,
    },
    closed,
  ),
);

const prefetchWindows = Type.Array(
  Type.Object(
    {
      days: Type.Optional(
        Type.Array(Type.Enum([...WEEKDAYS]), {
          minItems: 1,
          maxItems: WEEKDAYS.length,
          description: "on which it begins; every day where it is not given",
        }),
      ),
      from: Type.String({
        pattern: WINDOW_START_PATTERN,
        description: "HH:MM on the clock of the time zone, included",
      }),
      to: Type.String({
        pattern: WINDOW_END_PATTERN,
        description: "HH:MM, not included; of the next day where it is before `from`",
      }),
      timeZone: Type.Optional(
        Type.String({
          pattern: "^[A-Za-z][A-Za-z0-9_+/-]*$",
          maxLength: TIME_ZONE_LENGTH_MAX,
          description: `of the IANA database; ${TIME_ZONE_DEFAULT} where it is not given`,
        }),
      ),
    },
    closed,
  ),
  { minItems: 1, maxItems: PREFETCH_WINDOWS_MAX },
);

export const contentPolicy = specSchema<"ContentPolicy">()(
  Type.Object(
    {
      sites: Type.Array(name(), { minItems: 1, maxItems: 256 }),
      replicas: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
      residency: Type.Optional(labelsSchema),
      prefetch: Type.Union([Type.Enum(["all", "none"]), Type.Object({ windows: prefetchWindows }, closed)], {
        default: "all",
        description: "when copies that nobody has asked for may begin",
      }),
      offline: Type.Optional(
        Type.Object({ maxStaleSeconds: Type.Optional(seconds), denyAfterSeconds: Type.Optional(seconds) }, closed),
      ),
    },
    closed,
  ),
);
