/** Writes glTF 2.0 as a .glb: geometry, keys and images go to one buffer, the rest is JSON as it is given. Pure. */

type Json = Readonly<Record<string, unknown>>;

export interface Shape {
  readonly positions: readonly number[];
  readonly normals?: readonly number[];
  readonly textureCoordinates?: readonly number[];
  readonly tangents?: readonly number[];
  readonly colours?: readonly number[];
  readonly indices?: readonly number[];
}

const [FLOAT, UNSIGNED_SHORT] = [5126, 5123];
const TYPES: Readonly<Record<number, string>> = { 1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4" };
const [MAGIC, VERSION, JSON_CHUNK, BINARY_CHUNK] = [0x46_54_6c_67, 2, 0x4e_4f_53_4a, 0x00_4e_49_42];

export class GlbBuilder {
  readonly #parts: Uint8Array[] = [];
  readonly #views: Json[] = [];
  readonly #accessors: Json[] = [];
  #byteLength = 0;

  /** Numbers of `components` each; gives the accessor's number. */
  floats(values: readonly number[], components: number): number {
    const least = (pick: (...parts: number[]) => number): number[] =>
      Array.from({ length: components }, (_, component) =>
        pick(...values.filter((_value, index) => index % components === component)),
      );
    return this.#accessor(new Float32Array(values), FLOAT, components, { min: least(Math.min), max: least(Math.max) });
  }

  indices(values: readonly number[]): number {
    return this.#accessor(new Uint16Array(values), UNSIGNED_SHORT, 1, {});
  }

  /** A primitive of a mesh. */
  primitive(shape: Shape, material: number | undefined): Json {
    const { positions, normals, textureCoordinates, tangents, colours, indices } = shape;
    const attributes = {
      POSITION: this.floats(positions, 3),
      ...(normals && { NORMAL: this.floats(normals, 3) }),
      ...(textureCoordinates && { TEXCOORD_0: this.floats(textureCoordinates, 2) }),
      ...(tangents && { TANGENT: this.floats(tangents, 4) }),
      ...(colours && { COLOR_0: this.floats(colours, 4) }),
    };
    return { attributes, ...(indices && { indices: this.indices(indices) }), ...(material !== undefined && { material }) };
  }

  /** Gives the buffer view's number. */
  bytes(bytes: Uint8Array): number {
    const view = { buffer: 0, byteOffset: this.#byteLength, byteLength: bytes.byteLength };
    const padding = new Uint8Array((4 - (bytes.byteLength % 4)) % 4);
    this.#parts.push(bytes, padding);
    this.#byteLength += bytes.byteLength + padding.byteLength;
    return this.#views.push(view) - 1;
  }

  /** All but buffers, views and accessors is the caller's. */
  json(scene: Json): Json {
    return {
      asset: { version: "2.0" },
      ...scene,
      accessors: this.#accessors,
      bufferViews: this.#views,
      buffers: [{ byteLength: this.#byteLength }],
    };
  }

  /** What the buffer holds. */
  binary(): Uint8Array {
    return Buffer.concat(this.#parts);
  }

  build(scene: Json): Uint8Array {
    return glbOf(this.json(scene), this.binary());
  }

  #accessor(values: Float32Array | Uint16Array, componentType: number, components: number, bounds: Json): number {
    const bufferView = this.bytes(new Uint8Array(values.buffer));
    const count = values.length / components;
    return this.#accessors.push({ bufferView, componentType, count, type: TYPES[components], ...bounds }) - 1;
  }
}

export function glbOf(json: Json, binary: Uint8Array): Uint8Array {
  const text = JSON.stringify(json);
  const padded = Buffer.from(text.padEnd(text.length + ((4 - (Buffer.byteLength(text) % 4)) % 4)));
  const length = 12 + 8 + padded.byteLength + 8 + binary.byteLength;
  return Buffer.concat([
    words(MAGIC, VERSION, length),
    words(padded.byteLength, JSON_CHUNK),
    padded,
    words(binary.byteLength, BINARY_CHUNK),
    binary,
  ]);
}

function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
