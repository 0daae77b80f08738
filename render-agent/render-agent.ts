/** What a render-agent does: scenes, capacity and sessions follow the pool's set, and every edge hears of what changes. */
import { totalmem } from "node:os";
import type { AgentStatus } from "#domain/fleet/node.ts";
import { parseAddress } from "#platform/address.ts";
import type { Readiness } from "#platform/http/admin-listener.ts";
import { serverNameOf } from "#platform/identity/peer.ts";
import type { AgentParts } from "./agent-parts.ts";
import { HostCapacity } from "./capacity/host-capacity.ts";
import type { AgentConfig } from "./config.ts";
import { EdgeLink } from "./control/edge-link.ts";
import { EdgeLinks } from "./control/edge-links.ts";
import type { BatchOutcome, SignedBatch } from "./control/pool-set.ts";
import { isRevoked, nodeSpecOf, sessionSecondsMaxOf } from "./control/pool-view.ts";
import { reasonsAgainst } from "./readiness.ts";
import { SceneKeeper } from "./scenes/scene-keeper.ts";
import { verifyGrant } from "./session/grants.ts";
import type { MediaPlace } from "./session/messages.ts";
import { type EndedLease, SessionHost } from "./session/session-host.ts";
import { type HostHealth, Spares } from "./session/spares.ts";

/** Of the machine's: the rest is the system's and the agent's own. */
const MEMORY_RATIO = 0.8;

export class RenderAgent implements AsyncDisposable {
  readonly #parts: AgentParts;
  readonly #spares: Spares;
  readonly #scenes: SceneKeeper;
  readonly #capacity: HostCapacity;
  readonly #host: SessionHost;
  readonly #links: EdgeLinks;
  #isStopping = false;

