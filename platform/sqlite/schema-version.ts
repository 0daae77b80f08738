/**
 * Which schema a database has. Its header says it twice, as `user_version` and within `application_id`, so that rot is
 * told from a newer program's schema. Pure.
 */

/** Above the version in `application_id`: "Pe". */
const MARK = 0x5065_0000;
export const SCHEMA_VERSION_MAX = 0xffff;

export interface HeaderVersions {
  readonly userVersion: number;
  readonly applicationId: number;
}

export type SchemaVersion =
  /** Or what programs left that did not mark: whether its tables are of this schema is to be seen. */
  | { readonly kind: "known"; readonly version: number; readonly isMarked: boolean }
  | { readonly kind: "newer"; readonly version: number }
  | { readonly kind: "broken"; readonly because: string };

export const markOf = (version: number): number => MARK + version;

/** `newest` is the newest schema that this program knows. */
export function decideSchemaVersion({ userVersion, applicationId }: HeaderVersions, newest: number): SchemaVersion {
  const version = userVersion;
  if (applicationId === markOf(version) && version > 0 && version <= SCHEMA_VERSION_MAX) {
    return version > newest ? { kind: "newer", version } : { kind: "known", version, isMarked: true };
  }
  // A program that marks none is older than this one.
  if (applicationId === 0 && version >= 0 && version <= newest) return { kind: "known", version, isMarked: false };
  const because = `its header has schema ${version} and is marked ${applicationId}, which no program wrote`;
  return { kind: "broken", because };
}
