/** A session without its client: frames at the class's rate, by data channels, to a receiver in the same process. */
import { decodeFrame } from "#contracts/media/frame.ts";
import { encodePose, type PoseMessage } from "#contracts/media/pose.ts";
import type { Clock } from "#platform/clock.ts";
import { offerReceiver, type Receiver } from "../transport/receiver.ts";

/** The first frames of a level are those of processes that begin one after the other. */
const LEAD_MS = 300;
/** The newest is taken: a timer that is late by one leaves the frame its pose. */
const POSES_PER_FRAME = 2;
/** As many connections as a stream of this machine's own loopback needs. */
const CONNECTIONS_MAX = 1;
/** A head that turns: a picture that stands still costs an encoder nothing. */
const TURN = { degrees: 30, periodMs: 3_000 };

/** What calibration judges a process by. */
export interface RehearsedFrames {
  /** From the start of rendering until the receiver has all of the frame. */
  readonly framesMs: readonly number[];
  /** Of that, render and encode. */
  readonly renderEncodeMs: readonly number[];
  readonly windowMs: number;
  /** Of all threads of the process, the receiver's with them. */
  readonly cpuMs: number;
}

export class Rehearsal implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #receiver: Receiver;
  readonly #epochOffsetMs: number;
  #framesMs: number[] = [];
  #renderEncodeMs: number[] = [];
  #poseId = 0;

  private constructor(clock: Clock, receiver: Receiver) {
    this.#clock = clock;
    this.#receiver = receiver;
    this.#epochOffsetMs = clock.nowMs() - clock.monotonicMs();
  }

  /** `accept` answers an offer as for a client. */
  static async begin(clock: Clock, accept: (offerSdp: string) => Promise<string>): Promise<Rehearsal> {
    const receiver = await offerReceiver({
      ...{ clock, connectionsMax: CONNECTIONS_MAX },
      onFrame: ({ bytes }) => rehearsal.#take(bytes),
      onControl() {},
    });
    const rehearsal = new Rehearsal(clock, receiver);
    receiver.answer(await accept(receiver.offerSdp));
    return rehearsal;
  }

  async run(forMs: number, frameRateHz: number): Promise<RehearsedFrames> {
    const clock = this.#clock;
    using _sending = clock.every(1000 / frameRateHz / POSES_PER_FRAME, () => this.#look());
    await clock.sleep(LEAD_MS);
    [this.#framesMs, this.#renderEncodeMs] = [[], []];
    const fromMs = clock.monotonicMs();
    const cpuBefore = process.cpuUsage();
    await clock.sleep(forMs);
    const { user, system } = process.cpuUsage(cpuBefore);
    return {
      ...{ framesMs: this.#framesMs, renderEncodeMs: this.#renderEncodeMs },
      ...{ windowMs: clock.monotonicMs() - fromMs, cpuMs: (user + system) / 1000 },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#receiver[Symbol.asyncDispose]();
  }

  #look(): void {
    this.#poseId += 1;
    this.#receiver.sendPose(encodePose(poseAt(this.#poseId, this.#nowMs())));
  }

  #take(bytes: Uint8Array<ArrayBuffer>): void {
    const { renderStartedAtMs, encodedAtMs } = decodeFrame(bytes).header;
    this.#framesMs.push(Math.max(0, this.#nowMs() - renderStartedAtMs));
    this.#renderEncodeMs.push(encodedAtMs - renderStartedAtMs);
  }

  #nowMs(): number {
    return this.#epochOffsetMs + this.#clock.monotonicMs();
  }
}

function poseAt(poseId: number, sampledAtMs: number): PoseMessage {
  const turn = Math.sin((2 * Math.PI * sampledAtMs) / TURN.periodMs) * TURN.degrees;
  const half = (turn * Math.PI) / 360;
  const eye = { offset: { x: 0, y: 0, z: 0 }, fieldOfView: { left: 1, right: 1, up: 1, down: 1 } };
  return {
    poseId,
    sampledAtMs,
    position: { x: 0, y: 1.6, z: 0 },
    orientation: { x: 0, y: Math.sin(half), z: 0, w: Math.cos(half) },
    eyes: [eye, eye],
    asksDepth: true,
  };
}
