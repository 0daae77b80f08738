/** Gives leases and lives them: verify, decide, set up a process, answer; and when it ends, say why and free the slot. */
import type { Socket } from "node:net";
import { Failure, isFailure } from "#domain/failure.ts";
import type { SessionStatus } from "#domain/fleet/node.ts";
import type { Tier } from "#domain/policy/placement-policy.ts";
import type { RenderClass } from "#domain/session/render-app.ts";
import type { Clock } from "#platform/clock.ts";
import type { AppLine } from "../apps/app-messages.ts";
import type { FrameBounds, SessionCost } from "../capacity/room.ts";
import type { Fence, Fences } from "./fences.ts";
import type { SessionGrant, ShownGrant } from "./grants.ts";
import { decideLease, type LeaseDemand } from "./lease-decision.ts";
import type { Lease, Leases } from "./leases.ts";
import type { HandedUpgrade, MediaPlace } from "./messages.ts";
import type { SessionProcess } from "./session-process.ts";

/** The edge waits 2.5 s and then asks elsewhere. */
export const LEASE_MS_MAX = 2_300;

export interface LeaseRequest extends ShownGrant {
  /** Whose request it is. */
  readonly edge: string;
  readonly media: { readonly kind: "webrtc"; readonly offerSdp: string } | { readonly kind: "websocket" };
}

export interface GrantedLease {
  readonly session: string;
  readonly attempt: number;
  readonly fence: Fence;
  readonly renderClass: RenderClass;
  /** Of the two the one that was asked for; the other is empty. */
  readonly answerSdp: string;
  readonly websocketUrl: string;
}

/** What a session of an app and class is rendered with here. */
export interface HostedClass {
  readonly renderClass: RenderClass;
  readonly sceneFile: string;
  readonly appFile?: string | undefined;
  readonly detail: number;
  readonly cost: SessionCost;
  readonly frames: FrameBounds;
}

export interface EndedLease {
  readonly lease: Lease;
  readonly reason: string;
  /** False where nobody was told of the lease: then its end is nobody's news either. */
  readonly wasAnswered: boolean;
}

export interface HostPorts {
  readonly clock: Clock;
  readonly leases: Leases;
  readonly fences: Pick<Fences, "next">;
  readonly verify: (shown: ShownGrant) => Promise<SessionGrant>;
  readonly takeProcess: () => Promise<SessionProcess>;
  /** Throws `placement-refused` for what cannot be rendered here. */
  readonly hostedClass: (app: string, renderClass: string) => HostedClass;
  /** `undefined` where one more fits. */
  readonly noRoomBecause: (hosted: HostedClass, running: readonly SessionCost[]) => string | undefined;
  readonly closedBecause: () => string | undefined;
  readonly sessionSecondsMax: (app: string, tier: Tier) => number;
  readonly mediaOf: (slot: number) => MediaPlace;
  readonly issueUrl: (take: (socket: Socket, upgrade: HandedUpgrade) => void) => string;
  /** Of the console of the session's app. */
  readonly onAppLine: (lease: Lease, line: AppLine) => void;
  readonly onEnded: (ended: EndedLease) => void;
  /** What `statuses` or `running` give has changed. */
  readonly onChange: () => void;
}

interface Started {
  readonly process: SessionProcess;
  readonly fence: Fence;
}

interface Running {
  readonly hosted: HostedClass;
  readonly started: Promise<Started>;
  readonly gone: Promise<void>;
  readonly end: (reason: string) => void;
  wasAnswered: boolean;
  /** Render and encode of the last second; 0 while nothing was drawn. */
  frameMsP95: number;
  rttMs: number;
}

export interface RunningClass {
  readonly renderClass: string;
  readonly cost: SessionCost;
  readonly frameMsP95: number;
}

export class SessionHost implements AsyncDisposable {
  readonly #ports: HostPorts;
  readonly #running = new Map<string, Running>();

  constructor(ports: HostPorts) {
    this.#ports = ports;
  }

  /** Throws what the grant's verification throws, `attempt-superseded`, `placement-refused`, `proof-invalid`, `media-invalid`, `unavailable`. */
  async lease(request: LeaseRequest): Promise<GrantedLease> {
    const { clock, leases, verify } = this.#ports;
    const grant = await verify(request);
    const { session, attempt, app, renderClass, cnf } = grant;
    const demand: LeaseDemand = { session, attempt, app, renderClass, thumbprint: cnf.jkt };
    const deadline = clock.deadline(LEASE_MS_MAX);
    for (;;) {
      deadline.throwIfAborted();
      const hosted = this.#ports.hostedClass(app, renderClass);
      const decision = decideLease({
        demand,
        held: leases.get(session),
        memory: leases.memoryOf(session),
        closedBecause: this.#ports.closedBecause(),
        noRoomBecause: this.#noRoomBecause(hosted),
      });
      switch (decision.kind) {
        case "refuse":
          throw decision.failure;
        case "end-first":
          this.end({ session, attempt, reason: decision.reason });
          await before(deadline, this.#running.get(session)?.gone ?? Promise.resolve());
          break;
        case "again":
          return this.#answer(grant, request, deadline);
        case "grant":
          this.#open(demand, hosted, { edge: request.edge, tier: grant.tier });
          return this.#answer(grant, request, deadline);
      }
    }
  }

  /** Of this attempt or a lower one; nothing where there is none. */
  end({ session, attempt, reason }: { session: string; attempt: number; reason: string }): void {
    const lease = this.#ports.leases.get(session);
    if (lease === undefined || lease.attempt > attempt) return;
    this.#running.get(session)?.end(reason);
  }

  endAll(reason: string): void {
    for (const running of this.#running.values()) running.end(reason);
  }

  running(): readonly RunningClass[] {
    return [...this.#running.values()].map(({ hosted, frameMsP95 }) => ({
      renderClass: hosted.renderClass.name,
      cost: hosted.cost,
      frameMsP95,
    }));
  }

