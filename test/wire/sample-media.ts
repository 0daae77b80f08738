/** A sample of each message between a client and the agent that renders for it, as it is sent. Pure. */
import { type ControlMessage, encodeControl } from "#contracts/media/control.ts";
import { depthCellsOf, depthShapeOf } from "#contracts/media/depth-shape.ts";
import { cutFragments } from "#contracts/media/fragments.ts";
import { encodeFrame, type FrameHeader } from "#contracts/media/frame.ts";
import { encodePose, type PoseMessage } from "#contracts/media/pose.ts";

const pose: PoseMessage = {
  poseId: 7,
  sampledAtMs: 1_700_000_000_000.25,
  position: { x: 0.5, y: 1.5, z: -2.25 },
  orientation: { x: 0.5, y: 0.5, z: 0.5, w: 0.5 },
  eyes: [
    { offset: { x: -0.03125, y: 0, z: 0 }, fieldOfView: { left: 1, right: 0.75, up: 1.25, down: 1 } },
    { offset: { x: 0.03125, y: 0, z: 0 }, fieldOfView: { left: 0.75, right: 1, up: 1.25, down: 1 } },
  ],
};

const header: FrameHeader = {
  frameNumber: 3,
  codec: "h264",
  key: true,
  eyeWidthPixels: 512,
  eyeHeightPixels: 768,
  poseId: 7,
  poseSampledAtMs: 1_700_000_000_000.25,
  poseReceivedAtMs: 1_700_000_000_003.5,
  renderStartedAtMs: 1_700_000_000_004,
  renderedAtMs: 1_700_000_000_009,
  encodedAtMs: 1_700_000_000_012,
  sentAtMs: 1_700_000_000_012.5,
};

const controls: readonly ControlMessage[] = [
  { type: "keyframe-request" },
  { type: "heartbeat" },
  { type: "session-end", reason: "drain" },
  { type: "statistics", framesRendered: 30, renderMsP95: 5.5, encodeMsP95: 2.5 },
  { type: "statistics", framesRendered: 30, renderMsP95: 5.5, encodeMsP95: 2.5, framesHeldBack: 1 },
  { type: "loss-report", fragmentsReceived: 420, fragmentsLost: 4 },
  { type: "stripe-request", connections: 4 },
  { type: "stripe-offer", stripe: 1, sdp: "v=0\r\n" },
  { type: "stripe-answer", stripe: 1, sdp: "v=0\r\n" },
];

export function sampleMedia() {
  const accessUnit = Uint8Array.from({ length: 2500 }, (_, index) => index % 251);
  const frame = encodeFrame({ header, accessUnit });
  const depth = Uint8Array.from({ length: depthCellsOf(depthShapeOf(header)) }, (_, index) => (index * index) % 241);
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  return {
    pose: { base64: text(encodePose(pose)), value: pose },
    posesOfHeadsets: [
      { ...pose, asksFoveation: true },
      { ...pose, asksDepth: true, asksFoveation: true, gaze: { x: 0.25, y: -0.5 } },
    ].map((value) => ({ base64: text(encodePose(value)), value })),
    frame: { base64: text(frame), header, accessUnit: text(accessUnit), fragments: cutFragments(3, frame).map(text) },
    frameWithDepth: {
      pose: { base64: text(encodePose({ ...pose, asksDepth: true })), value: { ...pose, asksDepth: true } },
      ...{ base64: text(encodeFrame({ header, accessUnit, depth })), depth: text(depth) },
    },
    controls: controls.map((value) => ({ text: encodeControl(value), value })),
  };
}
