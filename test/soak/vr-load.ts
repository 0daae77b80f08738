/** VR sessions that come and go at one agent, each in its own way: with and without a farewell, superseded, killed, with no offer at all. */
import { systemClock } from "#platform/clock.ts";
import type { Random } from "#platform/random.ts";
import { patiently } from "#test/render-agent/patience.ts";
import type { FakeEdge, LeaseWish, PoolWorld } from "#test/render-agent/pool-world.ts";
import { connectViewer, type OfferingViewer, offerViewer, type Viewer } from "#test/render-agent/viewer.ts";
import type { MeasuredAgent } from "./measured-agent.ts";

/** What an agent says where it has no room, or lost a process while it answered. */
const PASSING = new Set(["placement-refused", "deadline-exceeded", "unavailable"]);
/** An edge waits for 2.5 s; a machine with other work may take longer. */
const ANSWER_MS_MAX = 10_000;
const REFUSED_PAUSE_MS = 500;
const FRAMES_MIN = 3;
const FRAMES_MORE = 60;
const WRONG_SHOWN_MAX = 10;

type Way = (load: VrLoad, session: string) => Promise<boolean>;

/** How many of all, and what they do; false where the agent had no room. */
const WAYS: readonly (readonly [share: number, way: Way])[] = [
  [6, (load, session) => load.watch(session, "says goodbye")],
  [3, (load, session) => load.watch(session, "leaves")],
  [2, (load, session) => load.watch(session, "is ended by its edge")],
  [2, (load, session) => load.watch(session, "is killed")],
  [3, (load, session) => load.watchBySocket(session)],
  [2, (load, session) => load.supersede(session)],
  [2, (load, session) => load.offerNothing(session)],
];

type Ending = "says goodbye" | "leaves" | "is ended by its edge" | "is killed";

export class VrLoad {
  readonly #world: PoolWorld;
  readonly #edge: FakeEdge;
  readonly #agent: MeasuredAgent;
  readonly #random: Random;
  #numbers = 0;
  started = 0;
  refused = 0;
  wrong = 0;

  constructor(
    parts: { readonly world: PoolWorld; readonly edge: FakeEdge; readonly agent: MeasuredAgent },
    random: Random,
  ) {
    this.#world = parts.world;
    this.#edge = parts.edge;
    this.#agent = parts.agent;
    this.#random = random;
  }

