/** Opens a signed manifest: digest, signature, format, and that it is the one its release names; on receipt and on load. */
import { createHash } from "node:crypto";
import Type from "typebox";
import { Compile } from "typebox/compile";
import {
  DIGEST_PATTERN,
  MANIFEST_CONTEXT,
  type Manifest,
  type ManifestReference,
  releaseName,
} from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { faultsOf } from "#domain/schema-faults.ts";

/** A site of 100,000 files stays below it. */
export const MANIFEST_BYTES_MAX = 32 * 1024 * 1024;

const closed = { additionalProperties: false };
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

const blob = Type.Object({ digest: Type.String({ pattern: DIGEST_PATTERN }), sizeBytes: count }, closed);

const manifestSchema = Type.Object(
  {
    formatVersion: Type.Literal(1),
    site: Type.String({ pattern: NAME_PATTERN }),
    generation: count,
    createdAtMs: count,
    files: Type.Record(
      Type.String({ pattern: "^/" }),
      Type.Object(
        {
          digest: Type.String({ pattern: DIGEST_PATTERN }),
          sizeBytes: count,
          mediaType: Type.String(),
          fields: Type.Optional(Type.Record(Type.String(), Type.String())),
          encodings: Type.Optional(
            Type.Object({ br: Type.Optional(blob), zstd: Type.Optional(blob), gzip: Type.Optional(blob) }, closed),
          ),
        },
        closed,
      ),
    ),
  },
  closed,
);

/** Compiled, because an edge opens its manifests before it serves: 10,000 files take 40 ms, interpreted 330 ms. */
const manifestValidator = Compile(manifestSchema);

export interface ManifestClaim {
  readonly site: string;
  readonly generation: number;
  readonly manifest: Pick<ManifestReference, "signature" | "keyId" | "digest">;
}

export interface SignedManifest {
  readonly context: typeof MANIFEST_CONTEXT;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly keyId: string;
}

/**
 * `checkSignature` throws `signature-invalid`; nothing is read before it has passed. Throws `digest-mismatch`,
 * `manifest-invalid`, or `generation-regressed` for an older one's bytes.
 */
export function openManifest(
  bytes: Uint8Array,
  claim: ManifestClaim,
  checkSignature: (signed: SignedManifest) => void,
): Manifest {
  const { digest, signature, keyId } = claim.manifest;
  const name = releaseName(claim.site, claim.generation);
  const actual = createHash("sha256").update(bytes).digest("hex");
  if (actual !== digest)
    throw new Failure("digest-mismatch", `manifest ${name}: has the digest ${actual}, not ${digest}`);
  checkSignature({ context: MANIFEST_CONTEXT, bytes, signature: Buffer.from(signature, "base64url"), keyId });
  const manifest = parseManifest(bytes);
  if (manifest.site !== claim.site) {
    throw new Failure("manifest-invalid", `manifest ${name}: is of the site ${manifest.site}`);
  }
  if (manifest.generation !== claim.generation) {
    throw new Failure("generation-regressed", `manifest ${name}: is of generation ${manifest.generation}`);
  }
  return manifest;
}

/** Throws `manifest-invalid` with every fault. */
export function parseManifest(bytes: Uint8Array): Manifest {
  const value = parseJson(Buffer.from(bytes).toString());
  if (manifestValidator.Check(value)) return value;
  const faults = faultsOf(manifestValidator.Errors(value), value);
  throw new Failure("manifest-invalid", `manifest: ${faults.map((fault) => fault.message).join("; ")}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Failure("manifest-invalid", "a manifest must be JSON", { cause });
  }
}
