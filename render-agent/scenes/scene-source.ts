/** Which files an app's scene and program are: of its site's releases, the newest first, by their signed manifests. Pure. */
import type { Resources } from "#contracts/codec/set-state.ts";
import type { Manifest, ManifestFile, ReleaseSpec } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import type { RenderAppSpec } from "#domain/session/render-app.ts";
import { APP_FILE_NAME } from "../apps/app-source.ts";

export interface HostedApp {
  readonly name: string;
  readonly spec: RenderAppSpec;
  /** Of the scene's site, newest first. */
  readonly releases: readonly ReleaseSpec[];
}

/** By name. */
export function hostedApps(resources: Resources): readonly HostedApp[] {
  const all = [...resources.values()];
  const releases = all.flatMap((resource) => (resource.kind === "Release" ? [resource.spec] : []));
  return all
    .flatMap((resource) => (resource.kind === "RenderApp" ? [resource] : []))
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .map(({ metadata, spec }) => ({
      name: metadata.name,
      spec,
      releases: releases
        .filter(({ site }) => site === spec.bundle.site)
        .toSorted((a, b) => b.generation - a.generation),
    }));
}

/** The app beside the scene, in its folder; `undefined` where the bundle is a scene alone. */
export function appFileOf({ spec }: HostedApp, manifest: Manifest): ManifestFile | undefined {
  const { path } = spec.bundle;
  const beside = `${path.slice(0, path.lastIndexOf("/") + 1)}${APP_FILE_NAME}`;
  return Object.hasOwn(manifest.files, beside) ? manifest.files[beside] : undefined;
}

/** A file of the release that the app's scene is in. Throws `scene-invalid` where it is not there. */
export function fileOf({ name, spec }: HostedApp, manifest: Manifest, path: string): ManifestFile {
  const file = Object.hasOwn(manifest.files, path) ? manifest.files[path] : undefined;
  if (file !== undefined) return file;
  throw new Failure(
    "scene-invalid",
    `app ${name}: release ${manifest.generation} of ${spec.bundle.site} has no file ${path}`,
  );
}
