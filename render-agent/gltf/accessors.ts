/** Reads accessors (glTF 2.0 section 3.6.2) within their buffers' bounds: views where they lie as they are needed, else copies. Pure. */
import { entryOf, refuse } from "./gltf-fault.ts";
import { BINARY_CHUNK } from "./gltf-file.ts";
import type { Gltf, GltfAccessor } from "./gltf-schema.ts";
import type { ResourceBytes } from "./resource-uris.ts";

const COMPONENTS = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4, MAT2: 4, MAT3: 9, MAT4: 16 } as const;
const FLOAT = 5126;

interface ComponentKind {
  readonly bytes: number;
  readonly read: (view: DataView, offset: number) => number;
  /** What a normalized integer is divided by. */
  readonly scale: number;
}

const KINDS: Readonly<Record<GltfAccessor["componentType"], ComponentKind>> = {
  5120: { bytes: 1, read: (view, offset) => view.getInt8(offset), scale: 127 },
  5121: { bytes: 1, read: (view, offset) => view.getUint8(offset), scale: 255 },
  5122: { bytes: 2, read: (view, offset) => view.getInt16(offset, true), scale: 32_767 },
  5123: { bytes: 2, read: (view, offset) => view.getUint16(offset, true), scale: 65_535 },
  5125: { bytes: 4, read: (view, offset) => view.getUint32(offset, true), scale: 0xff_ff_ff_ff },
  5126: { bytes: 4, read: (view, offset) => view.getFloat32(offset, true), scale: 1 },
};

type AccessorType = GltfAccessor["type"];

export interface Wanted {
  /** Where the accessor is named, for messages. */
  readonly path: string;
  readonly types: readonly AccessorType[];
  readonly countMax: number;
  /** Of keys, which are floats; else any component type will do. */
  readonly isFloat?: boolean;
}

export interface Floats {
  readonly values: Float32Array;
  readonly count: number;
  readonly components: number;
}

export class AccessorReader {
  readonly #json: Gltf;
  readonly #resources: ResourceBytes;

  constructor(json: Gltf, resources: ResourceBytes) {
    this.#json = json;
    this.#resources = resources;
  }

