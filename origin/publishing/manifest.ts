/** Narrows a manifest's bytes to the domain's type. Pure. */
import Type from "typebox";
import { Value } from "typebox/value";
import { DIGEST_PATTERN, type Manifest } from "#domain/content/release.ts";
import { Failure } from "#domain/failure.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { faultsOf } from "#domain/schema-faults.ts";

const closed = { additionalProperties: false };
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

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
        },
        closed,
      ),
    ),
  },
  closed,
);

/** Throws `manifest-invalid` with every fault. */
export function parseManifest(bytes: Uint8Array): Manifest {
  const value = parseJson(Buffer.from(bytes).toString());
  if (Value.Check(manifestSchema, value)) return value;
  const faults = faultsOf(Value.Errors(manifestSchema, value), value);
  throw new Failure("manifest-invalid", `manifest: ${faults.map((fault) => fault.message).join("; ")}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Failure("manifest-invalid", "a manifest must be JSON", { cause });
  }
}
