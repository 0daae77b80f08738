/** Each response of the conformance suite that is asked for by GET, with the fields of all requests of its test. */
import { pathToFileURL } from "node:url";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { type LaneCase, NOW_MS } from "#test/front/compare-lanes.ts";

const FIELDS = Type.Array(Type.Tuple([Type.String(), Type.Union([Type.String(), Type.Number()])], { maxItems: 2 }));
const REQUEST = Type.Object({
  request_method: Type.Optional(Type.String()),
  request_headers: Type.Optional(FIELDS),
  response_headers: Type.Optional(FIELDS),
  response_status: Type.Optional(Type.Tuple([Type.Number(), Type.String()])),
  response_body: Type.Optional(Type.Union([Type.String(), Type.Null()])),
});
const SUITES = Type.Array(
  Type.Object({ tests: Type.Array(Type.Object({ id: Type.String(), requests: Type.Array(Type.Unknown()) })) }),
);

type SuiteRequest = Static<typeof REQUEST>;

const OK: NonNullable<SuiteRequest["response_status"]> = [200, "OK"];

export async function laneCases(testsModule: string): Promise<readonly LaneCase[]> {
  const loaded: { readonly default: unknown } = await import(pathToFileURL(testsModule).href);
  return Value.Parse(SUITES, loaded.default).flatMap(({ tests }) => tests.flatMap(casesOf));
}

function casesOf({ id, requests }: { readonly id: string; readonly requests: readonly unknown[] }): LaneCase[] {
  const parsed = requests.map(requestOf).filter((request) => request !== undefined);
  const asked = [
    [],
    ...parsed.map(({ request_headers = [] }) => request_headers.map(([name, value]) => lineOf(name, value))),
  ];
  return parsed.filter(isOfGet).map((request, index) => {
    const { response_status = OK, response_headers = [], response_body } = request;
    const [status] = response_status;
    const fields = response_headers.flatMap(([name, value]) => [name, fieldTextOf(value)]);
    // Without one node:http would say the time by a clock of its own.
    const dated = response_headers.some(([name]) => name.toLowerCase() === "date") ? [] : ["Date", fieldTextOf(0)];
    const body = status === 204 || status === 304 ? "" : (response_body ?? id);
    return { path: `/${id}/${index}`, said: { status, fields: [...fields, ...dated], body }, asked };
  });
}

/** `undefined` for what is written for one engine only. */
function requestOf(request: unknown): SuiteRequest | undefined {
  const { request_method, request_headers, response_headers, response_status, response_body } = Object(request);
  const wanted = {
    request_method,
    request_headers,
    response_headers: pairs(response_headers),
    response_status,
    response_body,
  };
  const known = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
  return Value.Check(REQUEST, known) ? known : undefined;
}

/** A third member says how the suite checks a field. */
function pairs(fields: unknown): unknown {
  return Array.isArray(fields)
    ? fields.map((field: unknown) => (Array.isArray(field) ? field.slice(0, 2) : field))
    : undefined;
}

function isOfGet({ request_method = "GET", response_status = OK }: SuiteRequest): boolean {
  return request_method === "GET" && response_status[0] >= 200;
}

function lineOf(name: string, value: string | number): string {
  return `${name}: ${fieldTextOf(value)}`;
}

/** A number is a date, so many seconds from now, in the fields that are dates; else itself. */
function fieldTextOf(value: string | number): string {
  return typeof value === "string" ? value : new Date(NOW_MS + value * 1000).toUTCString();
}
