/**
 * What hands hold, between an app and a client that draws it: each hold is told once, with its shape and its place in the
 * hand, and when the client says that it has that, pictures are without it as long as it lies still in the hand.
 */
import type { ControlMessage } from "#contracts/media/control.ts";
import { HANDS, type Hand } from "#contracts/media/controllers.ts";
import { HELD_DISTANCE_METRES_MAX, HOLDS_MAX, type HoldNumbers } from "#contracts/media/held-object.ts";
import { isWithin, type Quaternion, type Vector3 } from "#contracts/media/space.ts";
import { type HeldPlace, heldBy } from "../apps/held-state.ts";
import type { DetailRatio } from "../renderer/geometry.ts";
import { TRANSFORM_FLOATS, type Transforms } from "../renderer/objects.ts";
import type { Scene, SceneInstance } from "../renderer/scene.ts";
import { type HeldShape, shapeOf } from "./held-shape.ts";

/** Beyond it an object moves in its hand: half a millimetre, and a quarter of a degree. */
const STILL = { metres: 5e-4, cosine: Math.cos(Math.PI / 1440) };
/** A third of a second at 30 Hz from one hold of a hand to its next: a message of 11 KB each. */
const HOLD_FRAMES_MIN = 10;

interface Hold extends HeldPlace {
  readonly number: number;
  readonly scale: string;
  isReady: boolean;
}

/** Of one hand, between frames. */
interface HandState {
  hold: Hold | undefined;
  /** Where the object lay when it was looked at before. */
  before: HeldPlace | undefined;
  lastNumber: number;
  framesSince: number;
}

export interface LeftOut {
  readonly objects: ReadonlySet<number>;
  /** Not there where the picture is whole. */
  readonly without?: HoldNumbers;
}

export interface HeldObjectsOptions {
  readonly scene: Scene;
  readonly detail: DetailRatio;
  readonly say: (message: ControlMessage) => void;
}

const WHOLE: LeftOut = { objects: new Set() };

export class HeldObjects {
  readonly #options: HeldObjectsOptions;
  readonly #objects: readonly SceneInstance[];
  #hands: readonly HandState[] = [];

  constructor(options: HeldObjectsOptions) {
    this.#options = options;
    this.#objects = options.scene.instances.filter(({ name }) => name !== undefined);
  }

  /** Of a client that draws none, until it says that it does. */
  restart(): void {
    this.#hands = [];
  }

  /** The client draws what is held; said again, it changes nothing. */
  wish(): void {
    if (this.#hands.length > 0) return;
    this.#hands = HANDS.map(() => ({
      ...{ hold: undefined, before: undefined },
      ...{ lastNumber: 0, framesSince: HOLD_FRAMES_MIN },
    }));
  }

  /** The client can draw that one. A hold that is over is not meant any more. */
  ready(hand: Hand, number: number): void {
    const hold = this.#hands[HANDS.indexOf(hand)]?.hold;
    if (hold?.number === number) hold.isReady = true;
  }

  /** Once a frame, with the state that it is drawn from: what it is drawn without. */
  look(state: Transforms): LeftOut {
    if (this.#hands.length === 0) return WHOLE;
    const holds = this.#hands.map((own, hand) => this.#lookAt(own, hand, state));
    const drawn = holds.filter((hold) => hold?.isReady === true);
    if (drawn.length === 0) return WHOLE;
    const [left = 0, right = 0] = holds.map((hold) => (hold?.isReady === true ? hold.number : 0));
    return { objects: new Set(drawn.flatMap((hold) => hold?.object ?? [])), without: [left, right] };
  }

  #lookAt(own: HandState, hand: number, state: Transforms): Hold | undefined {
    own.framesSince += 1;
    const place = heldBy(state, hand);
    const { before } = own;
    own.before = place;
    const scale = place === undefined ? "" : scaleOf(state, place.object);
    if (place !== undefined && own.hold?.scale === scale && isStill(place, own.hold)) return own.hold;
    own.hold = undefined;
    // Told when it lies still, so that one that moves in its hand is not told anew with each frame.
    if (place === undefined || before === undefined || !isStill(place, before)) return undefined;
    if (own.framesSince < HOLD_FRAMES_MIN || !isWithin(place.position, HELD_DISTANCE_METRES_MAX)) return undefined;
    const shape = this.#shapeOf(place.object, state);
    if (shape !== undefined) own.hold = this.#tell(own, hand, { ...place, scale, shape });
    return own.hold;
  }

  #tell(own: HandState, at: number, { shape, ...held }: HeldPlace & { scale: string; shape: HeldShape }): Hold {
    own.lastNumber = (own.lastNumber % HOLDS_MAX) + 1;
    own.framesSince = 0;
    const hand = HANDS[at] ?? "left";
    const { position, orientation } = held;
    this.#options.say({ type: "held-object", hand, hold: own.lastNumber, position, orientation, ...shape });
    return { ...held, number: own.lastNumber, isReady: false };
  }

  #shapeOf(object: number, state: Transforms): HeldShape | undefined {
    const instance = this.#objects[object];
    const mesh = instance && this.#options.scene.meshes[instance.mesh];
    const at = object * TRANSFORM_FLOATS;
    const isVisible = (state[at + 10] ?? 0) > 0;
    if (instance === undefined || mesh === undefined || !isVisible) return undefined;
    const scale = [...state.subarray(at + 7, at + 10)];
    return shapeOf({ mesh, scale, detail: this.#options.detail, look: instance });
  }
}

/** What else a hold depends on: one that is hidden or grows is another. */
function scaleOf(state: Transforms, object: number): string {
  const at = object * TRANSFORM_FLOATS;
  return [...state.subarray(at + 7, at + 10), (state[at + 10] ?? 0) > 0].join();
}

function isStill(a: HeldPlace, b: HeldPlace): boolean {
  return a.object === b.object && metresOf(a.position, b.position) <= STILL.metres && isTurnedAs(a.orientation, b);
}

function metresOf(a: Vector3, b: Vector3): number {
  return Math.hypot(a.x - b.x, a.y - b.y, a.z - b.z);
}

function isTurnedAs(a: Quaternion, { orientation: b }: HeldPlace): boolean {
  return Math.abs(a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w) >= STILL.cosine;
}
