/** What the edge says of itself: status for the origin, readiness for who runs it. */
import { statfs } from "node:fs/promises";
import type { Watermark } from "#domain/desired-state.ts";
import type { AgentStatus, Condition, NodeStatus, SiteStatus } from "#domain/fleet/node.ts";
import type { Clock } from "#platform/clock.ts";
import type { Readiness } from "#platform/http/admin-listener.ts";
import { Conditions } from "./conditions.ts";
import { type OfflineReason, offlineReasons } from "./offline-ready.ts";

/** A day: what an operator plans an outage for who says nothing (NodePool.spec.autonomyDurationSeconds). */
const OUTAGE_BUDGET_SECONDS = 86_400;
const DISK_LOOK_MS = 10_000;

export interface NodeFacts {
  readonly incarnation: string;
  readonly softwareVersion: string;
  readonly contentUrl: string;
  readonly hostname: string;
  /** Where other edges reach it; `undefined` where it listens to none. */
  readonly peerAddress: () => string | undefined;
  /** Base64; `undefined` where nothing is to be sealed to it. */
  readonly sealingKey: () => string | undefined;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly set: () => {
    readonly watermark: Watermark | undefined;
    readonly isWhole: boolean;
    readonly isUnpersisted: boolean;
    readonly isEmpty: boolean;
  };
  /** Of the same epoch as the set. */
  readonly provenRevision: () => number | undefined;
  readonly synced: () => Pick<Condition, "status" | "reason" | "message">;
  readonly autonomySeconds: () => number | undefined;
  readonly certificateExpiresAtMs: () => number;
  /** Against the origin's; `undefined` while it has not said its own. */
  readonly clockOffsetMs: () => number | undefined;
  readonly storeBytes: () => { readonly used: number; readonly max: number };
  readonly sites: () => readonly SiteStatus[];
  readonly incompleteSites: () => readonly string[];
  /** What the objects that are missing wait for, in words. */
  readonly waitingFor: () => string | undefined;
  readonly agents: () => readonly AgentStatus[];
}

export class NodeState implements Disposable {
  readonly #facts: NodeFacts;
  readonly #conditions = new Conditions();
  readonly #looking: Disposable;
  #diskFreeBytes: number | undefined;

  constructor(facts: NodeFacts) {
    this.#facts = facts;
    this.#looking = facts.clock.every(DISK_LOOK_MS, () => this.#lookAtDisk());
    void this.#lookAtDisk();
  }

  status(): NodeStatus {
    const { incarnation, softwareVersion, contentUrl, hostname, set, storeBytes, sites, agents } = this.#facts;
    const { watermark } = set();
    const { used, max } = storeBytes();
    const peerAddress = this.#facts.peerAddress();
    const sealingKey = this.#facts.sealingKey();
    const provenRevision = this.#facts.provenRevision();
    return {
      incarnation,
      softwareVersion,
      contentUrl,
      hostname,
      ...(peerAddress === undefined ? {} : { peerAddress }),
      ...(sealingKey === undefined ? {} : { sealingKey }),
      epoch: watermark?.epoch ?? 0,
      appliedRevision: watermark?.revision ?? 0,
      ...(provenRevision === undefined ? {} : { provenRevision }),
      storeBytesUsed: used,
      storeBytesMax: max,
      certificateExpiresAtMs: this.#facts.certificateExpiresAtMs(),
      conditions: this.#conditionsNow(),
      sites: sites(),
      agents: agents(),
    };
  }

  /** Empty: it could go on without the cloud. */
  offlineReasons(): readonly OfflineReason[] {
    const { set, incompleteSites, waitingFor, certificateExpiresAtMs, autonomySeconds, clockOffsetMs, clock } =
      this.#facts;
    const { isWhole, isUnpersisted, isEmpty } = set();
    return offlineReasons({
      isSetWhole: isWhole,
      isUnpersisted,
      hasConnected: !isEmpty || !isWhole,
      incompleteSites: incompleteSites(),
      waitingFor: waitingFor(),
      certificateExpiresAtMs: certificateExpiresAtMs(),
      outageBudgetMs: (autonomySeconds() ?? OUTAGE_BUDGET_SECONDS) * 1000,
      diskFreeBytes: this.#diskFreeBytes,
      clockOffsetMs: clockOffsetMs(),
      nowMs: clock.nowMs(),
    });
  }

  readiness(question: "now" | "offline"): Readiness {
    const reasons = this.offlineReasons().map(({ reason, message }) => `${reason}: ${message}`);
    if (question === "offline") return { ready: reasons.length === 0, reasons };
    const { status, reason, message } = this.#facts.synced();
    return { ready: !this.#facts.set().isEmpty, reasons: status ? reasons : [...reasons, `${reason}: ${message}`] };
  }

  [Symbol.dispose](): void {
    this.#looking[Symbol.dispose]();
  }

  #conditionsNow(): readonly Condition[] {
    const nowMs = this.#facts.clock.nowMs();
    const against = this.offlineReasons();
    const isReady = !this.#facts.set().isEmpty;
    const isDiskLow = against.some(({ reason }) => reason === "DiskLow");
    const said = [
      {
        type: "OfflineReady" as const,
        status: against.length === 0,
        reason: against[0]?.reason ?? "Complete",
        message: against.map(({ reason, message }) => `${reason}: ${message}`).join("; "),
      },
      {
        type: "StoreHealthy" as const,
        status: !isDiskLow,
        reason: isDiskLow ? "DiskLow" : "Writable",
        message: against.find(({ reason }) => reason === "DiskLow")?.message ?? "",
      },
      { type: "Ready" as const, status: isReady, reason: isReady ? "Serving" : "NoDesiredState", message: "" },
      { type: "Synced" as const, ...this.#facts.synced() },
    ];
    return said.map((condition) => this.#conditions.set(condition, nowMs));
  }

  async #lookAtDisk(): Promise<void> {
    const disk = await statfs(this.#facts.dataDir).catch(() => undefined);
    this.#diskFreeBytes = disk === undefined ? undefined : disk.bavail * disk.bsize;
  }
}
