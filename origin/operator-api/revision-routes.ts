/** What a policy said before: its last revisions, and one of them. */
import type { Static } from "typebox";
import { describedResource } from "#contracts/operator-api/resources/components.ts";
import { revisionListSchema, revisionParamsSchema, revisionsParamsSchema } from "#contracts/operator-api/revisions.ts";
import { Failure } from "#domain/failure.ts";
import { isKind, type Kind } from "#domain/resource.ts";
import type { ApiServer } from "#platform/http/api-server.ts";
import { describedAs } from "#platform/http/openapi.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { isRevised, POLICY_REVISIONS_MAX, type PolicyRevision, REVISED_KINDS } from "../records/policy-revisions.ts";
import type { Records } from "../records/records.ts";
import { authorise, type TokenDesk } from "./authorisation.ts";
import { changedPointers } from "./changed-pointers.ts";

export interface RevisionRouteParts extends TokenDesk {
  readonly log: ResourceLog;
  readonly records: Pick<Records, "policies">;
}

export function addRevisionRoutes(server: ApiServer, parts: RevisionRouteParts): void {
  const { log, records, clock } = parts;
  const listed = { summary: "the last revisions of a policy, the newest first", params: revisionsParamsSchema };
  const listSchema = { ...listed, response: { 200: revisionListSchema } };
  server.get("/v1/resources/:kind/:name/revisions", { schema: listSchema }, async (request) => {
    await authorise(parts, request.headers.authorization, "read");
    const { kind, name } = request.params;
    const revisions = listRevisions(kind, name);
    return { items: revisions.map((revision, index) => toItem(revision, revisions[index + 1])) };
  });
  const one = { summary: "a policy as it was at one of its revisions", params: revisionParamsSchema };
  const oneSchemas = { schema: one, config: describedAs({ response: { 200: describedResource } }) };
  server.get("/v1/resources/:kind/:name/revisions/:revision", oneSchemas, async (request) => {
    await authorise(parts, request.headers.authorization, "read");
    const { kind, name, revision } = request.params;
    const found = listRevisions(kind, name).find((candidate) => candidate.revision === revision);
    if (found === undefined) {
      const message = `${kind} ${name} has no revision ${revision} among its last ${POLICY_REVISIONS_MAX}: perigee revisions ${kind} ${name} lists them`;
      throw new Failure("not-found", message);
    }
    if (found.deleted) throw new Failure("not-found", `revision ${revision} is the deletion of ${kind} ${name}`);
    return documentOf(found);
  });

  /** Throws `argument-invalid` for a kind of which none are kept, `not-found` where there never was one. */
  function listRevisions(text: string, name: string): readonly PolicyRevision[] {
    const kind: Kind | undefined = isKind(text) && isRevised(text) ? text : undefined;
    if (kind === undefined) {
      throw new Failure("argument-invalid", `revisions are kept of ${REVISED_KINDS.join(", ")}, not of ${text}`);
    }
    records.policies.follow(log, clock.nowMs());
    const revisions = records.policies.list(kind, name);
    if (revisions.length === 0) throw new Failure("not-found", `${kind} ${name} does not exist, and did not before`);
    return revisions;
  }
}

function toItem(
  revision: PolicyRevision,
  before: PolicyRevision | undefined,
): Static<typeof revisionListSchema>["items"][number] {
  const [earlier, later] = [before, revision].map((one) => one && documentOf(one));
  return {
    ...{ revision: revision.revision, deleted: revision.deleted, seenAtMs: revision.seenAtMs },
    generation: Number(later?.metadata?.generation ?? 0),
    changed: changedPointers(saidBy(earlier), saidBy(later)),
  };
}

interface KeptDocument {
  readonly metadata?: { readonly generation?: number; readonly labels?: unknown };
  readonly spec?: unknown;
}

function saidBy(document: KeptDocument | undefined) {
  return { spec: document?.spec, metadata: { labels: document?.metadata?.labels } };
}

/** As it was stored: an earlier version may have written what this one would not. */
function documentOf({ deleted, json }: PolicyRevision): KeptDocument {
  const value: unknown = deleted ? {} : JSON.parse(json);
  return typeof value === "object" && value !== null ? value : {};
}
