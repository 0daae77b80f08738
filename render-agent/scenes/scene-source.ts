/** Which file an app's scene is: of its site's releases, the newest first, by their signed manifests. Pure. */
import type { Resources } from "#contracts/codec/set-state.ts";
import type { Manifest, ManifestFile, ReleaseSpec } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import type { RenderAppSpec } from "#domain/session/render-app.ts";

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

/** Throws `scene-invalid` where the release does not have the file. */
export function sceneFileOf({ name, spec }: HostedApp, manifest: Manifest): ManifestFile {
  const { site, path } = spec.bundle;
  const file = Object.hasOwn(manifest.files, path) ? manifest.files[path] : undefined;
  if (file !== undefined) return file;
  throw new Failure("scene-invalid", `app ${name}: release ${manifest.generation} of ${site} has no file ${path}`);
}
