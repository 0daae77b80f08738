/** Where the sample's pools and clients are, for the VR page's map: as the sample's own resources and networks say. */
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { parseSourceDocuments } from "#platform/yaml/documents.ts";

const coordinates = Type.Object({ latitude: Type.Number(), longitude: Type.Number() });
const poolSchema = Type.Object({
  kind: Type.Literal("NodePool"),
  metadata: Type.Object({ name: Type.String() }),
  spec: Type.Object({ region: Type.String(), coordinates }),
});
const networksSchema = Type.Object({ networks: Type.Array(Type.Object({ coordinates }), { minItems: 1 }) });

export interface Places {
  readonly pools: readonly (Static<typeof coordinates> & { readonly name: string; readonly region: string })[];
  /** The clients'. */
  readonly here: Static<typeof coordinates>;
}

/** Throws where the sample's files are not as they were written. */
export function readPlaces(resourcesYaml: string, networksYaml: string): Places {
  const resources = parseSourceDocuments(resourcesYaml, "resources.yaml").map(({ value }) => value);
  const [networks] = parseSourceDocuments(networksYaml, "networks.yaml");
  const [network] = Value.Parse(networksSchema, networks?.value).networks;
  if (network === undefined) throw new TypeError("the sample has no network");
  const pools = resources.filter((resource) => Value.Check(poolSchema, resource));
  return {
    pools: pools.map(({ metadata: { name }, spec }) => ({ name, region: spec.region, ...spec.coordinates })),
    here: network.coordinates,
  };
}
