/** Lets a client in by its app token alone: gathers what the decision needs, and signs the edge's own placement. */
import type { Resources } from "#contracts/codec/set-state.ts";
import type { AppClaims } from "#contracts/tokens/claims.ts";
import { judgeLabels, type Labels } from "#domain/placement/labels.ts";
import { selectPolicy } from "#domain/placement/policy-selection.ts";
import type { Tier } from "#domain/policy/placement-policy.ts";
import type { NamedPolicy } from "#domain/policy/policy-match.ts";
import { compilePolicy, compilePoolExpressions } from "#platform/cel/policies.ts";
import { BoundedMap } from "#platform/concurrency/bounded-map.ts";
import type { Random } from "#platform/random.ts";
import { resourcesOf } from "../desired-state/desired-view.ts";
import type { AgentDirectory } from "./agent-directory.ts";
import { type DirectFacts, decideDirect } from "./direct-session.ts";
import { type GrantPorts, type SessionGrant, signPlacement, verifyAppToken, verifyPlacement } from "./grants.ts";
import { nodeSpecOf } from "./membership.ts";

/** Less than a placement lives: a client whose answer was lost asks again, and gets the same session. */
const MEMORY_MS = 20_000;
export const DIRECT_REMEMBERED_MAX = 2_048;
const SESSION_ID_BYTES = 16;

export interface DirectPorts extends GrantPorts {
  readonly directory: AgentDirectory;
  readonly resources: () => Resources;
  readonly random: Random;
  readonly isCutOff: () => boolean;
}

export interface DirectAdmission {
  /** The placement, compact JWS. */
  readonly token: string;
  readonly grant: SessionGrant;
}

export class DirectSessions {
  readonly #ports: DirectPorts;
  readonly #isDirect: (session: string) => boolean;
  readonly #placements: BoundedMap<string, string>;

  constructor(ports: DirectPorts, isDirect: (session: string) => boolean) {
    this.#ports = ports;
    this.#isDirect = isDirect;
    const lifetime = { ms: MEMORY_MS, clock: ports.clock };
    this.#placements = new BoundedMap({ entriesMax: DIRECT_REMEMBERED_MAX, lifetime });
  }

  /** Throws `token-*`, `not-found`, `placement-refused`, `overloaded` or `no-pool-fits`. */
  async admit(appToken: string, tier: Tier, thumbprint: string): Promise<DirectAdmission> {
    const token = await verifyAppToken(this.#ports, appToken);
    const key = keyOf(token.sub, thumbprint);
    const before = this.#placements.get(key);
    if (before !== undefined) return { token: before, grant: await verifyPlacement(this.#ports, before) };
    const decision = decideDirect(this.#factsFor(token, tier));
    if (decision.kind === "refuse") throw decision.failure;
    const { renderClass, budget } = decision;
    const session = `d-${Buffer.from(this.#ports.random.bytes(SESSION_ID_BYTES)).toString("base64url")}`;
    const claims = { session, attempt: 1, app: token.sub, tier, renderClass, cnf: { jkt: thumbprint } };
    const tenant = token.tenant === undefined ? {} : { tenant: token.tenant };
    const placement = await signPlacement(this.#ports, { ...claims, ...tenant, budget });
    this.#placements.set(key, placement);
    return { token: placement, grant: await verifyPlacement(this.#ports, placement) };
  }

  /** What its client asks for next is another session. */
  forget(app: string, thumbprint: string): void {
    this.#placements.delete(keyOf(app, thumbprint));
  }

  #factsFor(token: AppClaims, tier: Tier): DirectFacts {
    const { directory, identity, isCutOff } = this.#ports;
    const { pool, name } = identity.peer;
    const resources = this.#ports.resources();
    const sessions = directory.sessions();
    const { policies, labels } = judgedPolicies(resources, pool);
    const app = resources.get(`RenderApp/${token.sub}`);
    const node = nodeSpecOf(resources, name);
    return {
      pool,
      labels,
      isCutOff: isCutOff(),
      isClosed: node === undefined || node.cordoned || node.draining,
      app: app?.kind === "RenderApp" ? app.spec : undefined,
      policy: selectPolicy(policies, token.sub, tier, { tenant: token.tenant }),
      token,
      appSessions: sessions.filter((session) => session.app === token.sub).length,
      directSessions: sessions.filter(({ session }) => this.#isDirect(session)).length,
      freeSlots: directory.freeSlots(),
      slotsTotal: directory.slotsTotal(),
      frameMsP95: (renderClass) => directory.frameMsP95(renderClass),
    };
  }
}

interface JudgedPolicies {
  readonly policies: readonly NamedPolicy[];
  readonly labels: Labels;
}

/** Of each set that was asked: a set does not change, what follows it is another map. */
const JUDGED = new WeakMap<Resources, JudgedPolicies>();

function judgedPolicies(resources: Resources, pool: string): JudgedPolicies {
  const known = JUDGED.get(resources);
  if (known !== undefined) return known;
  const written = [...resourcesOf(resources, "PlacementPolicy")];
  const resource = resources.get(`NodePool/${pool}`);
  const expressions = compilePoolExpressions(written.map(({ spec }) => spec));
  const judged = {
    policies: written.map(({ metadata, spec }) => compilePolicy(metadata.name, spec)),
    labels: resource?.kind === "NodePool" ? judgeLabels(resource, expressions) : {},
  };
  JUDGED.set(resources, judged);
  return judged;
}

function keyOf(app: string, thumbprint: string): string {
  return `${app} ${thumbprint}`;
}
