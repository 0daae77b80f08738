/** The served OpenAPI document tells true: what it describes is what is taken and what is answered. */
import t, { type Test } from "tap";
import type { TSchema } from "typebox";
import { Value } from "typebox/value";
import { KINDS } from "#domain/resource.ts";
import { createLogger } from "#platform/logging.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";
import { systemRandom } from "#platform/random.ts";
import { faultsOfDocument, findPart, resolved } from "#test/openapi/served-document.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { testFolder } from "#test/test-folder.ts";
import { openFileBlobStore } from "../blob-store/file-blob-store.ts";
import { openJoinTokens } from "../enrolment/join-tokens.ts";
import { loadOriginKeys } from "../keys/origin-keys.ts";
import { openSqliteLog } from "../log/sqlite-log.ts";
import { Distribution } from "../node-rpc/distribution.ts";
import { ObservedNodes } from "../observed/observed-nodes.ts";
import { createPolicyTrial } from "../policy-trial/policy-trial.ts";
import { openRecords } from "../records/records.ts";
import { createRolloutEvents } from "../rollout/events.ts";
import { RolloutDriver } from "../rollout/rollout-driver.ts";
import { issueToken } from "./authorisation.ts";
import { createOperatorApi } from "./operator-api.ts";

const JSON_SCHEMA = "content/application~1json/schema";
const APPLY = `#/paths/~1v1~1apply/post`;
const NAMED = `#/paths/~1v1~1resources~1{kind}~1{name}/get`;
const site = {
  apiVersion: "perigee.dev/v1",
  kind: "Site",
  metadata: { name: "shop" },
  spec: { hostnames: ["shop.example"], publish: {} },
};

async function openApi(t: Test) {
  const folder = testFolder(t);
  const tools = { clock: new VirtualClock(Date.UTC(2026, 0, 1)), random: systemRandom };
  const log = openSqliteLog(":memory:");
  const keys = await loadOriginKeys(folder, tools);
  const joinTokens = openJoinTokens(":memory:", tools);
  const records = openRecords(":memory:");
  const desk = { ...tools, log, tokenKey: keys.token };
  const [observed, logger] = [new ObservedNodes(), createLogger({ program: "origin", level: "silent" })];
  const rollout = new RolloutDriver({
    ...{ log, observed, clock: tools.clock },
    distribution: new Distribution(log, keys.stream),
    events: createRolloutEvents(logger, createMetrics("origin")),
  });
  const server = await createOperatorApi({
    ...desk,
    ...{ keys, joinTokens, publishKey: keys.publish, blobs: await openFileBlobStore(`${folder}/blobs`) },
    ...{ observed, records, rollout, logger },
    trial: createPolicyTrial(),
    events: { apiRefused: () => undefined, guardRailsForced: () => undefined },
  });
  t.teardown(async () => {
    rollout[Symbol.dispose]();
    await server.close();
    log[Symbol.dispose]();
    joinTokens[Symbol.dispose]();
    records[Symbol.dispose]();
  });
  const { token } = await issueToken(desk, "operator", { sub: "test", scopes: ["admin"] }, 3600);
  const headers = { authorization: `Bearer ${token}` };
  const document = (await server.inject("/docs/json")).json();
  const schemaAt = (reference: string): TSchema => Object(resolved(document, findPart(document, reference)));
  return { server, headers, document, schemaAt };
}

t.test("every reference resolves and every operation says how it refuses", async (t) => {
  const { document } = await openApi(t);
  t.same(faultsOfDocument(document), []);
  const names = Object.keys(document.components.schemas);
  for (const name of [...KINDS, ...KINDS.map((kind) => `${kind}Spec`)]) t.ok(names.includes(name), name);
});

t.test("what has a default may be left out", async (t) => {
  const { document } = await openApi(t);
  t.match(findPart(document, `${APPLY}/parameters/0`), { name: "dryRun", required: false, schema: { default: false } });
  t.strictSame(findPart(document, "#/components/schemas/NodePoolSpec/required"), ["region", "coordinates"]);
});

t.test("described documents are those that are taken, and described resources those that are answered", async (t) => {
  const { server, headers, schemaAt } = await openApi(t);
  const written = schemaAt(`${APPLY}/requestBody/${JSON_SCHEMA}`);
  const wrong = { ...site, spec: { hostnames: "shop.example" } };
  t.ok(Value.Check(written, { documents: [site] }));
  t.notOk(Value.Check(written, { documents: [wrong] }));
  const apply = (documents: unknown[]) =>
    server.inject({ method: "POST", url: "/v1/apply", headers, payload: { documents } });
  const refused = await apply([wrong]);
  t.match(
    refused.json(),
    { status: 422, faults: [{ document: 0, pointer: "/spec/hostnames" }] },
    "the parser's faults",
  );
  t.equal((await apply([site])).statusCode, 200);
  const answer = (await server.inject({ url: "/v1/resources/Site/shop", headers })).json();
  t.strictSame(answer.spec.publish, { keepReleases: 5, indexDocument: "index.html" });
  t.ok(Value.Check(schemaAt(`${NAMED}/responses/200/${JSON_SCHEMA}`), answer));
  t.notOk(Value.Check(schemaAt(`${NAMED}/responses/200/${JSON_SCHEMA}`), { ...answer, kind: "Release" }));
  const problem = schemaAt(`${NAMED}/responses/default/content/application~1problem+json/schema`);
  const missing = await server.inject({ url: "/v1/resources/Site/other", headers });
  t.ok(Value.Check(problem, missing.json()));
  t.ok(Value.Check(problem, refused.json()));
});
