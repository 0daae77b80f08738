/** The file of keys that sign URLs: made and read by `perigee signing-key` and `sign-url`, read by `perigee edge`. */
import { existsSync } from "node:fs";
import Type, { type Static } from "typebox";
import { Value } from "typebox/value";
import { stringify } from "yaml";
import { Failure } from "#domain/failure.ts";
import { NAME_PATTERN } from "#domain/ids.ts";
import { faultsOf } from "#domain/schema-faults.ts";
import { type ProvingKey, publicKeyOf, SECRET_BYTES_MIN, type VerifyingKey } from "#edge-node/access/signing-keys.ts";
import { writeFileDurably } from "#platform/files/durable.ts";
import { exportPrivateKey, generateSigningKey, importPrivateKey } from "#platform/identity/signatures.ts";
import { systemRandom } from "#platform/random.ts";
import { parseSourceDocuments } from "#platform/yaml/documents.ts";
import { readTextFile } from "./text-file.ts";

/** As many as a Site takes. */
export const KEYS_IN_FILE_MAX = 16;

export const SIGNING_ALGORITHMS = ["ed25519", "hmac-sha-256"] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

const closed = { additionalProperties: false };
const keyId = Type.String({ pattern: NAME_PATTERN });
const fileSchema = Type.Object(
  {
    keys: Type.Array(
      Type.Union([
        Type.Object(
          {
            keyId,
            algorithm: Type.Literal("ed25519"),
            publicKey: Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" }),
            /** PKCS #8 PEM; an edge does without. */
            privateKey: Type.Optional(Type.String()),
          },
          closed,
        ),
        Type.Object(
          {
            keyId,
            algorithm: Type.Literal("hmac-sha-256"),
            secret: Type.String({ pattern: "^[A-Za-z0-9_-]{43,512}$" }),
          },
          closed,
        ),
      ]),
      { minItems: 1, maxItems: KEYS_IN_FILE_MAX },
    ),
  },
  closed,
);

type KeyFile = Static<typeof fileSchema>;
export type KeyInFile = KeyFile["keys"][number];

/** Throws `argument-invalid` with every fault and its line. */
export function readKeyFile(path: string): readonly KeyInFile[] {
  const document = parseSourceDocuments(readTextFile(path), path)[0];
  const value: unknown = document?.value ?? {};
  if (Value.Check(fileSchema, value)) return value.keys;
  const faults = faultsOf(Value.Errors(fileSchema, value), value);
  throw new Failure(
    "argument-invalid",
    faults.map((fault) => `${path}:${document?.lineOf(fault.pointer) ?? 1}: ${fault.message}`).join("\n"),
  );
}

export function verifyingKeyOf(key: KeyInFile): VerifyingKey {
  if (key.algorithm === "hmac-sha-256") return { ...key, secret: Buffer.from(key.secret, "base64url") };
  return { algorithm: key.algorithm, keyId: key.keyId, publicKey: publicKeyOf(key.publicKey) };
}

/** Throws `argument-invalid` where only the public half is there. */
export function provingKeyOf(key: KeyInFile): ProvingKey {
  if (key.algorithm === "hmac-sha-256")
    return { algorithm: key.algorithm, secret: Buffer.from(key.secret, "base64url") };
  if (key.privateKey !== undefined) return { algorithm: key.algorithm, key: importPrivateKey(key.privateKey) };
  throw new Failure("argument-invalid", `the key ${key.keyId} has no private half here: sign where it is kept`);
}

/** Adds a key as the newest, readable by its owner only. Throws `argument-invalid` for an id that is there, `storage-failed`. */
export async function addKey(path: string, id: string, algorithm: SigningAlgorithm): Promise<KeyInFile> {
  const known = existsSync(path) ? readKeyFile(path) : [];
  if (known.some((key) => key.keyId === id)) {
    throw new Failure("argument-invalid", `${path} has a key ${id}: give the new one another id`);
  }
  if (known.length >= KEYS_IN_FILE_MAX) {
    throw new Failure("argument-invalid", `${path} has ${known.length} keys, the most there can be: remove old ones`);
  }
  const key = makeKey(id, algorithm);
  await writeFileDurably(path, stringify({ keys: [...known, key] }));
  return key;
}

function makeKey(id: string, algorithm: SigningAlgorithm): KeyInFile {
  if (algorithm === "hmac-sha-256") {
    return { keyId: id, algorithm, secret: Buffer.from(systemRandom.bytes(SECRET_BYTES_MIN)).toString("base64url") };
  }
  const pair = generateSigningKey();
  const { x = "" } = pair.publicKey.export({ format: "jwk" });
  return { keyId: id, algorithm, publicKey: x, privateKey: exportPrivateKey(pair) };
}
