/** What an API's OpenAPI document says besides its routes' schemas: named schemas, problems, and what may be left out. */
import type { FastifyDynamicSwaggerOptions } from "@fastify/swagger";
import Type, { type TSchema } from "typebox";
import { FAILURE_CODES } from "#domain/failure.ts";

/** Bodies and answers as the document shows them where the route itself judges or writes them otherwise. */
export interface Described {
  readonly body?: TSchema;
  readonly response?: Readonly<Record<number, TSchema>>;
}

/** A route's `config`: its schemas stay what requests are checked with, and answers are written with. */
export function describedAs(described: Described) {
  return { described };
}

declare module "fastify" {
  interface FastifyContextConfig {
    described?: Described;
  }
}

/** Of a bug there is no code: its type is about:blank. */
const problem = Type.Object(
  {
    type: Type.String({ description: "ends with the code" }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.Optional(Type.Enum([...FAILURE_CODES])),
    faults: Type.Optional(
      Type.Array(
        Type.Object({
          document: Type.Optional(Type.Integer({ description: "of those that were applied, from 0" })),
          pointer: Type.String({ description: "RFC 6901 JSON pointer" }),
          message: Type.String(),
        }),
      ),
    ),
    instance: Type.Optional(Type.String({ description: "names a bug in the server's log" })),
  },
  { description: "RFC 9457 problem" },
);

const problemAnswer = {
  description: "refused: a problem with a code of docs/errors.md",
  content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
};

export interface DocumentOptions {
  readonly title: string;
  readonly version: string;
  readonly description: string;
  /** Named schemas, to be referred to as `#/components/schemas/NAME`. */
  readonly components?: Readonly<Record<string, TSchema>>;
}

export function openapiOptions({ title, version, description, components = {} }: DocumentOptions) {
  const named = Object.entries({ ...components, Problem: problem }).map(([name, schema]) => [name, sentAs(schema)]);
  return {
    openapi: {
      openapi: "3.1.0",
      info: { title, version, description },
      // With it the page to try the API asks for a token once.
      components: {
        securitySchemes: { token: { type: "http", scheme: "bearer" } },
        schemas: Object.fromEntries(named),
      },
      security: [{ token: [] }],
    },
    transform: ({ schema, url, route }) => {
      const { body, response }: Described = route.config?.described ?? {};
      const answers = Object.assign({}, schema?.response, response, { default: problemAnswer });
      const sent = { body: sentAs(body ?? schema?.body), querystring: sentAs(schema?.querystring) };
      return { schema: { ...schema, ...sent, response: answers }, url };
    },
  } satisfies FastifyDynamicSwaggerOptions;
}

/** What has a default may be left out by who sends it. */
function sentAs(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(sentAs);
  if (typeof schema !== "object" || schema === null) return schema;
  const copy: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) copy[key] = sentAs(value);
  const { properties, required } = copy;
  if (!Array.isArray(required) || typeof properties !== "object" || properties === null) return copy;
  const defaulted = new Set(Object.entries(properties).flatMap(([name, value]) => (hasDefault(value) ? [name] : [])));
  return { ...copy, required: required.filter((name) => !defaulted.has(name)) };
}

function hasDefault(schema: unknown): boolean {
  return typeof schema === "object" && schema !== null && "default" in schema;
}
