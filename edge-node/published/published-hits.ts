/** Finds in memory what a published site answers a simple request with at once, as its full lane decides and says it. */
import type { Manifest, ManifestFile } from "#domain/content/release.ts";
import type { PublishedContent } from "#domain/content/site.ts";
import { ifNoneMatchNames } from "#domain/http/entity-tag.ts";
import type { LaneRequest } from "../front/fast-lane.ts";
import type { Hit, PublishedHead, PublishedObject } from "../front/prepared-hits.ts";
import type { ObjectMemory } from "./object-memory.ts";
import { entityTagOf, type Representation, simpleRepresentation } from "./published-request.ts";
import { fieldsFor } from "./published-site.ts";

/** One for each coding of a file. */
type Objects = Map<Representation["coding"], PublishedObject>;

export class PublishedHits {
  readonly #memory: Pick<ObjectMemory, "get">;
  /** As long as its release is served. */
  readonly #objects = new WeakMap<ManifestFile, Objects>();

  constructor(memory: Pick<ObjectMemory, "get">) {
    this.#memory = memory;
  }

  find(request: LaneRequest, content: PublishedContent, manifest: Manifest): Hit | undefined {
    const found = simpleRepresentation(request.target, request.fields, content, manifest);
    if (found === undefined) return undefined;
    const { file, representation } = found;
    const body = this.#memory.get(representation.digest);
    if (body === undefined) return undefined;
    const { ifNoneMatch } = request;
    const isNotModified = ifNoneMatch !== undefined && ifNoneMatchNames(ifNoneMatch, entityTagOf(representation));
    const kind = isNotModified ? "not-modified" : request.isHead ? "head" : "whole";
    return { stored: this.#objectOf(file, representation), body, kind };
  }

  #objectOf(file: ManifestFile, representation: Representation): PublishedObject {
    const objects: Objects = this.#objects.get(file) ?? new Map();
    this.#objects.set(file, objects);
    const object = objects.get(representation.coding) ?? objectOf(representation);
    objects.set(representation.coding, object);
    return object;
  }
}

function objectOf(representation: Representation): PublishedObject {
  const { sizeBytes } = representation;
  const fields = fieldsFor(representation, "hit");
  const whole = headOf(200, { ...fields, "content-length": String(sizeBytes) });
  return { status: 200, body: { byteLength: sizeBytes }, heads: { whole, "not-modified": headOf(304, fields) } };
}

function headOf(status: number, fields: Readonly<Record<string, string>>): PublishedHead {
  return { status, raw: Object.entries(fields).flat() };
}
