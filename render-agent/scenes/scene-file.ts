/** What a scene's file holds, by its first bytes: primitives in JSON ("perigee-scene/1") or glTF 2.0. */
import { isGlb, openGltfFile } from "../gltf/gltf-file.ts";
import { type GltfScene, readGltfScene } from "../gltf/gltf-scene.ts";
import { parseScene, type Scene } from "../renderer/scene.ts";

export interface SceneContent {
  /** Without instances where all there is comes from the glTF file. */
  readonly scene: Scene;
  readonly gltf: GltfScene | undefined;
}

/** Throws `scene-invalid`. */
export function readSceneFile(bytes: Uint8Array): SceneContent {
  if (!isGlb(bytes)) return { scene: parseScene(bytes), gltf: undefined };
  const gltf = readGltfScene(openGltfFile(bytes), new Map());
  return { scene: { format: "perigee-scene/1", ...gltf.environment, meshes: {}, instances: [] }, gltf };
}
