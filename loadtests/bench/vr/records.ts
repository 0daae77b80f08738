/** What a page tells of the sessions it showed, as it leaves the browser. */
import Type, { type Static } from "typebox";

const time = Type.Number();

const frameSchema = Type.Object({
  frameNumber: Type.Integer(),
  poseId: Type.Integer(),
  /** By the library's clock. */
  poseSampledAtMs: time,
  arrivedAtMs: time,
  decodedAtMs: time,
  /** By the agent's clock. */
  poseReceivedAtMs: time,
  sentAtMs: time,
  /** By the page's own clock, when the library told of it. */
  notedAtMs: time,
  /** What the library makes of it: the whole, and its parts by name. */
  remotePathMs: time,
  parts: Type.Record(Type.String(), time),
});

const poseSchema = Type.Object({
  poseId: Type.Integer(),
  /** By the page's own clock, just before the library sampled it. */
  atMs: time,
});

const drawingSchema = Type.Object({
  /** Of the frame that was drawn. */
  poseId: Type.Integer(),
  atMs: time,
});

const headSchema = Type.Object({
  yawDegrees: Type.Number(),
  pitchDegrees: Type.Number(),
  x: Type.Number(),
  y: Type.Number(),
  z: Type.Number(),
});

export const pictureSchema = Type.Object({
  /** Where the head was when it was shown. */
  head: headSchema,
  widthPixels: Type.Integer(),
  heightPixels: Type.Integer(),
  /** RGBA rows from the top, base64. */
  rgba: Type.String(),
});
export type ShownPicture = Static<typeof pictureSchema>;

export const windowSchema = Type.Object({
  fromMs: time,
  toMs: time,
  frames: Type.Array(frameSchema),
  poses: Type.Array(poseSchema),
  drawings: Type.Array(drawingSchema),
});
/** One session's records between two moments of the page's own clock. */
export type WindowRecord = Static<typeof windowSchema>;
export type FrameRecord = Static<typeof frameSchema>;

/** Moments of the page's own clock, in their order. */
export const startSchema = Type.Object({
  openedAtMs: time,
  createAtMs: time,
  createdAtMs: time,
  probedAtMs: time,
  placedAtMs: time,
  offeredAtMs: time,
  leasedAtMs: time,
  arrivedAtMs: time,
  decodedAtMs: time,
  drawnAtMs: time,
});
export type StartRecord = Static<typeof startSchema>;
