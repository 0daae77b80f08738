/** Bodies and answers with resources in them as the API reference shows them. Describes only: `parse.ts` judges. Pure. */
import Type, { type TSchema } from "typebox";
import { KINDS, type Kind, WRITER_BY_KIND } from "#domain/resource.ts";
import { applyRequestSchema, nodeListSchema, resourceListSchema } from "../operator.ts";
import { inputSchemaOf, storedSchemaOf } from "./parse.ts";
import { SPEC_SCHEMAS } from "./schemas.ts";

const status = Type.Optional(Type.Unknown({ description: "what is observed, by kind" }));

/** By name: `Site` is answered, `SiteInput` is written, and both have a `SiteSpec`. */
export const RESOURCE_COMPONENTS: Readonly<Record<string, TSchema>> = Object.fromEntries(KINDS.flatMap(componentsOf));

/** Nodes are written once they have joined. */
const written = unionOf(
  KINDS.filter((kind) => WRITER_BY_KIND[kind] === "operator" || kind === "Node").map((kind) => `${kind}Input`),
);

export const describedResource: TSchema = unionOf(KINDS);
export const describedApply: TSchema = withItems(applyRequestSchema, "documents", written);
export const describedResourceList: TSchema = withItems(resourceListSchema, "items", describedResource);
export const describedNodeList: TSchema = withItems(nodeListSchema, "items", refTo("Node"));

function componentsOf(kind: Kind): readonly (readonly [string, TSchema])[] {
  const spec = refTo(`${kind}Spec`);
  return [
    [`${kind}Spec`, SPEC_SCHEMAS[kind]],
    [`${kind}Input`, inputSchemaOf(kind, spec)],
    [kind, storedSchemaOf(kind, spec, { status })],
  ];
}

function withItems<K extends string>(
  schema: TSchema & { readonly properties: Readonly<Record<K, TSchema>> },
  list: K,
  items: TSchema,
): TSchema {
  return { ...schema, properties: { ...schema.properties, [list]: { ...schema.properties[list], items } } };
}

function unionOf(names: readonly string[]): TSchema {
  return { oneOf: names.map(refTo) };
}

function refTo(name: string): TSchema {
  return { $ref: `#/components/schemas/${name}` };
}
