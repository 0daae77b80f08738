/** Makes one .glb of a .gltf and its files, so that a scene is one file with one digest wherever it goes. Pure. */
import { type GltfFile, glbOf } from "./gltf-file.ts";
import { type ResourceBytes, resourceBytesOf } from "./resource-uris.ts";

/** Throws `scene-invalid` where a file is missing. */
export function packGlb(file: GltfFile, files: ResourceBytes): Uint8Array {
  const { json } = file;
  const resources = resourceBytesOf(file, files);
  const binary = new BinaryChunk();
  const bases = (json.buffers ?? []).map(({ uri = "", byteLength }) =>
    binary.append((resources.get(uri) ?? new Uint8Array()).subarray(0, byteLength)),
  );
  const bufferViews = (json.bufferViews ?? []).map((view) => {
    const base = bases[view.buffer];
    return base === undefined ? view : { ...view, buffer: 0, byteOffset: base + (view.byteOffset ?? 0) };
  });
  const images = json.images?.map(({ uri, ...image }) => {
    const bytes = uri === undefined ? undefined : resources.get(uri);
    if (bytes === undefined) return image;
    const view = { buffer: 0, byteOffset: binary.append(bytes), byteLength: bytes.byteLength };
    return { ...image, bufferView: bufferViews.push(view) - 1 };
  });
  const { buffers: _buffers, ...rest } = json;
  return glbOf(
    {
      ...rest,
      ...(bufferViews.length === 0 ? {} : { bufferViews }),
      ...(images === undefined ? {} : { images }),
      ...(binary.byteLength === 0 ? {} : { buffers: [{ byteLength: binary.byteLength }] }),
    },
    binary.parts,
  );
}

class BinaryChunk {
  readonly parts: Uint8Array[] = [];
  byteLength = 0;

  /** Where it begins: a multiple of 4. */
  append(bytes: Uint8Array): number {
    const start = this.byteLength;
    const padding = (4 - (bytes.byteLength % 4)) % 4;
    this.parts.push(bytes, new Uint8Array(padding));
    this.byteLength += bytes.byteLength + padding;
    return start;
  }
}
