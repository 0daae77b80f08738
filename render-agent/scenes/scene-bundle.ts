/** Brings all files of a scene and makes one file of them that sessions read; nothing is kept that cannot be drawn. */
import type { Digest, Manifest } from "#domain/content/release.ts";
import { makeSounds, SOUND_FILES_BYTES_MAX, soundPathsOf, withFiles } from "../audio/scene-sounds.ts";
import { GLTF_BYTES_MAX, type GltfFile, isGlb, openGltfFile } from "../gltf/gltf-file.ts";
import { readGltfScene } from "../gltf/gltf-scene.ts";
import { packGlb } from "../gltf/pack-glb.ts";
import { bundlePathsOf } from "../gltf/resource-uris.ts";
import { parseScene, SCENE_BYTES_MAX } from "../renderer/scene.ts";
import type { SceneFolder } from "./scene-folder.ts";
import { fileOf, type HostedApp } from "./scene-source.ts";

export interface SceneBundle {
  readonly app: HostedApp;
  readonly manifest: Manifest;
  /** From disk, or fetched and kept there. */
  readonly obtain: (digest: Digest, bytesMax: number) => Promise<Uint8Array>;
  readonly folder: Pick<SceneFolder, "keep">;
}

export interface BroughtScene {
  /** Of the file that sessions read. */
  readonly digest: Digest;
  /** Of all files of the bundle that it is made of. */
  readonly sources: readonly Digest[];
}

/** Throws `scene-invalid`, and what `obtain` and `keep` throw. */
export async function bringScene(bundle: SceneBundle): Promise<BroughtScene> {
  const { app, manifest, obtain } = bundle;
  const { path } = app.spec.bundle;
  const { digest } = fileOf(app, manifest, path);
  if (!/\.(glb|gltf)$/i.test(path)) {
    return bringPrimitives(bundle, digest);
  }
  const bytes = await obtain(digest, GLTF_BYTES_MAX);
  const file = openGltfFile(bytes);
  const paths = bundlePathsOf(file.json, path);
  if (isGlb(bytes) && paths.size === 0) {
    readGltfScene(file, new Map());
    return { digest, sources: [digest] };
  }
  return bringParts(bundle, { file, paths, digest, bytesLeft: GLTF_BYTES_MAX - bytes.byteLength });
}

/** As it is, or with the files of its sounds in it. */
async function bringPrimitives({ app, manifest, obtain, folder }: SceneBundle, digest: Digest): Promise<BroughtScene> {
  const scene = parseScene(await obtain(digest, SCENE_BYTES_MAX));
  const { sounds = [] } = scene;
  const { files, sources } = await obtainAll(soundPathsOf(sounds, app.spec.bundle.path), SOUND_FILES_BYTES_MAX, {
    app,
    manifest,
    obtain,
  });
  const own = withFiles(sounds, files);
  makeSounds(own);
  if (files.size === 0) return { digest, sources: [digest] };
  const packed = Buffer.from(JSON.stringify({ ...scene, sounds: own }));
  parseScene(packed);
  return { digest: await folder.keep(packed), sources: [digest, ...sources] };
}

interface Parts {
  readonly file: GltfFile;
  readonly paths: ReadonlyMap<string, string>;
  readonly digest: Digest;
  readonly bytesLeft: number;
}

async function bringParts(bundle: SceneBundle, { file, paths, digest, bytesLeft }: Parts): Promise<BroughtScene> {
  const { files, sources } = await obtainAll(paths, bytesLeft, bundle);
  // As its author wrote it, so that faults have their places, and as sessions will read it.
  readGltfScene(file, files);
  const packed = packGlb(file, files);
  readGltfScene(openGltfFile(packed), new Map());
  return { digest: await bundle.folder.keep(packed), sources: [digest, ...sources] };
}

/** By URI; together they have at most so many bytes. */
async function obtainAll(
  paths: ReadonlyMap<string, string>,
  bytesMax: number,
  { app, manifest, obtain }: Omit<SceneBundle, "folder">,
) {
  const files = new Map<string, Uint8Array>();
  const sources: Digest[] = [];
  let left = bytesMax;
  for (const [uri, path] of paths) {
    const { digest } = fileOf(app, manifest, path);
    const bytes = await obtain(digest, left);
    left -= bytes.byteLength;
    sources.push(digest);
    files.set(uri, bytes);
  }
  return { files, sources };
}
