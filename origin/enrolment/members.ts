/** Whether the node a certificate names is still a member: enrolled, in that role and pool, not revoked. */
import { Failure } from "#domain/failure.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import type { ConnectedPeer, Role } from "#platform/identity/peer.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { findResource, listResources } from "../log/resources.ts";

export class Members {
  readonly #log: ResourceLog;
  readonly #listeners = new Set<() => void>();
  /** Of the revision: asked for with every blob and ping, changed seldom. */
  #revocations: { readonly revision: number; readonly subjects: readonly RevocationSpec["subject"][] };

  constructor(log: ResourceLog) {
    this.#log = log;
    this.#revocations = { revision: log.revision(), subjects: subjectsIn(log) };
  }

  /** Throws `certificate-untrusted` for another role, `permission-denied` for a node that is no member. */
  check(peer: ConnectedPeer | undefined, roles: readonly Role[]): ConnectedPeer {
    if (peer === undefined || !roles.includes(peer.role)) {
      const got = peer === undefined ? "none" : peer.role;
      throw new Failure("certificate-untrusted", `a certificate of role ${roles.join(" or ")} is needed, got ${got}`);
    }
    const spec = findResource(this.#log, "Node", peer.name)?.spec;
    if (spec === undefined || spec.role !== peer.role || spec.pool !== peer.pool) {
      throw new Failure("permission-denied", `node ${peer.name} is not enrolled as ${peer.role} of pool ${peer.pool}`);
    }
    if (this.#subjects().some((subject) => isOf(peer, subject))) {
      throw new Failure("permission-denied", `node ${peer.name}, certificate ${peer.serial}, was revoked`);
    }
    return peer;
  }

  /** Called when nodes or revocations have changed: whoever serves a member checks it again. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Tells the listeners, until the signal is aborted. */
  async follow(signal: AbortSignal): Promise<void> {
    for await (const event of this.#log.watch(this.#log.revision(), signal)) {
      if (event.kind === "bookmark" || !(event.row.kind === "Node" || event.row.kind === "Revocation")) continue;
      for (const listener of [...this.#listeners]) listener();
    }
  }

  #subjects(): readonly RevocationSpec["subject"][] {
    const revision = this.#log.revision();
    if (this.#revocations.revision !== revision) this.#revocations = { revision, subjects: subjectsIn(this.#log) };
    return this.#revocations.subjects;
  }
}

function subjectsIn(log: ResourceLog): readonly RevocationSpec["subject"][] {
  return listResources(log, "Revocation").map(({ spec }) => spec.subject);
}

/** Without a serial a revocation takes back every certificate of the node. */
function isOf({ name, serial }: ConnectedPeer, subject: RevocationSpec["subject"]): boolean {
  if (subject.kind !== "node" || subject.name !== name) return false;
  return subject.certificateSerial === undefined || subject.certificateSerial === serial;
}
