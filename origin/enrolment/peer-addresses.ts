/** Where edges listen to one another: what an edge says in its status, written into its Node, for its pool's set has it. */

import { isFailure } from "#domain/failure.ts";
import { parseAddress } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { PeerIdentity } from "#platform/identity/peer.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { findResource, writeResource } from "../log/resources.ts";

/** An address changes with a restart; an edge that says another each time does not fill the log. */
export const PEER_ADDRESS_MS_MIN = 10_000;

export class PeerAddresses {
  readonly #log: ResourceLog;
  readonly #clock: Clock;
  /** When it was last written, by node; as many as are enrolled. */
  readonly #writtenAtMs = new Map<string, number>();

  constructor(log: ResourceLog, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** False where it is too soon, or the log does not answer: say it again later. Throws `argument-invalid` for what is no address. */
  async note({ name }: Pick<PeerIdentity, "name">, peerAddress: string | undefined): Promise<boolean> {
    if (peerAddress !== undefined) parseAddress(peerAddress);
    const node = findResource(this.#log, "Node", name);
    if (node === undefined || node.spec.peerAddress === peerAddress) return true;
    const nowMs = this.#clock.nowMs();
    if (nowMs - (this.#writtenAtMs.get(name) ?? Number.NEGATIVE_INFINITY) < PEER_ADDRESS_MS_MIN) return false;
    this.#writtenAtMs.set(name, nowMs);
    const { peerAddress: _, ...others } = node.spec;
    const spec = { ...others, ...(peerAddress === undefined ? {} : { peerAddress }) };
    try {
      await writeResource(this.#log, { kind: "Node", metadata: { name, labels: node.metadata.labels }, spec }, nowMs);
    } catch (error) {
      if (isFailure(error, "unavailable") || isFailure(error, "resource-conflict")) return false;
      throw error;
    }
    return true;
  }
}