  /** Finite numbers; normalized integers as -1..1 or 0..1. Throws `scene-invalid`. */
  floats(index: number, wanted: Wanted): Floats {
    const { accessor, path } = this.#find(index, wanted);
    if (wanted.isFloat === true && accessor.componentType !== FLOAT && accessor.normalized !== true) {
      refuse(
        `${path}.componentType`,
        `must be ${FLOAT} or normalized for ${wanted.path}, got ${accessor.componentType}`,
      );
    }
    const values = this.#values(accessor, path);
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad !== -1) refuse(path, `must be of finite numbers, got ${values[bad]} at ${bad}`);
    return { values, count: accessor.count, components: COMPONENTS[accessor.type] };
  }

  /** Each below `vertices`. Throws `scene-invalid`. */
  indices(index: number, vertices: number, wanted: Wanted): Uint32Array<ArrayBuffer> {
    const { accessor, path } = this.#find(index, wanted);
    const { componentType, normalized } = accessor;
    if (![5121, 5123, 5125].includes(componentType) || normalized === true) {
      refuse(`${path}.componentType`, `must be an unsigned integer for ${wanted.path}, got ${componentType}`);
    }
    const values = Uint32Array.from(this.#integers(accessor, path));
    const bad = values.findIndex((value) => value >= vertices);
    if (bad !== -1) refuse(path, `must be of indices below ${vertices}, got ${values[bad]} at ${bad}`);
    return values;
  }

  /** All of it. Throws `scene-invalid`. */
  bufferView(index: number, path: string): Uint8Array {
    const at = `bufferViews[${index}]`;
    const { buffer, byteOffset = 0, byteLength } = entryOf(this.#json.bufferViews, index, path, "bufferViews");
    const whole = this.#buffer(buffer, `${at}.buffer`);
    if (byteOffset + byteLength > whole.byteLength) {
      refuse(at, `must end within the ${whole.byteLength} bytes of its buffer, got ${byteOffset} + ${byteLength}`);
    }
    return whole.subarray(byteOffset, byteOffset + byteLength);
  }

  #buffer(index: number, path: string): Uint8Array {
    const { uri = BINARY_CHUNK, byteLength } = entryOf(this.#json.buffers, index, path, "buffers");
    const at = `buffers[${index}]`;
    const bytes = uri === BINARY_CHUNK && index !== 0 ? undefined : this.#resources.get(uri);
    if (bytes === undefined) refuse(at, "must have a URI, or be the first of a file with a binary chunk");
    if (byteLength > bytes.byteLength)
      refuse(`${at}.byteLength`, `must be at most ${bytes.byteLength}, got ${byteLength}`);
    return bytes.subarray(0, byteLength);
  }

  #find(index: number, { path: from, types, countMax }: Wanted) {
    const accessor = entryOf(this.#json.accessors, index, from, "accessors");
    const path = `accessors[${index}]`;
    if (!types.includes(accessor.type))
      refuse(`${path}.type`, `must be ${types.join(" or ")} for ${from}, got ${accessor.type}`);
    if (accessor.count > countMax)
      refuse(`${path}.count`, `must be at most ${countMax} for ${from}, got ${accessor.count}`);
    return { accessor, path };
  }

  #values(accessor: GltfAccessor, path: string): Float32Array {
    const { componentType, normalized = false } = accessor;
    if (componentType === FLOAT) return this.#floats(accessor, path);
    const scale = normalized ? KINDS[componentType].scale : 1;
    return Float32Array.from(this.#integers(accessor, path), (value) =>
      Math.max(value / scale, normalized ? -1 : value),
    );
  }

  #floats(accessor: GltfAccessor, path: string): Float32Array {
    const { bufferView, sparse } = accessor;
    if (bufferView !== undefined && sparse === undefined) {
      const { bytes, offset, stride, elementBytes } = this.#span(accessor, bufferView, path);
      const start = bytes.byteOffset + offset;
      const length = accessor.count * COMPONENTS[accessor.type];
      if (stride === elementBytes && start % 4 === 0) return new Float32Array(bytes.buffer, start, length);
    }
    return Float32Array.from(this.#integers(accessor, path));
  }

  /** Of any component type, as it is written. */
  #integers(accessor: GltfAccessor, path: string): Float64Array {
    const { count, type, componentType, bufferView, sparse } = accessor;
    const components = COMPONENTS[type];
    const values = new Float64Array(count * components);
    if (bufferView !== undefined) {
      const { bytes, offset, stride } = this.#span(accessor, bufferView, path);
      readInto(values, { bytes, offset, stride, componentType, components, count });
    }
    if (sparse !== undefined) this.#replaceSparse(values, accessor, sparse, path);
    return values;
  }

  #replaceSparse(
    values: Float64Array,
    { count, type, componentType }: GltfAccessor,
    sparse: NonNullable<GltfAccessor["sparse"]>,
    path: string,
  ): void {
    const at = `${path}.sparse`;
    if (sparse.count > count) refuse(`${at}.count`, `must be at most ${count}, got ${sparse.count}`);
    const places = this.#integers({ ...sparse.indices, count: sparse.count, type: "SCALAR" }, `${at}.indices`);
    const replaced = this.#integers({ ...sparse.values, count: sparse.count, type, componentType }, `${at}.values`);
    const components = COMPONENTS[type];
    let last = -1;
    for (const [order, place] of places.entries()) {
      if (place <= last || place >= count) {
        refuse(`${at}.indices`, `must grow and be below ${count}, got ${place} after ${last}`);
      }
      last = place;
      values.set(replaced.subarray(order * components, (order + 1) * components), place * components);
    }
  }

  #span({ componentType, type, count, byteOffset = 0 }: Omit<GltfAccessor, "bufferView">, index: number, path: string) {
    const bytes = this.bufferView(index, `${path}.bufferView`);
    const { byteOffset: viewOffset = 0, byteStride } = entryOf(this.#json.bufferViews, index, path, "bufferViews");
    const componentBytes = KINDS[componentType].bytes;
    const elementBytes = componentBytes * COMPONENTS[type];
    const stride = byteStride ?? elementBytes;
    if ((byteOffset + viewOffset) % componentBytes !== 0 || stride % componentBytes !== 0) {
      refuse(`${path}.byteOffset`, `must be aligned to ${componentBytes} bytes, got ${byteOffset} + ${viewOffset}`);
    }
    if (stride < elementBytes) {
      refuse(`bufferViews[${index}].byteStride`, `must be at least ${elementBytes} for ${path}, got ${stride}`);
    }
    const end = byteOffset + stride * (count - 1) + elementBytes;
    if (end > bytes.byteLength) {
      refuse(path, `must end within the ${bytes.byteLength} bytes of its view, ${count} elements end at ${end}`);
    }
    return { bytes, offset: byteOffset, stride, elementBytes };
  }
}

interface Span {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly stride: number;
  readonly componentType: GltfAccessor["componentType"];
  readonly components: number;
  readonly count: number;
}

function readInto(values: Float64Array, { bytes, offset, stride, componentType, components, count }: Span): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { read, bytes: componentBytes } = KINDS[componentType];
  for (let element = 0; element < count; element += 1) {
    const start = offset + element * stride;
    for (let component = 0; component < components; component += 1) {
      values[element * components + component] = read(view, start + component * componentBytes);
    }
  }
}