  /** Everything that is told below comes later than this. */
  constructor(parts: AgentParts) {
    const { config, identity, set, leases, events } = parts;
    const takeProcess = () => this.#spares.take();
    this.#parts = parts;
    this.#spares = new Spares({
      ...parts,
      count: config.capacity.spares,
      start: parts.startProcess,
      onHealth: (health) => this.#onHealth(health),
    });
    this.#scenes = new SceneKeeper({
      ...parts,
      folder: parts.sceneFolder,
      resources: () => set.resources,
      publishKeys: () => identity.trust.publishKeys,
      fetchBlob: (digest, bytesMax) => this.#links.fetchBlob(digest, bytesMax),
      onChange: () => this.#onChange(),
    });
    this.#capacity = new HostCapacity({
      ...parts,
      takeProcess: async () => {
        const process = await takeProcess();
        await this.#spares.settled();
        return process;
      },
      giveBack: (process) => this.#spares.giveBack(process),
      room: { slotsMax: parts.slotsMax, memoryBytes: totalmem() * MEMORY_RATIO },
      apps: () => this.#scenes.apps,
      sceneOf: (app) => this.#scenes.get(app),
      health: () => this.#spares.health,
      isIdle: () => leases.all().length === 0,
      onChange: () => this.#onChange(),
    });
    this.#host = new SessionHost({
      ...parts,
      takeProcess,
      verify: (shown) => verifyGrant(this.#grantPorts(), shown),
      hostedClass: (app, renderClass) => this.#capacity.hostedClass(app, renderClass),
      noRoomBecause: (hosted, running) => this.#capacity.noRoomBecause(hosted, running),
      closedBecause: () => this.#reasons()[0],
      sessionSecondsMax: (app, tier) => sessionSecondsMaxOf(set.resources, app, tier),
      mediaOf: (slot) => ({ ...mediaOf(config, slot), ...iceServersFor(parts) }),
      issueUrl: (take) => parts.door.issue(take),
      onAppLine: events.appLine,
      onEnded: (ended) => this.#onEnded(ended),
      onChange: () => this.#onChange(),
    });
    this.#links = new EdgeLinks((onUp) => config.edges.map((edge) => this.#linkTo(edge, onUp)), parts.random);
    events.applied(set.watermark?.revision ?? 0);
    this.#scenes.update();
  }

  readiness(): Readiness {
    const reasons = [...this.#reasons(), ...(this.#links.upCount === 0 ? ["no-edge"] : [])];
    return { ready: reasons.length === 0, reasons };
  }

  /** Sessions end while the streams still stand, so that clients and edges hear of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    this.#links.sendStatus();
    await Promise.all([this.#host, this.#capacity, this.#spares].map((part) => part[Symbol.asyncDispose]()));
    // The end of the streams ends what scenes are being fetched by.
    await Promise.all([this.#links, this.#scenes].map((part) => part[Symbol.asyncDispose]()));
  }

  #status(): AgentStatus {
    const reasons = this.#reasons();
    return {
      agent: this.#parts.config.name,
      incarnation: this.#parts.fences.incarnation,
      ready: reasons.length === 0,
      reasons,
      slots: this.#capacity.slots(this.#host.running()),
      sessions: this.#host.statuses(),
    };
  }

  #reasons(): readonly string[] {
    const { set, config } = this.#parts;
    return reasonsAgainst({
      health: this.#spares.health,
      isStopping: this.#isStopping,
      hasSet: set.watermark !== undefined,
      node: nodeSpecOf(set.resources, config.name),
      missing: this.#capacity.missing(),
    });
  }

  #grantPorts() {
    const { identity, set, clock } = this.#parts;
    return {
      pool: identity.peer.pool,
      trust: () => identity.trust,
      isRevoked: (subject: Parameters<typeof isRevoked>[1]) => isRevoked(set.resources, subject),
      nowMs: () => clock.nowMs(),
    };
  }

  #linkTo({ name, control }: AgentConfig["edges"][number], onUp: () => void): EdgeLink {
    const { identity, set, fences, events } = this.#parts;
    return new EdgeLink({
      ...this.#parts,
      edge: name,
      address: parseAddress(control),
      tls: () => identity.clientTls(serverNameOf({ role: "edge", name })),
      incarnation: fences.incarnation,
      watermark: () => set.watermark,
      needsSnapshot: () => set.needsSnapshot,
      status: () => this.#status(),
      applyBatch: (envelope) => this.#applyBatch(name, envelope),
      lease: (request) => this.#host.lease(request),
      endSession: (end) => this.#host.end(end),
      onUp: () => {
        events.linkUp(name);
        onUp();
        this.#scenes.update();
      },
      onDown: (reason) => {
        set.forgetParts(name);
        events.linkDown(name, reason);
      },
    });
  }

  #applyBatch(edge: string, envelope: SignedBatch): BatchOutcome {
    const { set, events, config } = this.#parts;
    const outcome = set.apply(edge, envelope);
    if (outcome !== "applied") return outcome;
    events.applied(set.watermark?.revision ?? 0);
    this.#scenes.update();
    if (nodeSpecOf(set.resources, config.name)?.draining === true) this.#host.endAll("draining");
    this.#onChange();
    return outcome;
  }

  #onHealth(health: HostHealth): void {
    this.#parts.events.health(health);
    this.#onChange();
  }

  #onEnded(ended: EndedLease): void {
    this.#parts.events.sessionEnded(ended);
    if (ended.wasAnswered) this.#links.tellEnded(ended);
  }

  #onChange(): void {
    this.#capacity.update();
    const { slots, sessions } = this.#status();
    this.#parts.events.occupied(sessions.length, slots);
    this.#links.sendStatus();
  }
}

/** Each session has credentials of its own; the process that it runs in is not told the secret. */
function iceServersFor({ iceServers, config, clock }: AgentParts): Pick<MediaPlace, "iceServers"> {
  const servers = iceServers.forUser(config.name, clock.nowMs());
  return servers.length === 0 ? {} : { iceServers: servers };
}

function mediaOf({ media }: AgentConfig, slot: number): MediaPlace {
  const { bindAddress, portBegin, advertise } = media;
  const port = portBegin === 0 ? 0 : portBegin + slot;
  return { bindAddress, port, ...(advertise === undefined ? {} : { advertise }) };
}
