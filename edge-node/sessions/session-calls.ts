/** The calls of a session at an edge: connect, renew the ticket, report quality, watch, end. */
import type { Static } from "typebox";
import type {
  ConnectedSession,
  ConnectSession,
  endSessionSchema,
  QualityReport,
  ticketRequestSchema,
  watchSessionSchema,
} from "#contracts/operator-api/sessions.ts";
import { Failure } from "#domain/failure.ts";
import type { ProvenKey } from "#platform/identity/dpop.ts";
import type { ReportQueue } from "../reports/report-queue.ts";
import type { SessionPorts } from "../session-port.ts";
import type { ConnectedAgent } from "./connected-agent.ts";
import { type DirectPorts, DirectSessions } from "./direct-admission.ts";
import { type SessionGrant, signTicket, verifyPlacement, verifyShownTicket, verifyTicket } from "./grants.ts";
import { type PlacedSession, type PlacePorts, placeSession } from "./place-session.ts";
import { Proofs, type ProvenCall } from "./proofs.ts";
import { type SessionRecord, SessionRecords } from "./session-records.ts";
import { SessionTurns } from "./session-turns.ts";
import { SessionWatches, type WatchAnswer } from "./session-watches.ts";

/** What is seen of a session elsewhere is at most this old. */
export const REPORT_EVERY_SECONDS = 10;
/** A client that reports more often is refused: each report is written to the disk. */
const REPORT_MS_MIN = 4_000;

export interface SessionCallPorts extends DirectPorts, PlacePorts {
  readonly reports: Pick<ReportQueue, "push">;
  readonly prefetchFile: SessionPorts["prefetchFile"];
  readonly onAgentsChanged: () => void;
  readonly events: PlacePorts["events"] & { watching(count: number): void };
}

interface Admission {
  /** What the agent is sent, compact JWS. */
  readonly token: string;
  readonly grant: SessionGrant;
  /** Whether an edge placed the session, and whether by this call. */
  readonly isDirect: boolean;
  readonly isPlacedNow: boolean;
}

export class SessionCalls {
  readonly #ports: SessionCallPorts;
  readonly #proofs: Proofs;
  readonly #turns = new SessionTurns();
  readonly #direct: DirectSessions;
  readonly records: SessionRecords;
  readonly watches: SessionWatches;

  constructor(ports: SessionCallPorts) {
    this.#ports = ports;
    this.#proofs = new Proofs(ports.clock);
    this.records = new SessionRecords(ports.clock);
    this.watches = new SessionWatches(ports.clock, ports.events.watching);
    this.#direct = new DirectSessions(ports, (session) => this.records.find(session)?.isDirect ?? false);
  }

