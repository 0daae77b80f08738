/** Deletes a resource at an operator's word, with what is said of its end; guard-rails are kept unless it is forced. */
import type { DeletedResult } from "#contracts/operator-api/operator.ts";
import { Failure } from "#domain/failure.ts";
import { type Kind, WRITER_BY_KIND } from "#domain/resource.ts";
import { checkPoolIsEmpty, deletePool } from "../enrolment/pools.ts";
import { findResource } from "../log/resources.ts";
import { tombstoneWrites } from "../log/tombstones.ts";
import { checkGuardRails, type RailParts, type RailWarnings } from "../policy-trial/guard-rails.ts";
import { deleteSite } from "../publishing/releases.ts";
import { keepRails } from "./keep-rails.ts";

export interface DeleteOptions {
  readonly force: boolean;
  readonly onForced: (breaches: RailWarnings) => void;
}

/** Throws `permission-denied` for what operators do not write, `not-found`, `guard-rails-broken`, or `resource-conflict`. */
export async function deleteResource(
  parts: RailParts,
  { kind, name }: { readonly kind: Kind; readonly name: string },
  options: DeleteOptions,
): Promise<DeletedResult> {
  if (WRITER_BY_KIND[kind] !== "operator" && kind !== "Node") {
    throw new Failure("permission-denied", `kind ${kind} is written by the ${WRITER_BY_KIND[kind]}, not by operators`);
  }
  const { log, clock, observed } = parts;
  if (kind === "NodePool") checkPoolIsEmpty(log, name);
  const judged = findResource(log, kind, name);
  const change = { written: [], deleted: judged === undefined ? [] : [{ kind, name }] };
  const warnings = keepRails(await checkGuardRails(parts, change, options), options);
  const said = tombstoneWrites(log, kind, name, clock.nowMs());
  if (kind === "Site") await deleteSite(log, name, said);
  else if (kind === "NodePool") await deletePool(log, name, said);
  else await log.write([{ kind, name, render: () => undefined }, ...said]);
  if (kind === "Node") observed.forget(name);
  return { revision: log.revision(), ...(warnings.length === 0 ? {} : { warnings: [...warnings] }) };
}
