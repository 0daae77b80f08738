/** Why a decision is as it is, and why a session is not in a pool: for operators. */
import Type from "typebox";
import { Failure } from "#domain/failure.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { nearestNames } from "#domain/nearest-names.ts";
import type { ApiServer } from "#platform/http/api-server.ts";
import { type ExplainedDecision, type ExplainStore, explained } from "../explain/explain-store.ts";
import { answerWhyNot } from "../explain/why-not.ts";
import type { DesiredView } from "../facts/desired-view.ts";
import type { SteeringService } from "../steering/steering-service.ts";
import { type AccessPorts, authoriseOperator } from "./access.ts";

const closed = { additionalProperties: false };
const site = Type.String({ pattern: NAME_PATTERN });
const text = Type.String({ minLength: 1, maxLength: 128 });
const explainedSchema = Type.Object({ decision: Type.String(), lines: Type.Array(Type.String()) }, closed);

export interface WhyParts {
  readonly access: AccessPorts;
  readonly explain: ExplainStore;
  readonly steering: Pick<SteeringService, "explain">;
  readonly view: () => DesiredView;
}

export function addWhyRoutes(server: ApiServer, parts: WhyParts): void {
  const { access, explain, steering } = parts;
  addWhyNotRoute(server, parts);
  const response = { 200: explainedSchema };
  server.get(
    "/v1/why/:decision",
    { schema: { params: Type.Object({ decision: text }, closed), response } },
    async (request) => {
      await authoriseOperator(access, request.headers, "read");
      const { decision } = request.params;
      return known(explained(await explain.find(decision)), `decision ${decision}`);
    },
  );
  const query = Type.Object(
    { session: Type.Optional(text), site: Type.Optional(site), client: Type.Optional(text) },
    closed,
  );
  server.get("/v1/why", { schema: { querystring: query, response } }, async (request) => {
    await authoriseOperator(access, request.headers, "read");
    const { session, site, client } = request.query;
    if (session !== undefined) {
      return known(explained(await explain.findSession(session)), `a decision on session ${session}`);
    }
    if (site !== undefined && client !== undefined) {
      return known(explain.explain(steering.explain(site, client)), `the decision on ${site}`);
    }
    throw new Failure("argument-invalid", "give `session`, or `site` and `client`");
  });
}

const whyNotSchema = Type.Object(
  {
    ...{ decision: Type.String(), pool: Type.String(), rule: Type.Optional(Type.String()) },
    verdict: Type.Enum(["chosen", "filtered", "outscored", "not-considered"]),
    ...{ changes: Type.Array(Type.String()), lines: Type.Array(Type.String()) },
  },
  closed,
);

function addWhyNotRoute(server: ApiServer, { access, explain, view }: WhyParts): void {
  const querystring = Type.Object({ session: Type.Optional(text), decision: Type.Optional(text) }, closed);
  const params = Type.Object({ pool: text }, closed);
  server.get(
    "/v1/why-not/:pool",
    { schema: { params, querystring, response: { 200: whyNotSchema } } },
    async (request) => {
      await authoriseOperator(access, request.headers, "read");
      const { session, decision } = request.query;
      const found = await findSessionDecision(explain, { session, decision });
      const name = request.params.pool;
      const pool = view().pools.get(name);
      const answer = answerWhyNot(found.record, found, { name, coordinates: pool?.spec.coordinates });
      if (pool === undefined && answer.verdict === "not-considered") throw noSuchPool(name, [...view().pools.keys()]);
      return { ...answer, changes: [...answer.changes], lines: [...answer.lines] };
    },
  );
}

async function findSessionDecision(
  explain: ExplainStore,
  { session, decision }: { readonly session: string | undefined; readonly decision: string | undefined },
) {
  if (session === undefined && decision === undefined) {
    throw new Failure("argument-invalid", "give `session`, or `decision`");
  }
  const found = decision === undefined ? await explain.findSession(session ?? "") : await explain.find(decision);
  const what = decision === undefined ? `a decision on session ${session}` : `decision ${decision}`;
  if (found === undefined) throw new Failure("not-found", `${what} is not known here, or forgotten by now`);
  const { record, poolName } = found;
  if (record.kind === "content") {
    throw new Failure("argument-invalid", `${what} is on content, which perigee why explains; give one on a session`);
  }
  if (session !== undefined && record.session !== session) {
    throw new Failure("argument-invalid", `${what} is on session ${record.session}, and not on ${session}`);
  }
  return { record, poolName };
}

function noSuchPool(name: string, pools: readonly string[]): Failure {
  const near = nearestNames(name, pools);
  const meant = near.length === 0 ? "perigee get nodepools lists them" : `did you mean ${near.join(", ")}?`;
  return new Failure("not-found", `there is no NodePool ${name}: ${meant}`);
}

function known(found: ExplainedDecision | undefined, what: string): { decision: string; lines: string[] } {
  if (found !== undefined) return { decision: found.decision, lines: [...found.lines] };
  throw new Failure("not-found", `${what} is not known here, or forgotten by now`);
}