  /** So many clients, one session after the other, until the time has come and the agent has none. */
  async run(clients: number, untilMs: number): Promise<void> {
    await Promise.all(
      Array.from({ length: clients }, async () => {
        while (systemClock.monotonicMs() < untilMs) await this.#turn();
      }),
    );
    await patiently(() => this.#edge.status?.sessions.length === 0, "no session is left");
    await patiently(() => this.#agent.processes().length === 1, "but the spare no process is left");
  }

  async watch(session: string, ending: Ending): Promise<boolean> {
    await using viewer = await offerViewer();
    if (!(await this.#connect(viewer, session))) return false;
    await this.#seeFrames(viewer, session);
    if (ending === "says goodbye") viewer.say({ type: "session-end", reason: "done" });
    else if (ending === "leaves") await viewer[Symbol.asyncDispose]();
    else if (ending === "is ended by its edge") this.#end(session);
    else this.#killOne();
    // Another's process may have been the one that was killed.
    if (ending === "is killed") this.#end(session);
    await this.#hasEnded(session);
    return true;
  }

  async watchBySocket(session: string): Promise<boolean> {
    const answer = await this.#ask({ session });
    if (answer === undefined) return false;
    await using viewer = await this.#connectBySocket(answer.websocketUrl, session);
    if (viewer !== undefined) {
      await this.#seeFrames(viewer, session);
      viewer.say({ type: "session-end", reason: "done" });
    }
    await this.#hasEnded(session);
    return true;
  }

  /** The same attempt offered again, then a higher one, which ends it. */
  async supersede(session: string): Promise<boolean> {
    await using first = await offerViewer();
    if (!(await this.#connect(first, session))) return false;
    await this.#seeFrames(first, session);
    await using again = await offerViewer();
    if (await this.#connect(again, session)) await this.#seeFrames(again, session);
    const answer = await this.#ask({ session, attempt: 2 });
    if (answer !== undefined) {
      await using viewer = await this.#connectBySocket(answer.websocketUrl, session);
      if (viewer !== undefined) await this.#seeFrames(viewer, session);
    }
    this.#end(session);
    await this.#hasEnded(session);
    return true;
  }

  async offerNothing(session: string): Promise<boolean> {
    const grant = await this.#world.placement({ session });
    const answer = await this.#answerTo(session, { grant, transport: "webrtc", offerSdp: "v=0\r\n" });
    if (answer === undefined) return false;
    if (answer.granted || !(answer.code === "media-invalid" || PASSING.has(answer.code)))
      throw new Error(`no offer was answered with ${answer.code}`);
    return answer.code === "media-invalid";
  }

  async #turn(): Promise<void> {
    this.#numbers += 1;
    const session = `soak-${String(this.#numbers).padStart(6, "0")}`;
    try {
      if (await this.#draw()(this, session)) this.started += 1;
      else {
        this.refused += 1;
        await systemClock.sleep(REFUSED_PAUSE_MS);
      }
    } catch (error) {
      this.wrong += 1;
      if (this.wrong <= WRONG_SHOWN_MAX) console.log(`wrong: ${session}: ${String(error)}`);
      this.#end(session);
    }
  }

  #draw(): Way {
    let left = this.#random.integer(WAYS.reduce((sum, [share]) => sum + share, 0));
    for (const [share, way] of WAYS) {
      if (left < share) return way;
      left -= share;
    }
    throw new Error("the shares add up");
  }

  /** `undefined` where there is no room. */
  async #ask(wish: { session: string; attempt?: number }, offerSdp?: string) {
    const grant = await this.#world.placement(wish);
    const { session } = wish;
    const answer = await this.#answerTo(
      session,
      offerSdp === undefined ? { grant } : { grant, transport: "webrtc", offerSdp },
    );
    if (answer === undefined) return undefined;
    if (answer.granted) return answer;
    if (PASSING.has(answer.code)) return undefined;
    throw new Error(`refused by ${answer.code}: ${answer.message}`);
  }

  /** `undefined` where none comes in time: a stream that ended has lost it, and the session is ended as an edge would. */
  async #answerTo(session: string, wish: LeaseWish) {
    const { promise: none, resolve } = Promise.withResolvers<undefined>();
    using _late = systemClock.timer(ANSWER_MS_MAX, () => resolve(undefined));
    const answer = await Promise.race([this.#edge.ask(wish), none]);
    if (answer === undefined) this.#end(session);
    return answer;
  }

  async #connect(viewer: OfferingViewer, session: string): Promise<boolean> {
    const answer = await this.#ask({ session }, viewer.offerSdp);
    if (answer !== undefined) viewer.answer(answer.answerSdp);
    return answer !== undefined;
  }

  /** `undefined` where another client's turn has killed its process, whose end closes the connection. */
  async #connectBySocket(url: string, session: string): Promise<Viewer | undefined> {
    try {
      return await connectViewer(url);
    } catch (error) {
      await this.#hasEnded(session);
      const wasKilled = this.#edge.ended.some((ended) => ended.session === session && ended.reason.includes("SIGKILL"));
      if (wasKilled) return undefined;
      throw error;
    }
  }

  /** Or its end: another client's turn may have killed its process. */
  async #seeFrames({ received }: Viewer, session: string): Promise<void> {
    const wanted = FRAMES_MIN + this.#random.integer(FRAMES_MORE);
    await patiently(() => received.frames.length >= wanted || this.#isOver(session), "frames");
  }

  #isOver(session: string): boolean {
    return this.#edge.ended.some((ended) => ended.session === session);
  }

  async #hasEnded(session: string): Promise<void> {
    await patiently(() => this.#isOver(session), `the end of ${session} is told`);
  }

  #end(session: string): void {
    const value = { session, attempt: 9, reason: "the soak is done with it" };
    this.#edge.send({ message: { case: "endSession", value } });
  }

  /** A session's, or the spare. */
  #killOne(): void {
    const all = this.#agent.processes();
    const pid = all[this.#random.integer(Math.max(1, all.length))];
    if (pid !== undefined) process.kill(pid, "SIGKILL");
  }
}
