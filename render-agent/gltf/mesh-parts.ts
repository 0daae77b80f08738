/** Triangles of a mesh's primitives (glTF 2.0 section 3.7.2) as vertices of one layout, ready for the GPU. Pure. */
import type { AccessorReader, Floats, Wanted } from "./accessors.ts";
import { entryOf, refuse } from "./gltf-fault.ts";
import type { Gltf, GltfPrimitive } from "./gltf-schema.ts";

/** 48 MB; of all meshes that are drawn. */
const VERTICES_MAX = 1_000_000;
/** An eye; one of a hundred instances counts a hundred times. No software and few headsets' GPUs draw more. */
const TRIANGLES_MAX = 1_000_000;

/** Position, normal, two texture coordinates as floats; tangent and colour as four bytes each. */
export const VERTEX_BYTES = 48;
const VERTEX_FLOATS = VERTEX_BYTES / 4;
const TANGENT_BYTE = 40;
const COLOUR_BYTE = 44;

const [TRIANGLES, TRIANGLE_STRIP, TRIANGLE_FAN] = [4, 5, 6];

export interface MeshPart {
  /** A normal or tangent of length 0 is one that the file does not have. */
  readonly vertices: Float32Array<ArrayBuffer>;
  readonly indices: Uint32Array<ArrayBuffer>;
  /** Number in the file; `undefined` is the default material. */
  readonly material: number | undefined;
}

/** Reads the meshes that are drawn, within limits that hold for all of them together. */
export class MeshReader {
  readonly #json: Gltf;
  readonly #accessors: AccessorReader;
  #verticesLeft = VERTICES_MAX;
  #trianglesLeft = TRIANGLES_MAX;

  constructor(json: Gltf, accessors: AccessorReader) {
    this.#json = json;
    this.#accessors = accessors;
  }

  /** `instances` nodes draw it. Throws `scene-invalid`. */
  read(mesh: number, instances: number): readonly MeshPart[] {
    const { primitives } = entryOf(this.#json.meshes, mesh, `meshes[${mesh}]`, "meshes");
    return primitives.map((primitive, index) =>
      this.#readPart(primitive, `meshes[${mesh}].primitives[${index}]`, instances),
    );
  }

  #readPart(primitive: GltfPrimitive, path: string, instances: number): MeshPart {
    const { mode = TRIANGLES, material, targets } = primitive;
    if (mode < TRIANGLES) refuse(`${path}.mode`, `must be triangles (4, 5 or 6), got ${mode}`);
    if (targets !== undefined) refuse(`${path}.targets`, "must not be there: morph targets are not supported");
    if (material !== undefined) entryOf(this.#json.materials, material, `${path}.material`, "materials");
    const positions = this.#attribute(primitive, "POSITION", path, { types: ["VEC3"], countMax: this.#verticesLeft });
    if (positions === undefined) refuse(`${path}.attributes`, "must have POSITION");
    this.#verticesLeft -= positions.count;
    const vertices = this.#vertices(primitive, positions, path);
    const indices = trianglesOf(this.#indices(primitive, positions.count, path), mode, path);
    this.#trianglesLeft -= (indices.length / 3) * instances;
    if (this.#trianglesLeft < 0)
      refuse(path, `draws more than ${TRIANGLES_MAX} triangles with all that comes before it`);
    return { vertices, indices, material };
  }

  #indices({ indices }: GltfPrimitive, vertexCount: number, path: string): Uint32Array<ArrayBuffer> {
    if (indices === undefined) return Uint32Array.from({ length: vertexCount }, (_, index) => index);
    const wanted: Wanted = { path: `${path}.indices`, types: ["SCALAR"], countMax: TRIANGLES_MAX * 3 };
    return this.#accessors.indices(indices, vertexCount, wanted);
  }

  #vertices(primitive: GltfPrimitive, positions: Floats, path: string): Float32Array<ArrayBuffer> {
    const { count } = positions;
    const read = (name: keyof GltfPrimitive["attributes"], ...types: Wanted["types"]): Floats | undefined =>
      this.#attribute(primitive, name, path, { types, countMax: count }, count);
    const vertices = new Float32Array(count * VERTEX_FLOATS);
    spread(vertices, 0, positions);
    spread(vertices, 3, read("NORMAL", "VEC3"));
    spread(vertices, 6, read("TEXCOORD_0", "VEC2"));
    spread(vertices, 8, read("TEXCOORD_1", "VEC2"));
    const bytes = new Uint8Array(vertices.buffer);
    for (let vertex = 0; vertex < count; vertex += 1)
      bytes.fill(255, vertex * VERTEX_BYTES + COLOUR_BYTE, (vertex + 1) * VERTEX_BYTES);
    pack(new Int8Array(vertices.buffer), TANGENT_BYTE, read("TANGENT", "VEC4"), 127);
    pack(bytes, COLOUR_BYTE, read("COLOR_0", "VEC3", "VEC4"), 255);
    return vertices;
  }

  #attribute(
    { attributes }: GltfPrimitive,
    name: keyof GltfPrimitive["attributes"],
    path: string,
    { types, countMax }: Pick<Wanted, "types" | "countMax">,
    count?: number,
  ): Floats | undefined {
    const accessor = attributes[name];
    if (accessor === undefined) return undefined;
    const floats = this.#accessors.floats(accessor, { path: `${path}.attributes.${name}`, types, countMax });
    if (count !== undefined && floats.count !== count) {
      refuse(`${path}.attributes.${name}`, `must have as many values as POSITION, ${count}, got ${floats.count}`);
    }
    return floats;
  }
}

/** Each element's components to a place of its own in each vertex. */
function spread(vertices: Float32Array, offset: number, floats: Floats | undefined): void {
  if (floats === undefined) return;
  const { values, components, count } = floats;
  for (let vertex = 0; vertex < count; vertex += 1) {
    for (let component = 0; component < components; component += 1) {
      vertices[vertex * VERTEX_FLOATS + offset + component] = values[vertex * components + component] ?? 0;
    }
  }
}

function pack(bytes: Int8Array | Uint8Array, offset: number, floats: Floats | undefined, scale: number): void {
  if (floats === undefined) return;
  const { values, components, count } = floats;
  const lowest = bytes instanceof Int8Array ? -1 : 0;
  for (let vertex = 0; vertex < count; vertex += 1) {
    for (let component = 0; component < components; component += 1) {
      const value = Math.min(1, Math.max(lowest, values[vertex * components + component] ?? 0));
      bytes[vertex * VERTEX_BYTES + offset + component] = Math.round(value * scale);
    }
  }
}

/** Strips and fans as single triangles, all turning the same way. */
function trianglesOf(indices: Uint32Array<ArrayBuffer>, mode: number, path: string): Uint32Array<ArrayBuffer> {
  const { length } = indices;
  if (mode === TRIANGLES) {
    if (length % 3 !== 0) refuse(path, `must have three corners a triangle, got ${length} corners`);
    return indices;
  }
  if (length < 3) refuse(path, `must have at least 3 corners, got ${length}`);
  const triangles = new Uint32Array((length - 2) * 3);
  for (let at = 0; at < length - 2; at += 1) {
    const odd = mode === TRIANGLE_STRIP ? at % 2 : 0;
    const first = mode === TRIANGLE_FAN ? 0 : at;
    const corners = [indices[first] ?? 0, indices[at + 1 + odd] ?? 0, indices[at + 2 - odd] ?? 0];
    triangles.set(corners, at * 3);
  }
  return triangles;
}
