import t, { type Test } from "tap";
import { Type } from "typebox";
import { Failure } from "#domain/failure.ts";
import { type ApiServerOptions, createApiServer } from "#platform/http/api-server.ts";
import { createLogger } from "#platform/logging.ts";

async function setUp(t: Test, options: Partial<ApiServerOptions> = {}) {
  const records: string[] = [];
  const destination = { write: (line: string) => void records.push(line) };
  const server = await createApiServer({
    logger: createLogger({ program: "origin", level: "info", destination }),
    title: "Example",
    version: "0.1.0",
    description: "An example.",
    ...options,
  });
  t.teardown(() => server.close());
  const Body = Type.Object(
    { name: Type.String({ minLength: 1 }), rttMs: Type.Number({ minimum: 5, maximum: 200 }) },
    { additionalProperties: false },
  );
  server.post("/things", { schema: { body: Body } }, async (request) => ({ name: request.body.name }));
  const Query = Type.Object({ limit: Type.Integer({ minimum: 1, default: 10 }) });
  server.get("/things", { schema: { querystring: Query } }, async (request) => ({ limit: request.query.limit }));
  server.get("/conflict", async () => {
    throw new Failure("resource-conflict", "site shop changed meanwhile", { detail: { resourceVersion: "7" } });
  });
  server.get("/busy", async () => {
    throw new Failure("overloaded", "too much to do", { retryable: true });
  });
  server.get("/bug", async () => {
    throw new TypeError("a secret detail");
  });
  return { server, records };
}

t.test("a body is taken as it is, and every fault of a wrong one is reported at once", async (t) => {
  const { server } = await setUp(t);
  const good = await server.inject({ method: "POST", url: "/things", payload: { name: "a", rttMs: 30 } });
  t.strictSame([good.statusCode, good.json()], [200, { name: "a" }]);
  const wrong = { name: "", rttMs: "30", colour: "red" };
  const bad = await server.inject({ method: "POST", url: "/things", payload: wrong });
  t.equal(bad.statusCode, 400);
  t.match(bad.headers["content-type"], "application/problem+json");
  t.match(bad.json(), { code: "argument-invalid", type: /argument-invalid$/, status: 400 });
  for (const part of ["body: name", "body: rttMs", "body: colour"]) t.match(bad.json().detail, part, part);
});

t.test("text in a query gets the schema's types and defaults", async (t) => {
  const { server } = await setUp(t);
  t.strictSame((await server.inject("/things?limit=3")).json(), { limit: 3 });
  t.strictSame((await server.inject("/things")).json(), { limit: 10 });
  t.match((await server.inject("/things?limit=none")).json(), { status: 400, detail: /querystring: limit/ });
});

t.test("failures become problems by the one table", async (t) => {
  const { server, records } = await setUp(t);
  const conflict = await server.inject("/conflict");
  t.match(conflict.json(), { status: 409, code: "resource-conflict", resourceVersion: "7", detail: /shop/ });
  const busy = await server.inject("/busy");
  t.match([busy.statusCode, busy.headers["retry-after"]], [503, "1"]);
  t.match((await server.inject("/nowhere")).json(), { status: 404, code: "not-found" });
  const bug = await server.inject("/bug");
  t.equal(bug.statusCode, 500);
  t.notMatch(bug.body, "secret");
  t.ok(
    records.some((line) => line.includes("a secret detail")),
    "the log has what the answer has not",
  );
});

t.test("what is not JSON, too large or of another media type is refused as a problem with a code", async (t) => {
  const refused: string[] = [];
  const { server } = await setUp(t, { onRefused: (code) => void refused.push(code) });
  const send = (payload: string, type: string) =>
    server.inject({ method: "POST", url: "/things", payload, headers: { "content-type": type } });
  const json = "application/json";
  const cases = [
    { answer: await send('{"docu', json), status: 400, detail: /must be JSON: .*position 6/ },
    { answer: await send("", json), status: 400, detail: /must be JSON, got nothing/ },
    { answer: await send('{"__proto__": {}}', json), status: 400, detail: /__proto__/ },
    { answer: await send(`"${"x".repeat(1_100_000)}"`, json), status: 413, detail: /at most 1048576 bytes/ },
    { answer: await send("a: 1", "application/yaml"), status: 415, detail: /application\/json .*application\/yaml/ },
    { answer: await server.inject("/%zz"), status: 400, detail: /%zz/ },
  ];
  for (const { answer, status, detail } of cases) {
    t.equal(answer.statusCode, status, `${detail}`);
    t.match(answer.headers["content-type"], "application/problem+json", `${detail}`);
    t.match(answer.json(), { type: /argument-invalid$/, code: "argument-invalid", status, detail });
  }
  t.same(
    refused,
    cases.map(() => "argument-invalid"),
  );
});

t.test("a route that there is not, and a method that a route does not have, are not found", async (t) => {
  const { server } = await setUp(t);
  for (const method of ["GET", "DELETE"] as const) {
    const answer = await server.inject({ method, url: method === "GET" ? "/nowhere" : "/things" });
    t.match(answer.json(), { status: 404, code: "not-found", type: /not-found$/ }, method);
  }
});

t.test("an address above its limit is told to wait", async (t) => {
  const { server } = await setUp(t, { requestsPerMinuteMax: 2 });
  for (const _ of [1, 2]) t.equal((await server.inject("/things")).statusCode, 200);
  const third = await server.inject("/things");
  t.match(third.json(), { status: 503, code: "overloaded" });
  t.ok(Number(third.headers["retry-after"]) > 0);
});

t.test("OpenAPI describes the routes, and a page tries them", async (t) => {
  const { server } = await setUp(t);
  t.match((await server.inject("/openapi.json")).json(), {
    openapi: "3.1.0",
    info: { title: "Example", version: "0.1.0" },
    paths: { "/things": { post: { requestBody: {} }, get: {} } },
  });
  const page = await server.inject("/docs/");
  t.equal(page.statusCode, 200);
  t.match(page.body, "swagger-ui");
  t.match(page.headers["content-security-policy"], "default-src 'self'");
});