  statuses(): readonly SessionStatus[] {
    return this.#ports.leases.all().map(({ session, attempt, app, renderClass, startedAtMs }) => {
      const rttMs = this.#running.get(session)?.rttMs ?? 0;
      return { session, attempt, app, renderClass, startedAtMs, remotePathMsP50: 0, remotePathMsP95: 0, rttMs };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.endAll("stopping");
    await Promise.all([...this.#running.values()].map(({ gone }) => gone));
  }

  #noRoomBecause(hosted: HostedClass): string | undefined {
    const costs = [...this.#running.values()].map((running) => running.hosted.cost);
    const because = this.#ports.noRoomBecause(hosted, costs);
    return because ?? (this.#ports.leases.freeSlot() === undefined ? "all places of this agent are taken" : undefined);
  }

  /** A lease whose first answer fails ends: nobody knows of it. */
  async #answer({ session, attempt }: SessionGrant, { media }: LeaseRequest, deadline: AbortSignal) {
    const running = this.#running.get(session);
    if (running === undefined)
      throw new Failure("unavailable", `session ${session} has just ended`, { retryable: true });
    try {
      const { process, fence } = await before(deadline, running.started);
      const answerSdp = media.kind === "webrtc" ? await before(deadline, process.accept(media.offerSdp)) : "";
      const websocketUrl = media.kind === "websocket" ? this.#issueUrl(process) : "";
      running.wasAnswered = true;
      return { session, attempt, fence, renderClass: running.hosted.renderClass, answerSdp, websocketUrl };
    } catch (error) {
      if (!running.wasAnswered) running.end("not-answered");
      throw error;
    }
  }

  /** Who does not come by it is silent from now on. */
  #issueUrl(process: SessionProcess): string {
    process.awaitClient();
    return this.#ports.issueUrl(process.hand);
  }

  #open(demand: LeaseDemand, hosted: HostedClass, { edge, tier }: { edge: string; tier: Tier }): void {
    const { clock, leases } = this.#ports;
    const slot = leases.freeSlot();
    if (slot === undefined) throw new Failure("placement-refused", "no slot is free here");
    const lease = leases.open(demand, { slot, edge });
    const ending = new AbortController();
    let isOver = false;
    const end = (reason: string): void => {
      if (isOver || ending.signal.aborted) return;
      leases.apply(lease.session, "told-to-end");
      ending.abort(reason);
    };
    const endsAtMs = lease.startedAtMs + this.#ports.sessionSecondsMax(lease.app, tier) * 1000;
    const limit = clock.timer(Math.max(0, endsAtMs - clock.nowMs()), () => {
      leases.close(lease.session);
      end("session-length");
    });
    const { promise: started, resolve, reject } = Promise.withResolvers<Started>();
    // Whoever awaits an answer learns of it; nobody may, and the end is told anyway.
    started.catch(() => undefined);
    const life = this.#live(lease, hosted, ending.signal, resolve);
    const gone = life.then((reason) => {
      isOver = true;
      limit[Symbol.dispose]();
      reject(new Failure("unavailable", `the session ended: ${reason}`, { retryable: true }));
      this.#over(lease.session, reason);
    });
    this.#running.set(lease.session, { hosted, started, gone, end, wasAnswered: false, frameMsP95: 0, rttMs: 0 });
    this.#ports.onChange();
  }

  /** Gives why it ended, once its process is gone. */
  async #live(
    lease: Lease,
    hosted: HostedClass,
    ending: AbortSignal,
    onStarted: (started: Started) => void,
  ): Promise<string> {
    const { leases, fences, takeProcess, mediaOf, onAppLine } = this.#ports;
    let process: SessionProcess | undefined;
    try {
      process = await takeProcess();
      const { stop } = process;
      if (ending.aborted) stop(String(ending.reason));
      ending.addEventListener("abort", () => stop(String(ending.reason)), { once: true });
      process.onStatistics(({ framesRendered, renderMsP95, encodeMsP95 }, rttMs) => {
        const running = this.#running.get(lease.session);
        if (running === undefined) return;
        running.rttMs = wholeRttMs(rttMs);
        if (framesRendered > 0) running.frameMsP95 = renderMsP95 + encodeMsP95;
      });
      process.onAppLine((line) => onAppLine(lease, line));
      const { renderClass, sceneFile, appFile, detail } = hosted;
      const setup = process.setUp({ renderClass, sceneFile, appFile, detail, media: mediaOf(lease.slot) });
      const [fence] = await Promise.all([fences.next(), setup]);
      leases.apply(lease.session, "process-answered");
      onStarted({ process, fence });
      return await process.ended;
    } catch (error) {
      if (!isFailure(error)) throw error;
      process?.stop(error.code);
      await process?.ended;
      return ending.aborted ? String(ending.reason) : `${error.code}: ${error.message}`;
    }
  }

  #over(session: string, reason: string): void {
    const { leases, onEnded, onChange } = this.#ports;
    const wasAnswered = this.#running.get(session)?.wasAnswered ?? false;
    this.#running.delete(session);
    onEnded({ lease: leases.apply(session, "process-gone"), reason, wasAnswered });
    onChange();
  }
}

/** Whole milliseconds: a status that says the same is not sent again. 0 stays 0, for what is not known. */
function wholeRttMs(rttMs: number): number {
  return rttMs === 0 ? 0 : Math.max(1, Math.round(rttMs));
}

/** Rejects with the signal's reason when that comes first. */
async function before<T>(signal: AbortSignal, awaited: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([awaited, late]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
