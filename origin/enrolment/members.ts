/** Whether the node a certificate names is still a member: enrolled, in that role and pool, not revoked. */
import { parseStoredResource } from "#contracts/operator-api/resources/parse.ts";
import { Failure } from "#domain/failure.ts";
import type { NodeSpec } from "#domain/fleet/node.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import type { ConnectedPeer, Role } from "#platform/identity/peer.ts";
import type { LogRow, ResourceLog } from "../log/resource-log.ts";

/** Rows read from the log at once. */
const PAGE_ROWS = 1000;

type NodeSubject = Extract<RevocationSpec["subject"], { readonly kind: "node" }>;

/** In memory as of the log's newest revision: asked for with every call, every blob and at intervals for every link. */
export class Members {
  readonly #log: ResourceLog;
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #nodes = new Map<string, NodeSpec>();
  /** By the name of the revocation. */
  readonly #revocations = new Map<string, NodeSubject>();
  #revision = 0;

  constructor(log: ResourceLog) {
    this.#log = log;
    this.#list();
  }

  /** Throws `certificate-untrusted` for another role, `permission-denied` for a node that is no member. */
  check(peer: ConnectedPeer | undefined, roles: readonly Role[]): ConnectedPeer {
    if (peer === undefined || !roles.includes(peer.role)) {
      const got = peer === undefined ? "none" : peer.role;
      throw new Failure("certificate-untrusted", `a certificate of role ${roles.join(" or ")} is needed, got ${got}`);
    }
    this.#refresh();
    const spec = this.#nodes.get(peer.name);
    if (spec === undefined || spec.role !== peer.role || spec.pool !== peer.pool) {
      throw new Failure("permission-denied", `node ${peer.name} is not enrolled as ${peer.role} of pool ${peer.pool}`);
    }
    if ([...this.#revocations.values()].some((subject) => isOf(peer, subject))) {
      throw new Failure("permission-denied", `node ${peer.name}, certificate ${peer.serial}, was revoked`);
    }
    return peer;
  }

  /** Called when this node, or a revocation of it, has changed: whoever serves it checks it again. */
  onChange(node: string, listener: () => void): Disposable {
    const listeners = this.#listeners.get(node) ?? new Set();
    this.#listeners.set(node, listeners.add(listener));
    return {
      [Symbol.dispose]: () => {
        listeners.delete(listener);
        if (listeners.size === 0 && this.#listeners.get(node) === listeners) this.#listeners.delete(node);
      },
    };
  }

  /** Tells the listeners, until the signal is aborted. */
  async follow(signal: AbortSignal): Promise<void> {
    for await (const event of this.#log.watch(this.#log.revision(), signal)) {
      const node = event.kind === "bookmark" ? undefined : nodeConcerned(event.row);
      const listeners = node === undefined ? undefined : this.#listeners.get(node);
      for (const listener of [...(listeners ?? [])]) listener();
    }
  }

  #refresh(): void {
    const revision = this.#log.revision();
    if (this.#log.compactedRevision() > this.#revision) this.#list();
    while (this.#revision < revision) {
      for (const row of this.#log.changesAfter(this.#revision, PAGE_ROWS)) this.#take(row);
    }
  }

  #list(): void {
    this.#nodes.clear();
    this.#revocations.clear();
    for (const kind of ["Node", "Revocation"] as const) {
      for (const row of this.#log.list({ kind }).rows) this.#take(row);
    }
    this.#revision = this.#log.revision();
  }

  /** Of nodes only: tokens are somebody else's. */
  #setRevocation(name: string, subject: RevocationSpec["subject"]): void {
    if (subject.kind === "node") this.#revocations.set(name, subject);
    else this.#revocations.delete(name);
  }

  #take(row: LogRow): void {
    this.#revision = row.revision;
    if (row.kind !== "Node" && row.kind !== "Revocation") return;
    const resource = row.deleted ? undefined : parseStoredResource(row.json);
    if (resource?.kind === "Node") this.#nodes.set(row.name, resource.spec);
    else if (resource?.kind === "Revocation") this.#setRevocation(row.name, resource.spec.subject);
    else if (row.kind === "Node") this.#nodes.delete(row.name);
    else this.#revocations.delete(row.name);
  }
}

/** A revocation that is taken back concerns nobody who is connected. */
function nodeConcerned(row: LogRow): string | undefined {
  if (row.kind === "Node") return row.name;
  if (row.kind !== "Revocation" || row.deleted) return undefined;
  const resource = parseStoredResource(row.json);
  const subject = resource.kind === "Revocation" ? resource.spec.subject : undefined;
  return subject?.kind === "node" ? subject.name : undefined;
}

/** Without a serial a revocation takes back every certificate of the node. */
function isOf({ name, serial }: ConnectedPeer, subject: NodeSubject): boolean {
  if (subject.name !== name) return false;
  return subject.certificateSerial === undefined || subject.certificateSerial === serial;
}
