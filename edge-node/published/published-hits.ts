/** Finds in memory what a published site answers a simple request with at once, as its full lane decides and says it. */
import type { Manifest, ManifestFile } from "#domain/content/release.ts";
import type { PublishedContent } from "#domain/content/site.ts";
import { ifNoneMatchNames } from "#domain/http/entity-tag.ts";
import { fieldsOf } from "#domain/http/fields.ts";
import type { Freshness } from "../caching/storage.ts";
import type { DesiredSite } from "../desired-state/desired-view.ts";
import type { LaneRequest } from "../front/fast-lane.ts";
import type { HitOf, PublishedHead, PublishedObject, StoredHit } from "../front/prepared-hits.ts";
import type { ObjectMemory } from "./object-memory.ts";
import { entityTagOf, type Representation, simpleRepresentation } from "./published-request.ts";
import { fieldsFor } from "./published-site.ts";

/** Nothing makes a release old but the next. */
const FOREVER_SECONDS = 1e9;

/** One for each coding of a file. */
type Objects = Map<Representation["coding"], PublishedObject>;

export class PublishedHits {
  readonly #memory: Pick<ObjectMemory, "get">;
  /** As long as its release is served. */
  readonly #objects = new WeakMap<ManifestFile, Objects>();

  constructor(memory: Pick<ObjectMemory, "get">) {
    this.#memory = memory;
  }

  find(request: LaneRequest, content: PublishedContent, manifest: Manifest): HitOf<PublishedObject> | undefined {
    const found = simpleRepresentation(request.target, request.fields, content, manifest);
    if (found === undefined) return undefined;
    const { file, representation } = found;
    const body = this.#memory.get(representation.digest);
    if (body === undefined) return undefined;
    const { ifNoneMatch } = request;
    const isNotModified = ifNoneMatch !== undefined && ifNoneMatchNames(ifNoneMatch, entityTagOf(representation));
    const kind = isNotModified ? "not-modified" : request.isHead ? "head" : "whole";
    return { stored: this.#objectOf(manifest.site, file, representation), body, kind };
  }

  /** For other processes to answer with, as with a stored response, until the site has another release. */
  lend(request: LaneRequest, site: DesiredSite, manifest: Manifest, nowMs: number): StoredHit | undefined {
    const { publish } = site.spec;
    const found = publish && simpleRepresentation(request.target, request.fields, publish, manifest);
    const body = found && this.#memory.get(found.representation.digest);
    if (found === undefined || body === undefined) return undefined;
    const { file, representation } = found;
    const { status, heads } = this.#objectOf(site.name, file, representation);
    const vary = representation.isNegotiated ? ["vary", "accept-encoding"] : [];
    const stored = {
      ...{ site: site.name, webOrigin: request.webOrigin, key: request.target, varyNames: [], variant: "" },
      ...{ status, heads, body, freshness: { ...ALWAYS_FRESH, receivedAtMs: nowMs }, requestedAtMs: nowMs },
      fields: fieldsOf(["etag", entityTagOf(representation), ...vary]),
    };
    return { stored, body, kind: "whole", ageSeconds: 0, ttlSeconds: FOREVER_SECONDS };
  }

  #objectOf(site: string, file: ManifestFile, representation: Representation): PublishedObject {
    const objects: Objects = this.#objects.get(file) ?? new Map();
    this.#objects.set(file, objects);
    const object = objects.get(representation.coding) ?? objectOf(site, representation);
    objects.set(representation.coding, object);
    return object;
  }
}

const ALWAYS_FRESH: Omit<Freshness, "receivedAtMs"> = {
  initialAgeSeconds: 0,
  lifetimeSeconds: FOREVER_SECONDS,
  alwaysValidate: false,
  neverStale: false,
  hasSharedLifetime: false,
  staleWhileRevalidateSeconds: -1,
  staleIfErrorSeconds: -1,
};

function objectOf(site: string, representation: Representation): PublishedObject {
  const { sizeBytes } = representation;
  const fields = fieldsFor(representation, "hit");
  const whole = headOf(200, { ...fields, "content-length": String(sizeBytes) });
  return { site, status: 200, body: { byteLength: sizeBytes }, heads: { whole, "not-modified": headOf(304, fields) } };
}

function headOf(status: number, fields: Readonly<Record<string, string>>): PublishedHead {
  return { status, raw: Object.entries(fields).flat() };
}
