/** A scheduler, edges, agents and media for a session, simulated at its ports on a virtual clock. */
import type { ConnectedSession, PlacementAnswer, ProbeTarget, SessionWatch } from "#contracts/operator-api/sessions.ts";
import type { IceServer } from "#domain/session/ice-server.ts";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { ClientFailure } from "../failure.ts";
import { REQUEST_DEADLINE_MS } from "../http.ts";
import type { MediaLink, MediaLoss, PendingMedia } from "../media/media-port.ts";
import { SILENCE_MS_MIN, SUSPECT_SILENCE_MS_MAX } from "../media/silence.ts";
import type { TransportKind } from "../media/transport.ts";
import type { ProbedEdge } from "../probe/probe.ts";
import type { Credential } from "./connect-media.ts";
import { WATCH_DEADLINE_MS } from "./session-api.ts";
import type { SessionPorts, SessionView } from "./session-ports.ts";
import { runSession } from "./session-runner.ts";

/** `silent` is a cut link: nothing comes back; `gone` is a port that nobody listens on. */
export type Health = "up" | "silent" | "gone";

export interface SimulatedAgent {
  readonly name: string;
  readonly pool: string;
  isAlive: boolean;
  diedAtMs: number;
  /** What it takes to make a slot ready. */
  setUpMs: number;
}

export interface SimulatedEdge {
  readonly url: string;
  readonly pool: string;
  readonly rttMs: number;
  health: Health;
  /** In its memory, which another of the pool does not share. */
  knowsSession: boolean;
}

export interface Call {
  readonly what: string;
  readonly atMs: number;
  readonly detail: unknown;
}

interface OpenLink {
  readonly agent: SimulatedAgent;
  readonly lose: (loss: MediaLoss) => void;
  /** Frames come by it again. */
  readonly comeBack: () => void;
  isOpen: boolean;
}

const BUDGET = {
  budgetMs: 30,
  networkMsP95: 4,
  renderEncodeMsP95: 10,
  decodeJitterMs: 4,
  serialisationMs: 1,
  rttLimitMs: 15,
};
const ROUND_TRIP_MS = 20;
const FIRST_FRAME_MS = 120;
const CANDIDATES_MS = 30_000;
/** As edges do. */
const WATCH_MS = 20_000;
const MEDIA_ABSENT = { latency: undefined, codec: undefined, counts: { framesDecoded: 0, framesLost: 0 } };

export class SessionWorld {
  readonly clock = new VirtualClock();
  readonly edges: SimulatedEdge[];
  readonly agents: SimulatedAgent[];
  readonly calls: Call[] = [];
  /** The edges, in the order in which they were asked. */
  readonly watched: string[] = [];
  readonly views: SessionView[] = [];
  readonly links = new Set<OpenLink>();
  /** How many were open each time that another session was asked for. */
  readonly openAtCreate: number[] = [];
  scheduler: Health = "up";
  /** Whether the edge that served the page answers where others are. */
  isCutOff = false;
  /** What the scheduler says instead of placing. */
  refusal: ClientFailure | undefined;
  /** What every edge says to whoever connects. */
  edgeRefusal: ClientFailure | undefined;
  /** Media are closed by the agent this soon after they came up. */
  mediaLastMs: number | undefined;
  queueSeconds: number | undefined;
  /** A pool that a renewal for promotion gives. */
  promotion: string | undefined;
  /** Transports whose media do not come up. */
  readonly blocked = new Set<TransportKind>();
  /** What the scheduler hands out with each placement, and what offers were made with, newest last. */
  handsOut: readonly IceServer[] = [];
  readonly offeredWith: (readonly IceServer[])[] = [];
  /** Whether edges hear of an agent's death. */
  areWatched = true;
  /** What an edge says though the agent goes on. */
  falseAlarms = 0;
  /** Told of each link, before whoever asked for it has it. */
  onOpened: (() => void) | undefined;
  readonly #watchers = new Set<{ readonly url: string; readonly tell: () => void; readonly breakOff: () => void }>();
  readonly #leaving = new AbortController();
  #sessions = 0;
  #attempt = 0;
  #retry = Promise.withResolvers<void>();

  constructor(pools: readonly string[] = ["near", "far"], agentsPerPool = 2, edgesPerPool = 1) {
    this.edges = pools.flatMap((pool, at) =>
      Array.from({ length: edgesPerPool }, (_, of) => {
        const url = `http://${pool}${of === 0 ? "" : `-${of + 1}`}`;
        return { url, pool, rttMs: 4 + 20 * at, health: "up", knowsSession: false } as const;
      }),
    );
    this.agents = pools.flatMap((pool) =>
      Array.from({ length: agentsPerPool }, (_, at) => ({
        name: `${pool}-${at + 1}`,
        pool,
        isAlive: true,
        diedAtMs: 0,
        setUpMs: 0,
      })),
    );
  }