  /**
   * The same attempt again gets the same lease. Throws `proof-invalid`, `token-*`, `certificate-untrusted`,
   * `placement-refused`, `attempt-superseded`, `no-pool-fits`, `unavailable`, `overloaded`, or what the agent found wrong.
   */
  async connect(call: ProvenCall, body: ConnectSession): Promise<ConnectedSession> {
    const proven = await this.#proofs.verify(body.proof, call);
    const admission = await this.#admit(body, proven);
    const { grant } = admission;
    return this.#turns.run(grant.session, async () => {
      this.#checkAttempt(grant);
      this.#prefetchScene(grant.app);
      const { transport, offerSdp = "" } = body;
      const placed = await placeSession(this.#ports, { ...admission, transport, offerSdp });
      return this.#answer(admission, placed);
    });
  }

  /** Agents have it from here: where it is missing, those that were refused for it find it when they come again. */
  #prefetchScene(app: string): void {
    const resource = this.#ports.resources().get(`RenderApp/${app}`);
    if (resource?.kind === "RenderApp") this.#ports.prefetchFile(resource.spec.bundle);
  }

  async renewTicket(
    call: ProvenCall,
    session: string,
    body: Static<typeof ticketRequestSchema>,
  ): Promise<{ readonly resume: string }> {
    const proven = await this.#proofs.verify(body.proof, call);
    return this.#turns.run(session, async () => {
      const record = await this.#ofTicket(session, body.resume);
      this.#proofs.use(proven, record.thumbprint);
      this.#checkAttempt({ session, attempt: record.attempt, cnf: { jkt: record.thumbprint } });
      const isAlive = this.#ports.directory.holderOf(session)?.attempt === record.attempt;
      const isRunOut = this.#ports.clock.nowMs() / 1000 > record.ticketExp;
      if (!isAlive && isRunOut) {
        throw new Failure(
          "token-expired",
          `session ${session} runs on no agent here and its ticket has run out: renew`,
        );
      }
      const ticket = await signTicket(this.#ports, record, isAlive ? undefined : record.ticketExp);
      this.records.set({ ...record, ticketExp: ticket.exp });
      return { resume: ticket.token };
    });
  }

  /** Durable when it returns. Throws what the queue of reports says. */
  async report(call: ProvenCall, session: string, body: QualityReport): Promise<void> {
    const proven = await this.#proofs.verify(body.proof, call);
    const record = this.#find(session);
    this.#proofs.use(proven, record.thumbprint);
    const atMs = this.#ports.clock.monotonicMs();
    if (record.quality !== undefined && atMs - record.quality.atMs < REPORT_MS_MIN) {
      throw new Failure("overloaded", `a session reports every ${REPORT_EVERY_SECONDS} s`, { retryable: true });
    }
    const { proof: _, ...quality } = body;
    const { attempt, app, tier, renderClass } = record;
    const { remotePathMsP50, remotePathMsP95 } = quality;
    this.records.set({ ...record, quality: { remotePathMsP50, remotePathMsP95, atMs } });
    this.#ports.onAgentsChanged();
    const value = { session, attempt, app, tier, renderClass, ...quality };
    await this.#ports.reports.push({ kind: "session-quality", subject: `${session}/${attempt}`, value });
  }

  async end(call: ProvenCall, session: string, body: Static<typeof endSessionSchema>): Promise<void> {
    const proven = await this.#proofs.verify(body.proof, call);
    const record = this.#find(session);
    this.#proofs.use(proven, record.thumbprint);
    const holder = this.#ports.directory.holderOf(session);
    const attempt = Math.max(holder?.attempt ?? 0, record.attempt);
    holder?.agent.endSession({ session, attempt, reason: "the client has ended it" });
    this.records.delete(session);
    this.#direct.forget(record.app, record.thumbprint);
  }

  /** Answers once no agent of the pool holds the session, or after `WATCH_MS_MAX`. Throws `proof-invalid`, `not-found`. */
  async watch(call: ProvenCall, session: string, body: Static<typeof watchSessionSchema>): Promise<WatchAnswer> {
    const proven = await this.#proofs.verify(body.proof, call);
    const record = this.#find(session);
    this.#proofs.use(proven, record.thumbprint);
    if (!this.#isHeld(record)) return { state: "lost", reason: "no agent that is connected holds it" };
    return this.watches.wait(session, call.signal);
  }

  /** An agent has ended it. */
  ended({ session, reason }: { readonly session: string; readonly reason: string }): void {
    const record = this.records.find(session);
    if (record === undefined) return;
    this.#direct.forget(record.app, record.thumbprint);
    if (!this.#isHeld(record)) this.watches.tell(session, { state: "ended", reason });
  }

  /** Its stream has ended: it was killed, or it is cut off from this edge and its sessions go on. */
  agentGone(agent: Pick<ConnectedAgent, "name" | "sessions">): void {
    this.#tellLost(agent.sessions(), `agent ${agent.name} is gone`);
  }

  /** By its status an agent holds these no more. Why, it tells one edge of its pool; they may be watched at another. */
  released({ agent, sessions }: { readonly agent: string; readonly sessions: readonly string[] }): void {
    this.#tellLost(sessions, `agent ${agent} holds it no more`);
  }

  #tellLost(sessions: readonly string[], reason: string): void {
    for (const session of sessions) {
      const record = this.records.peek(session);
      if (record === undefined || this.#isHeld(record)) continue;
      this.watches.tell(session, { state: "lost", reason });
    }
  }

  #isHeld({ session, attempt }: SessionRecord): boolean {
    return (this.#ports.directory.holderOf(session)?.attempt ?? 0) >= attempt;
  }

  async #admit(body: ConnectSession, proven: ProvenKey): Promise<Admission> {
    const { placement, resume, appToken } = body;
    const shown = [placement, resume, appToken].filter((token) => token !== undefined);
    if (shown.length !== 1) {
      throw new Failure("argument-invalid", `exactly one of placement, resume and appToken, got ${shown.length}`);
    }
    if (placement !== undefined) {
      const grant = await verifyPlacement(this.#ports, placement);
      this.#proofs.use(proven, grant.cnf.jkt);
      return { token: placement, grant, isDirect: false, isPlacedNow: false };
    }
    if (resume !== undefined) {
      const grant = await verifyTicket(this.#ports, resume);
      this.#proofs.use(proven, grant.cnf.jkt);
      const isDirect = this.records.find(grant.session)?.isDirect ?? false;
      return { token: resume, grant, isDirect, isPlacedNow: false };
    }
    // The session is made for the key that is proven.
    this.#proofs.use(proven, proven.thumbprint);
    const admission = await this.#direct.admit(appToken ?? "", body.tier ?? "standard", proven.thumbprint);
    return { ...admission, isDirect: true, isPlacedNow: true };
  }

  /** Nothing that was superseded comes back, and no session changes hands. */
  #checkAttempt({ session, attempt, cnf }: Pick<SessionGrant, "session" | "attempt" | "cnf">): void {
    const record = this.records.find(session);
    const known = Math.max(record?.attempt ?? 0, this.#ports.directory.holderOf(session)?.attempt ?? 0);
    if (attempt < known) {
      throw new Failure("attempt-superseded", `session ${session} is at attempt ${known}, this is ${attempt}`);
    }
    if (record !== undefined && record.thumbprint !== cnf.jkt) {
      throw new Failure("token-invalid", `session ${session} is bound to another key`);
    }
  }

  async #answer(admission: Admission, { agent, lease }: PlacedSession): Promise<ConnectedSession> {
    const { token, grant, isDirect, isPlacedNow } = admission;
    const { session, attempt, app, tier, renderClass, cnf } = grant;
    const of = { session, attempt, app, tier, renderClass, thumbprint: cnf.jkt };
    const ticket = await signTicket(this.#ports, of);
    this.records.set({ ...of, ticketExp: ticket.exp, isDirect, quality: this.records.find(session)?.quality });
    const { fence, answerSdp, websocketUrl } = lease;
    return {
      ...{ session, attempt, agent, fence },
      ...(answerSdp === undefined ? {} : { answerSdp }),
      ...(websocketUrl === undefined ? {} : { websocketUrl }),
      renderClass: lease.renderClass,
      resume: ticket.token,
      ...(isPlacedNow ? { placement: token } : {}),
      reportEverySeconds: REPORT_EVERY_SECONDS,
    };
  }

  async #ofTicket(session: string, resume: string | undefined): Promise<SessionRecord> {
    if (resume === undefined) return this.#find(session);
    const grant = await verifyShownTicket(this.#ports, resume);
    if (grant.session !== session) {
      throw new Failure("token-invalid", `the ticket is of session ${grant.session}, the call is for ${session}`);
    }
    const { attempt, app, tier, renderClass, cnf, exp } = grant;
    const known = this.records.find(session);
    const kept = { isDirect: known?.isDirect ?? false, quality: known?.quality };
    const ticketExp = Math.max(exp, known?.attempt === attempt ? known.ticketExp : 0);
    return { session, attempt, app, tier, renderClass, thumbprint: cnf.jkt, ticketExp, ...kept };
  }

  #find(session: string): SessionRecord {
    const record = this.records.find(session);
    if (record !== undefined) return record;
    throw new Failure(
      "not-found",
      `session ${session} is not known to this edge: renew its ticket here, with the last one`,
    );
  }
}