  start(): Promise<void> {
    return runSession(this.#ports(), { app: "hall", tier: "strict", device: { name: "test" } }, this.#leaving.signal);
  }

  leave(): void {
    this.#leaving.abort(new Error("left"));
  }

  askRetry(): void {
    this.#retry.resolve();
  }

  /** As SIGKILL: its media say nothing more. */
  kill(agent: SimulatedAgent): void {
    agent.isAlive = false;
    agent.diedAtMs = this.clock.monotonicMs();
    if (this.areWatched) for (const { tell } of [...this.#watchers]) tell();
    for (const link of this.links) if (link.agent === agent) void this.#fallSilent(link);
  }

  /** No frame of these comes for so long; their agents, and what they send poses by, go on. */
  async stall(links: readonly OpenLink[], forMs: number): Promise<void> {
    for (const link of links) void this.#fallSilent(link);
    await this.clock.sleep(forMs);
    for (const link of links) if (link.isOpen && link.agent.isAlive) link.comeBack();
  }

  /** As SIGKILL of its process, with what it knew: connections to it break at once. */
  killEdge(url: string): void {
    Object.assign(this.#edge(url), { health: "gone", knowsSession: false });
    for (const watcher of [...this.#watchers]) if (watcher.url === url) watcher.breakOff();
  }

  agent(name: string): SimulatedAgent {
    const found = this.agents.find((agent) => agent.name === name);
    if (found === undefined) throw new Error(`no agent ${name}`);
    return found;
  }

  get view(): SessionView {
    const last = this.views.at(-1);
    if (last === undefined) throw new Error("nothing has happened yet");
    return last;
  }

  /** The phases in order, each once for as long as it lasted. */
  get phases(): readonly string[] {
    return this.views.map(({ phase }) => phase).filter((phase, at, all) => phase !== all[at - 1]);
  }

  callsOf(what: string): readonly Call[] {
    return this.calls.filter((call) => call.what === what);
  }

  #ports(): SessionPorts {
    return {
      clock: this.clock,
      random: { ratio: () => 0.5 },
      appToken: "app-token",
      pageEdge: this.edges.at(-1)?.url,
      neighbours: async (withinMs) => {
        const { health = "gone" } = this.edges.at(-1) ?? {};
        await this.clock.sleep(health === "silent" ? withinMs : ROUND_TRIP_MS);
        return health === "up" && this.isCutOff ? this.edges.map(({ url }) => url) : [];
      },
      isAlive: async (url, withinMs) => {
        const { health } = this.#edge(url);
        await this.clock.sleep(health === "silent" ? withinMs : ROUND_TRIP_MS);
        return health === "up";
      },
      probe: (targets) => this.#probe(targets),
      measure: async (withinMs) => {
        if (this.scheduler === "up") return this.#probe(this.#targets());
        await this.clock.sleep(withinMs);
        return [];
      },
      media: {
        kinds: ["webrtc", "websocket"],
        prepare: async (kind, iceServers = []) => this.#prepare(kind, iceServers),
      },
      retryAsked: () => {
        this.#retry = Promise.withResolvers<void>();
        return this.#retry.promise;
      },
      onChange: (view) => void this.views.push(view),
      api: {
        create: async (wish, signal) => {
          this.openAtCreate.push(this.links.size);
          await this.#answer("create", wish, this.scheduler, signal);
          const expiresAtMs = this.clock.nowMs() + CANDIDATES_MS;
          this.#sessions += 1;
          return { session: `session-${this.#sessions}`, candidates: [...this.#targets()], expiresAtMs };
        },
        place: async (_session, results, signal) => {
          await this.#answer("place", results, this.scheduler, signal);
          return this.#place(this.edges.map(({ pool }) => pool));
        },
        renew: async (_session, renewal, signal) => {
          await this.#answer(`renew ${renewal.reason}`, renewal, this.scheduler, signal);
          if (renewal.reason !== "promotion") {
            const lost = this.view.facts.placement?.pool;
            return this.#place(this.edges.map(({ pool }) => pool).filter((pool) => pool !== lost));
          }
          return this.promotion === undefined ? undefined : this.#place([this.promotion]);
        },
        connect: (url, credential, signal) => this.#connect(url, credential, signal),
        renewTicket: async (url, _session, shown, signal) => {
          const edge = this.#edge(url);
          await this.#answer("ticket", { url, shown }, edge.health, signal);
          if (!edge.knowsSession && shown === undefined) throw new ClientFailure("not-found", "whose session is it?");
          edge.knowsSession = true;
          return `ticket-${this.callsOf("ticket").length + 1}`;
        },
        report: (url, _session, _quality, signal) => this.#answer("report", url, this.#edge(url).health, signal),
        watch: (url, _session, signal) => this.#watch(url, signal),
        end: (session, edge) => this.#answer("end", { session, edge }, "up"),
      },
    };
  }

  async #answer(what: string, detail: unknown, health: Health, signal?: AbortSignal): Promise<void> {
    this.calls.push({ what, atMs: this.clock.monotonicMs(), detail });
    const silence = health === "silent" ? REQUEST_DEADLINE_MS : ROUND_TRIP_MS;
    const deadline = this.clock.deadline(REQUEST_DEADLINE_MS, signal);
    await this.clock.sleep(silence, deadline).catch(() => {
      throw new ClientFailure("unreachable", `${what}: no answer`);
    });
    if (health !== "up") throw new ClientFailure("unreachable", `${what}: nobody is there`);
    if (this.refusal !== undefined && /^(create|place|renew)/.test(what)) throw this.refusal;
  }

  async #watch(url: string, signal: AbortSignal | undefined): Promise<SessionWatch> {
    const deadline = this.clock.deadline(WATCH_DEADLINE_MS, signal);
    const unreachable = () => new ClientFailure("unreachable", "watch: no answer");
    this.watched.push(url);
    if (this.#edge(url).health !== "up") throw unreachable();
    if (!this.#edge(url).knowsSession) throw new ClientFailure("not-found", "watch: whose session is it?");
    if (this.falseAlarms > 0) {
      this.falseAlarms -= 1;
      await this.clock.sleep(ROUND_TRIP_MS);
      return { state: "lost", reason: "the agent is gone" };
    }
    const { promise, resolve, reject } = Promise.withResolvers<SessionWatch>();
    const tell = (): void => resolve({ state: "lost", reason: "the agent is gone" });
    const giveUp = (): void => reject(unreachable());
    const watcher = { url, tell, breakOff: giveUp };
    this.#watchers.add(watcher);
    deadline.addEventListener("abort", giveUp, { once: true });
    void this.clock.sleep(WATCH_MS, deadline).then(
      () => resolve({ state: "held" }),
      () => undefined,
    );
    if (deadline.aborted) giveUp();
    try {
      const news = await promise;
      await this.clock.sleep(ROUND_TRIP_MS / 2);
      return news;
    } finally {
      this.#watchers.delete(watcher);
      deadline.removeEventListener("abort", giveUp);
    }
  }

  async #probe(targets: readonly ProbeTarget[]): Promise<readonly ProbedEdge[]> {
    await this.clock.sleep(ROUND_TRIP_MS);
    return targets.flatMap((target) => {
      const { health, rttMs } = this.#edge(target.url);
      return health === "up" ? [{ target, result: { answer: target.node, rttMs: [rttMs] } }] : [];
    });
  }

  #targets(): readonly ProbeTarget[] {
    return this.edges.map(({ url, pool }) => ({ node: `${pool}-edge`, pool, url, token: "token" }));
  }

  /** In the first pool with a live agent and an edge that the scheduler does not know to be gone. */
  #place(pools: readonly string[]): PlacementAnswer {
    const hasAgent = (pool: string) => this.agents.some((agent) => agent.pool === pool && agent.isAlive);
    const pool = pools.find((name) => hasAgent(name) && this.edges.some((e) => e.pool === name && e.health === "up"));
    if (this.queueSeconds !== undefined) {
      return { state: "queued", decision: "d", retryAfterSeconds: this.queueSeconds, bestAchievableMs: 41 };
    }
    if (pool === undefined) throw new ClientFailure("no-pool-fits", "no pool has a free slot");
    this.#attempt += 1;
    const edges = this.edges.filter((edge) => edge.pool === pool).map(({ url }) => url);
    const placement = `placement-${this.#attempt}`;
    const iceServers = this.handsOut.map(({ urls, ...rest }) => ({ urls: [...urls], ...rest }));
    return { state: "placed", decision: "d", placement, pool, edges, budget: BUDGET, iceServers };
  }

  async #connect(url: string, credential: Credential, signal?: AbortSignal): Promise<ConnectedSession> {
    const edge = this.#edge(url);
    await this.#answer(`connect ${Object.keys(credential)[0]}`, { url, ...credential }, edge.health, signal);
    if (this.edgeRefusal !== undefined) throw this.edgeRefusal;
    const agent = this.agents.find(({ pool, isAlive }) => pool === edge.pool && isAlive);
    if (agent === undefined) throw new ClientFailure("unavailable", `${edge.pool} has no agent`);
    await this.clock.sleep(agent.setUpMs, signal).catch(() => {
      throw new ClientFailure("unreachable", `${url}: no answer in time`);
    });
    edge.knowsSession = true;
    const placement = "appToken" in credential ? { placement: this.#placeDirectly(edge.pool) } : {};
    return {
      session: `session-${Math.max(1, this.#sessions)}`,
      attempt: this.#attempt,
      agent: agent.name,
      fence: { incarnation: "i", counter: 1 },
      renderClass: { name: "c", eyeWidthPixels: 96, eyeHeightPixels: 96, frameRateHz: 30 },
      resume: "ticket-1",
      ...placement,
      reportEverySeconds: 5,
    };
  }

  /** What the edge signs; its parts are read, its signature is not. */
  #placeDirectly(pool: string): string {
    this.#attempt += 1;
    const claims = Buffer.from(JSON.stringify({ attempt: this.#attempt, pool, budget: BUDGET }));
    return `e30.${claims.toString("base64url")}.direct`;
  }

  #prepare(kind: TransportKind, iceServers: readonly IceServer[]): PendingMedia {
    this.offeredWith.push(iceServers);
    return {
      offerSdp: "offer",
      release: () => undefined,
      close: () => undefined,
      open: async ({ agent: name }, signal) => {
        const agent = this.agent(name);
        const comesUp = agent.isAlive && !this.blocked.has(kind);
        await this.clock.sleep(comesUp ? FIRST_FRAME_MS : REQUEST_DEADLINE_MS * 10, signal);
        return this.#open(agent, kind);
      },
    };
  }

  #open(agent: SimulatedAgent, kind: TransportKind): MediaLink {
    let lost = Promise.withResolvers<MediaLoss>();
    let returned = Promise.withResolvers<void>();
    let [isLost, isOver] = [false, false];
    const lose = (loss: MediaLoss): void => {
      isLost = true;
      isOver ||= loss.because === "closed";
      lost.resolve(loss);
    };
    const comeBack = (): void => {
      if (!isLost || isOver) return;
      isLost = false;
      lost = Promise.withResolvers();
      const { resolve } = returned;
      returned = Promise.withResolvers();
      resolve();
    };
    const link: OpenLink = { agent, lose, comeBack, isOpen: true };
    this.links.add(link);
    this.onOpened?.();
    if (!agent.isAlive) void this.#fallSilent(link);
    if (this.mediaLastMs !== undefined) {
      const loss = { because: "closed", reason: "the frames channel was closed" } as const;
      void this.clock.sleep(this.mediaLastMs).then(() => link.lose(loss));
    }
    const shut = (): void => {
      link.isOpen = false;
      this.links.delete(link);
      lose({ because: "closed", reason: "closed" });
    };
    return {
      ...{ kind, connectedAtMs: this.clock.monotonicMs() - FIRST_FRAME_MS, decodedAtMs: this.clock.monotonicMs() },
      get lost() {
        return lost.promise;
      },
      get returned() {
        return returned.promise;
      },
      get isLost() {
        return isLost;
      },
      get isOver() {
        return isOver;
      },
      lastFrameAtMs: () => (agent.isAlive ? this.clock.monotonicMs() : agent.diedAtMs),
      show: () => undefined,
      lose: (reason) => {
        isOver = true;
        lose({ because: "ended", reason });
      },
      suspect: async (reason) => {
        await this.clock.sleep(SUSPECT_SILENCE_MS_MAX);
        if (!agent.isAlive) lose({ because: "ended", reason });
      },
      statistics: () => ({
        ...MEDIA_ABSENT,
        counts: {
          ...MEDIA_ABSENT.counts,
          fragmentsRepaired: 0,
          messagesInvalid: 0,
          keyFramesRequested: 0,
          decoderErrors: 0,
        },
      }),
      close: shut,
    };
  }

  async #fallSilent(link: OpenLink): Promise<void> {
    await this.clock.sleep(SILENCE_MS_MIN);
    link.lose({ because: "silent" });
  }

  #edge(url: string): SimulatedEdge {
    const edge = this.edges.find((candidate) => candidate.url === url);
    if (edge === undefined) throw new Error(`no edge ${url}`);
    return edge;
  }
}
